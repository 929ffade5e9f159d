"timm models: weights by name, frozen features, a look inside, what is known of each, and rows of measurements."
