"Seconds for imports in a fresh Python: the package alone, and what a lesson with pictures needs beside a peer."
import statistics
import subprocess
import sys

CODE = 'import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)'


def seconds(module):
    "Import `module` in a new process; only the import counts."
    command = [sys.executable, '-c', CODE.format(module)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run(repeats=5):
    "Two rows, medians of `repeats` imports in turns, after one of each to warm the disk."
    names = 'coursehelpers', 'coursehelpers.vision', 'fastai.vision.all'
    found = [[seconds(name) for name in names] for _ in range(repeats + 1)][1:]
    alone, vision, fastai = (statistics.median(column) for column in zip(*found))
    note = f'median of {repeats}'
    return [
        dict(what='import coursehelpers', ours=alone, theirs=None, unit='s',
             target='under 0.1 s', ok=alone < .1, note=note),
        dict(what='import coursehelpers.vision / fastai.vision.all', ours=vision, theirs=fastai, unit='s',
             ratio=vision / fastai, target='', note=note)]
