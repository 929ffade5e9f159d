"Pictures in: files that may lie, folders of them, the decoded-once cache, and the views of a picture (crop, mirror, turn) that a net gets."
