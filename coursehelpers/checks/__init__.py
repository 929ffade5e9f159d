"Is the answer right? Judging, and one module of checkers a lesson."
