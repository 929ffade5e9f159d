"Pictures: read from files that lie, found in folders, decoded once into a cache, cropped and varied."
