__version__ = "0.1.0"

import os
import sys

# The processor threads of torch wait for each other by spinning. With a second notebook on the same cores that made
# training over a hundred times slower; a short spin keeps the speed of an idle machine. "active" keeps that spin after
# pictures were decoded in threads, which made every small net 2.5 times slower. To be set before torch loads.
os.environ.setdefault('GOMP_SPINCOUNT', '1000')
if sys.platform == 'linux': os.environ.setdefault('OMP_WAIT_POLICY', 'active')
