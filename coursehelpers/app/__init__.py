"What people meet of a model: a page that is served, a page of its own, the files of a Space."
