"Below everything: files written whole or not at all, files that come with the package, the nearest of many names, and what the first cell of a lesson calls."
