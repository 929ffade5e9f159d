"""Measure what the course ships anew, on a quiet machine, into nets/measured.json.

python -m scripts.remeasure speed: pictures a second and memory of some thirty nets, random weights, a few minutes.
python -m scripts.remeasure pets: errors on the 370 pets that come with the course, with frozen features (25 rounds) and
with the whole net fine-tuned (5), of each net whose weights are in the data folder or can be fetched."""
import ctypes
import gc
import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import torch
import typer

from coursehelpers.base.files import DataError, shipped
from coursehelpers.data import load
from coursehelpers.nets.frozen import quick_body
from coursehelpers.nets.rows import Row, keep, read_rows, write_rows
from coursehelpers.nets.weights import create
from coursehelpers.results import machine
from coursehelpers.zoo import batch_seconds, measure_arch, measure_speed

FILE = shipped('nets/measured.json')
FAST = '''levit_128s levit_128 levit_192 levit_256
          convnext_atto convnext_femto convnext_pico convnext_nano convnext_tiny convnext_small
          resnet18 resnet26d resnet34 resnet50 vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224
          deit_tiny_patch16_224 deit_small_patch16_224 mobilenetv1_100 mobilenetv2_100 mobilenetv3_large_100
          mobilenetv4_conv_small mobilenetv4_conv_medium mobileone_s1 efficientnet_b0 swin_tiny_patch4_window7_224
          regnety_016 regnety_032'''.split() # whose speed is measured
SHIPPED = 'mobilenetv2_100.tf_ptq8_in1k', 'mobilenetv1_100.tf_qat8_in1k' # on pets, at several sizes
FRONT = ('mobilenetv4_conv_small.e2400_r224_in1k', 'levit_128s.fb_dist_in1k', 'levit_256.fb_dist_in1k',
         'regnety_032.ra_in1k', 'convnext_tiny.fb_in1k', 'convnext_tiny.fb_in22k_ft_in1k') # on pets, at 224 px
SIZES = 96, 128, 160, 192

cli = typer.Typer(add_completion=False, help=__doc__)


# ---- speed and memory

def forget_peak():
    "Start the system's record of the peak anew, after memory that is free was given back."
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')


def memory_here(arch: str, size: int, batch: int = 32) -> float:
    "MB at the peak of a model that only looks, beside what was in memory before. Linux; in a process of its own."
    before = psutil.Process().memory_info().rss / 2**20
    body = quick_body(create(arch, 1000, None), 'cpu', size, True)
    dtype = next(body.parameters()).dtype
    xb = torch.randn(batch, 3, size, size).to(dtype=dtype, memory_format=torch.channels_last)
    forget_peak()
    batch_seconds(body, xb, .5)
    peak = re.search(r'^VmHWM:\s+(\d+)', Path('/proc/self/status').read_text(), re.M)[1]
    return round(int(peak) / 1024 - before, 1)


def alone(what: str, *args) -> dict:
    "What `scripts.remeasure.<what>(*args)` gives in a process of its own. One that fails is a `DataError`."
    code = ('import json, sys; from scripts import remeasure; what, args = json.loads(sys.argv[1]); '
            'print(json.dumps(getattr(remeasure, what)(*args)))')
    done = subprocess.run([sys.executable, '-c', code, json.dumps([what, args])], capture_output=True, text=True)
    if done.returncode:
        why = done.stderr.strip().splitlines() or [f'ended with {done.returncode}, as one that needs too much memory']
        raise DataError(f'{args[0]}: {why[-1]}')
    return json.loads(done.stdout.splitlines()[-1])


def speed_here(arch: str, size: int, seconds: float) -> dict:
    "The row of a speed, as a dict."
    return asdict(measure_speed(arch, size, seconds=seconds))


@cli.command()
def speed(file: Path = FILE, seconds: float = 3., archs: list[str] = FAST): # noqa: B008
    "Speed and memory, all or nothing: one that fails is a `DataError`. Errors that were measured stay."
    rows = []
    for arch in archs:
        rows.append(replace(Row(**alone('speed_here', arch, 224, seconds)), memory=alone('memory_here', arch, 224)))
        print(rows[-1], flush=True)
    write_rows(file, rows + [r for r in read_rows(file) if r.errors])


# ---- errors on pets

def jobs() -> list:
    "(name, size, epochs of the whole model) of each row: frozen features, and three epochs at two sizes."
    frozen = [(name, size, 0) for name in SHIPPED for size in SIZES] + [(name, 224, 0) for name in FRONT]
    whole = [(name, size, 3) for name in SHIPPED for size in (128, 192)] + [(name, 224, 3) for name in FRONT]
    return frozen + whole


@cli.command()
def pets(file: Path = FILE, only: str = '', most_epochs: int = 3, again: bool = False):
    """Errors on the pets, each row kept as soon as it is there. Nets whose weights cannot be had are named, and rows
    that this machine has made stay as they are, unless `again`."""
    pictures = load('pets', full=False)
    done = {(r.name, r.size, r.how) for r in read_rows(file) if r.device == machine() and not again}
    for name, size, epochs in jobs():
        how = f'{epochs} epochs' if epochs else 'frozen features'
        wanted = only in name and epochs <= most_epochs
        if not wanted or (name, size, how) in done: continue
        try:
            row = measure_arch(pictures, name, size=size, epochs=epochs, again=True)
            keep(row, file)
            print(row, flush=True)
        except DataError as e:
            print(f'{name}: left out: {str(e).splitlines()[0]}', flush=True)


if __name__ == '__main__': cli()
