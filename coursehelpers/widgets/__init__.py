"Pictures that move under the hand: one portable base class, and each widget's .py beside its .js."
