"Measurements against what people use today: ours and theirs in one run, given as ratios."
