"""Make coursehelpers/samples again, from a folder with Oxford-IIIT Pet, weights and the passengers.

    python -m scripts.make_samples FOLDER          # with oxford-iiit-pet/ or pets224/, weights/ and titanic_train.csv

Photographs and trimaps are made smaller (short side 192 pixels); which ones stands in the lists of
`samples/oxford-iiit-pet/annotations`, so that the whole set gives the same sample. Weights and passengers are copied.
The README of the folder is written by people and stays.
"""
import hashlib
import shutil
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageOps

from coursehelpers.base.files import shipped
from coursehelpers.images.pets import find_pets

SIDE = 192 # pixels of the short side
WEIGHTS = 'mobilenetv2_100.tf_ptq8_in1k.fp16.safetensors'
LISTS = 'list.txt', 'trainval.txt', 'test.txt', 'train_37x7.txt', 'test_37x3.txt'
BY_HAND = 'README.md', 'checksums.txt'


def smaller(im, how):
    "The picture with a short side of at most `SIDE`."
    scale = min(1, SIDE / min(im.size))
    return im.resize([max(SIDE, round(side * scale)) if scale < 1 else side for side in im.size], how)


def write_pets(source, home, names):
    "The photographs and trimaps of these names from `source`, smaller, into `home`."
    for folder in ('images', 'annotations/trimaps'):
        (home/folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        with Image.open(source/'images'/f'{name}.jpg') as im:
            photo = smaller(ImageOps.exif_transpose(im).convert('RGB'), Image.Resampling.LANCZOS)
        photo.save(home/'images'/f'{name}.jpg', quality=80, optimize=True, progressive=True)
        trimap = home/'annotations'/'trimaps'/f'{name}.png'
        with Image.open(source/'annotations'/'trimaps'/trimap.name) as im:
            im.resize(photo.size, Image.Resampling.NEAREST).convert('L').save(trimap, optimize=True)


def write_checksums(home):
    "A line for each file below `home`, as sha256sum writes it."
    files = sorted(f for f in home.rglob('*') if f.is_file() and f.name not in BY_HAND)
    lines = [f'{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(home).as_posix()}\n' for f in files]
    (home/'checksums.txt').write_text(''.join(lines), newline='\n')


def main(source: Annotated[Path, typer.Argument(help='holds the pets, weights/ and titanic_train.csv')],
         to: Annotated[Path | None, typer.Option(help='the folder to make; without it, coursehelpers/samples')] = None,
         lists: Annotated[Path | None, typer.Option(help='where the lists are; without it, in the sample')] = None):
    "Make the sample."
    to = to or shipped('samples')
    lists = lists or shipped('samples/oxford-iiit-pet/annotations')
    home, kept = to/'oxford-iiit-pet', {name: (lists/name).read_bytes() for name in (*LISTS, 'trimap_source.csv')}
    names = [line.split(',')[0] for line in kept['trimap_source.csv'].decode().splitlines()[1:]]
    write_pets(find_pets(source), home, names)
    for name, data in kept.items():
        (home/'annotations'/name).write_bytes(data)
    (to/'weights').mkdir(exist_ok=True)
    shutil.copyfile(source/'weights'/WEIGHTS, to/'weights'/WEIGHTS)
    shutil.copyfile(source/'titanic_train.csv', to/'titanic_train.csv')
    write_checksums(to)


if __name__ == '__main__':
    typer.run(main)
