"Beside a training loop: callbacks, groups, devices, memory, processes, watching, plots, search, resuming, mixup."
