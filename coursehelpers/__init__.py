__version__ = "0.2.0"

import os

# The processor threads of torch wait for each other by spinning. With a second notebook on the same cores that made
# training over a hundred times slower. A short spin keeps most of the speed of an idle machine. Torch loads after this.
os.environ.setdefault('GOMP_SPINCOUNT', '3000')
