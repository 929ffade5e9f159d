"Below everything: files written whole or not at all, files that come with the package, the learner's copy of the lessons, the nearest of many names."
