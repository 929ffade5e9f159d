"Below everything: files written whole or not at all, files that come with the package, the nearest of many names."
