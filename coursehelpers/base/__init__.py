"Below everything: files written whole or not at all, what comes with the package, the learner's copy of the lessons, the nearest name, what a first cell calls."
