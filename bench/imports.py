"Seconds for `import coursehelpers` in a fresh Python, beside the package most people would import instead."
import statistics
import subprocess
import sys

CODE = 'import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)'


def seconds(module):
    "Import `module` in a new process; only the import counts."
    return float(subprocess.run([sys.executable, '-c', CODE.format(module)], capture_output=True, text=True, check=True).stdout)


def run(repeats=7):
    "One row: the median of `repeats` imports of each, in turns, after one of each to warm the disk."
    pairs = [(seconds('coursehelpers'), seconds('fastai.vision.all')) for _ in range(repeats + 1)][1:]
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    return [dict(what='import coursehelpers / import fastai.vision.all', ours=ours, theirs=theirs, unit='s', ratio=ours/theirs,
                 target='ours under 0.1 s', ok=ours < 0.1, note=f'median of {repeats}')]
