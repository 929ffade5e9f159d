"""Sets that do not fit into memory: 200,000 pictures trained from the cache on disk; the cost of one as sets grow.

    python -m bench memory
The pictures (64 px, JPEG) are made for the test, in a temporary folder: 3.5 GB of disk are needed. Each set is
trained on in a process of its own.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from coursehelpers.base.files import DataError

SIZES, PX = (2_000, 20_000, 200_000), 64


def make(home, start, stop):
    "Pictures `start` to `stop` - 1 in `home`/<label>/: coarse noise, all different."
    g = np.random.default_rng(start)
    for i in range(start, stop):
        folder = Path(home)/str(i % 10)
        folder.mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(g.integers(0, 255, (8, 8, 3), 'uint8'))
        noise.resize((PX, PX), Image.Resampling.BICUBIC).save(folder/f'{i:06}.jpg', quality=80)


JOB = '''
import json, sys, time
import torch
from torch import nn
from coursehelpers.images.cache import cached
from coursehelpers.data import Dls
from coursehelpers.learner import Learner
from coursehelpers.images.sets import take
from coursehelpers.images.folders import folder
n, size = int(sys.argv[2]), int(sys.argv[3])
start = time.perf_counter()
p = folder(sys.argv[1], part=.01)
p = cached(take(p, torch.randperm(len(p), generator=torch.Generator().manual_seed(0))[:n]), size, 'disk')
built = time.perf_counter() - start
dls = Dls(p, size, 64, 'cpu')
seconds = []
for epoch in range(2 if n > 50_000 else 6): # the first pass compares checksums
    start = time.perf_counter()
    for xb, yb in dls.train: pass
    seconds.append(time.perf_counter() - start)
model = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(),
                      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
learn = Learner(model, dls)
start = time.perf_counter()
learn.fit(1, quiet=True)
# getrusage would count what the parent had, too
peak = int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024
print(json.dumps(dict(built=built, each=min(seconds[1:]) / len(dls.train.rows), trained=time.perf_counter() - start,
                      peak=peak, loss=learn.history[-1]['train_loss'])))
'''


def job(home, n):
    "What one process found: seconds to build, per picture and to train, peak resident megabytes."
    done = subprocess.run([sys.executable, '-c', JOB, home, str(n), str(PX)], capture_output=True, text=True,
                          env=os.environ)
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run():
    "Rows for bench/RESULTS.md."
    with tempfile.TemporaryDirectory() as box:
        if shutil.disk_usage(box).free < 5e9:
            raise DataError(f'{box}: 5 GB of free disk are needed for this measurement')
        os.environ['COURSEHELPERS_DATA_CACHE'] = f'{box}/cache'
        edges = np.linspace(0, SIZES[-1], 41).astype(int).tolist()
        with ProcessPoolExecutor() as pool:
            list(pool.map(make, [f'{box}/all'] * 40, edges, edges[1:]))
        found = {n: job(f'{box}/all', n) for n in SIZES}
        for n, f in found.items():
            print(n, f, flush=True)
    big, small = found[SIZES[-1]], found[SIZES[0]]
    cost = ', '.join(f'{n:,}: {1e6 * f["each"]:.0f} µs' for n, f in found.items())
    peaks = ', '.join(f'{n:,}: {f["peak"]:.0f} MB' for n, f in found.items())
    return [dict(what='peak resident memory, 200,000 pictures', ours=big['peak'] / 1000, theirs=None, unit='GB',
                 ratio=None, target='under 1.5 GB', ok=big['peak'] < 1500,
                 note=f'{SIZES[-1] * PX * PX * 3 / 1e9:.1f} GB of pixels on disk; decoded in {big["built"]:.0f} s, an '
                      f'epoch of a small CNN in {big["trained"]:.0f} s; {peaks}'),
            dict(what='cost of a picture, 200,000 / 2,000', ours=1e6 * big['each'], theirs=1e6 * small['each'],
                 unit='µs', ratio=big['each'] / small['each'], target='flat: at most 1.2',
                 ok=big['each'] <= 1.2 * small['each'], note=f'random part of each, mirrored or not, later '
                                                             f'epochs; {cost}')]
