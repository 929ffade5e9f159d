"Measure what the course ships anew, on a quiet machine, and write nets/measured.json: python -m scripts.remeasure."
import tempfile
from dataclasses import replace
from pathlib import Path

import typer

from coursehelpers.base.files import DataError, shipped
from coursehelpers.images.pets import find_pets, pets
from coursehelpers.images.sets import few
from coursehelpers.nets.rows import read_rows, write_rows
from coursehelpers.zoo import measure_arch, measure_speed

FILE = shipped('nets/measured.json')
FAST = '''levit_128s levit_128 levit_192 levit_256
          convnext_atto convnext_femto convnext_pico convnext_nano convnext_tiny convnext_small
          resnet18 resnet26d resnet34 resnet50 vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224
          deit_tiny_patch16_224 deit_small_patch16_224 mobilenetv1_100 mobilenetv2_100 mobilenetv3_large_100
          mobilenetv4_conv_small mobilenetv4_conv_medium mobileone_s1 efficientnet_b0 swin_tiny_patch4_window7_224
          regnety_016 regnety_032'''.split() # whose speed is measured
ON_PETS = 'mobilenetv2_035.tm_backbone', 'mobilenetv1_100.tf_qat8_in1k', 'mobilenetv2_100.tf_ptq8_in1k' # whose error is


def errors_on_pets() -> list:
    "A row for each model of `ON_PETS` and picture size, measured now."
    known = pets(download=False)
    def five(seed): return few(known, 5, seed=seed)
    with tempfile.TemporaryDirectory() as aside:
        how = dict(seeds=range(5), device='cpu', file=Path(aside)/'zoo.json')
        rows = [measure_arch(five, name, size=size, **how) for name in ON_PETS for size in (96, 160)]
    return [replace(r, mine=False) for r in rows]


def remeasure(file: Path = FILE, seconds: float = 3., archs: list[str] = FAST): # noqa: B008
    "All or nothing: one that fails is a `DataError`. Errors on the pets are kept where the pets are not here."
    rows = []
    for arch in archs:
        rows.append(measure_speed(arch, 224, seconds=seconds))
        print(rows[-1], flush=True)
    rows += errors_on_pets() if find_pets() else [r for r in read_rows(file) if r.errors]
    bad = [r for r in rows if r.problem]
    if bad:
        raise DataError('nothing was written, since some failed:\n' + '\n'.join(map(repr, bad)))
    write_rows(file, rows)


if __name__ == '__main__': typer.run(remeasure)
