"pictures: files that lie are named, labels stay with their pictures, splits hold what they promise."
import os
import random
import re
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from coursehelpers.base.files import DataError
from coursehelpers.base.threads import each
from coursehelpers.data import load
from coursehelpers.images import reading
from coursehelpers.images.cache import cached
from coursehelpers.images.folders import folder
from coursehelpers.images.reading import read_picture
from coursehelpers.images.sets import Pictures, by_group, few, stratified, take, tell

SHARED = Path(__file__).parents[2]/'shared'/'data'


@pytest.fixture
def pictures(tmp_path):
    "A folder with two labels of six good pictures each, all different."
    for label, colour in (('cat', 'teal'), ('dog', 'navy')):
        (tmp_path/label).mkdir()
        for i in range(6):
            Image.new('RGB', (90 + i, 60), colour).save(tmp_path/label/f'{i}.jpg')
    return tmp_path


def one(file): return Pictures('one', [file], torch.tensor([0]), ['a'], torch.tensor([0]), torch.tensor([0]))


# ---- reading

def test_a_picture_is_squeezed_as_PIL_would(tmp_path):
    g = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 255, (6, 9, 3), generator=g, dtype=torch.uint8).numpy()
    big = Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC)
    big.save(tmp_path/'a.png')
    pixels, aspect, problem = read_picture(tmp_path/'a.png', 60)
    assert aspect == 1.5 and problem is None
    assert np.abs(pixels.astype(int) - np.array(big.resize((60, 60), Image.Resampling.BICUBIC))).max() <= 2


def test_a_panorama_loses_its_ends(tmp_path):
    wide = Image.new('RGB', (600, 100), 'red')
    wide.paste('blue', (200, 0, 400, 100))
    wide.save(tmp_path/'a.png')
    pixels, aspect, _ = read_picture(tmp_path/'a.png', 20)
    assert aspect == 2 and (pixels == [0, 0, 255]).all()


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'LA', 'CMYK', 'I;16', '1'])
def test_every_mode_becomes_rgb(tmp_path, mode):
    Image.new(mode, (40, 30)).save(tmp_path/'a.tif')
    assert read_picture(tmp_path/'a.tif', 16)[0].shape == (16, 16, 3)


def test_sixteen_bits_become_eight(tmp_path):
    Image.fromarray(np.full((20, 20), 257 * 90, 'uint16')).save(tmp_path/'a.png')
    assert (read_picture(tmp_path/'a.png', 16)[0] == 90).all()


def test_a_gif_named_jpg_is_used_and_reported(tmp_path):
    Image.new('P', (40, 30)).save(tmp_path/'a.jpg', format='GIF')
    pixels, _, problem = read_picture(tmp_path/'a.jpg', 16)
    assert pixels is not None and problem.used and problem.what == 'named .jpg but is a GIF'


@pytest.mark.parametrize('kind', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_a_sideways_photo_is_turned_as_PIL_would(tmp_path, orientation, kind):
    im = Image.new('RGB', (600, 400))
    im.paste((255, 255, 255), (0, 0, 600, 200)) # the upper half of what is stored
    im.paste((255, 0, 0), (0, 0, 150, 400)) # and its left quarter
    exif = Image.Exif()
    exif[0x0112] = orientation
    im.save(tmp_path/f'a.{kind}', exif=exif)
    pixels, found, _ = read_picture(tmp_path/f'a.{kind}', 60)
    with Image.open(tmp_path/f'a.{kind}') as again:
        upright = ImageOps.exif_transpose(again).convert('RGB')
    assert found == pytest.approx(upright.width / upright.height)
    assert np.abs(pixels.astype(int) - np.array(upright.resize((60, 60), Image.Resampling.BICUBIC))).mean() < 3


def test_a_senseless_note_about_turning_costs_nothing(tmp_path):
    for value in (0, 9, 77):
        exif = Image.Exif()
        exif[0x0112] = value
        Image.new('RGB', (60, 40), 'teal').save(tmp_path/'a.jpg', exif=exif)
        assert read_picture(tmp_path/'a.jpg', 16)[1:] == (1.5, None)
    Image.new('RGB', (60, 40), 'teal').save(tmp_path/'a.webp', exif=exif)
    (tmp_path/'a.webp').write_bytes((tmp_path/'a.webp').read_bytes().replace(b'MM\0*', b'MM??'))
    with Image.open(tmp_path/'a.webp') as im, pytest.raises(SyntaxError):
        im.getexif()
    assert read_picture(tmp_path/'a.webp', 16)[1:] == (1.5, None)


RED, BLUE = (200, 30, 30), (30, 60, 200)
def halves(): # red on the left, blue on the right
    im = Image.new('RGB', (60, 40), RED)
    im.paste(BLUE, (30, 0, 60, 40))
    return im


def ycck(file):
    "A JPEG as Photoshop writes it for print: four channels, inverted, the first three as brightness and colour."
    cmyk = np.array(halves().convert('CMYK'))
    ycc = np.array(Image.fromarray(cmyk[..., :3]).convert('YCbCr')) # what is stored inverted comes out as it went in
    Image.fromarray(np.concatenate([255 - ycc, cmyk[..., 3:]], 2), 'CMYK').save(file, quality=98, subsampling=0)
    raw = bytearray(file.read_bytes())
    assert raw[(at := raw.index(b'Adobe') + 11)] == 0
    raw[at] = 2
    file.write_bytes(raw)


def png16(file):
    "A PNG with 16 bits in each of three channels, which PIL cannot write."
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in np.array(halves()).astype('u2') * 257)
    file.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 60, 40, 16, 2, 0, 0, 0))
                     + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def clear(file, colour=(0, 0, 0, 0), **options):
    "The left half red, the right half transparent."
    im = halves().convert('RGBA')
    im.paste(colour, (30, 0, 60, 40))
    im.save(file, **options)


def grey(value, kind):
    pixels = np.broadcast_to(np.where(np.arange(60) < 30, 0, value), (40, 60))
    return lambda file: Image.fromarray(pixels.astype(kind)).save(file)
def mode(name, **options): return lambda file: halves().convert(name).save(file, **options)
def frames(file, **options):
    halves().save(file, save_all=True, append_images=[halves().rotate(180), halves()], **options)
def said(text): return lambda file: file.write_bytes(text)
def palette(file):
    im = halves().convert('P', palette=Image.Palette.ADAPTIVE, colors=2)
    im.save(file, transparency=im.getpixel((50, 10)))


WHITE, BLACK = (255,) * 3, (0,) * 3
SHELF = { # name: (how it is made, left, right, what the report says or None)
    'plain.jpg': (mode('RGB', quality=98), RED, BLUE, None), 'UPPER.JPG': (mode('RGB', quality=98), RED, BLUE, None),
    'a.jfif': (lambda f: halves().save(f, 'JPEG', quality=98), RED, BLUE, None),
    'grey.png': (mode('L'), (81,) * 3, (67,) * 3, None),
    'grey.jpg': (mode('L', quality=98), (81,) * 3, (67,) * 3, None),
    'grey_alpha.png': (mode('LA'), (81,) * 3, (67,) * 3, None),
    'palette.gif': (lambda f: halves().convert('P', palette=Image.Palette.ADAPTIVE).save(f), RED, BLUE, None),
    'opaque.png': (mode('RGBA'), RED, BLUE, None), 'a.webp': (mode('RGB', lossless=True), RED, BLUE, None),
    'a.avif': (mode('RGB', quality=95), RED, BLUE, None), 'a.bmp': (mode('RGB'), RED, BLUE, None),
    'a.tif': (mode('RGB'), RED, BLUE, None), 'a.ppm': (mode('RGB'), RED, BLUE, None),
    'one_bit.png': (lambda f: grey(255, 'uint8')(f) or Image.open(f).convert('1').save(f), BLACK, WHITE, None),
    'one_bit.tif': (lambda f: Image.new('1', (60, 40), 1).save(f), WHITE, WHITE, None),
    'cmyk.jpg': (mode('CMYK', quality=98), RED, BLUE, None), 'cmyk.tif': (mode('CMYK'), RED, BLUE, None),
    'ycck.jpg': (ycck, RED, BLUE, None),
    'phone.jpg': (lambda f: halves().save(f, 'MPO', quality=98, save_all=True, append_images=[halves()]), RED, BLUE,
                  None),
    'rgb16.png': (png16, RED, BLUE, None), 'grey16.png': (grey(257 * 90, 'uint16'), BLACK, (90,) * 3, None),
    'grey16.tif': (grey(257 * 90, 'uint16'), BLACK, (90,) * 3, None),
    'grey12.png': (grey(4095, 'uint16'), BLACK, WHITE, '12 bits stored in 16'),
    'grey8in16.png': (grey(200, 'uint16'), BLACK, (200,) * 3, '8 bits stored in 16'),
    'int32.tif': (grey(-7, 'int32'), WHITE, BLACK, 'numbers from -7 to 0: the lowest is black, the highest white'),
    'float01.tif': (grey(1, 'float32'), BLACK, WHITE, 'floats from 0 to 1'),
    'float255.tif': (grey(90, 'float32'), BLACK, (90,) * 3, 'floats from 0 to 255'),
    'float.tif': (grey(1e6, 'float32'), BLACK, WHITE, 'numbers from 0 to 1e\\+06'),
    'nan.tif': (grey(np.nan, 'float32'), BLACK, BLACK, 'floats'),
    'clear.png': (clear, RED, WHITE, 'transparent parts: now white'),
    'clear.webp': (lambda f: clear(f, lossless=True), RED, WHITE, 'transparent'),
    'half.png': (lambda f: clear(f, (0, 0, 0, 128)), RED, (127,) * 3, 'transparent'),
    'clear_palette.png': (palette, RED, WHITE, 'transparent'), 'clear.gif': (palette, RED, WHITE, 'transparent'),
    'clear_grey.png': (lambda f: halves().convert('L').save(f, transparency=67), (81,) * 3, WHITE, 'transparent'),
    'anim.gif': (frames, RED, BLUE, '3 frames: the first is used'),
    'anim.webp': (lambda f: frames(f, lossless=True), RED, BLUE, '3 frames'),
    'anim.png': (frames, RED, BLUE, '3 frames'),
    'pages.tif': (frames, RED, BLUE, '3 pages: the first is used'),
    'pixel.png': (lambda f: Image.new('RGB', (1, 1), RED).save(f), RED, RED, 'only 1 x 1 pixels'),
    'strip.png': (lambda f: halves().resize((20000, 10), Image.Resampling.NEAREST).save(f), RED, BLUE, None),
    'tower.jpg': (lambda f: halves().resize((10, 9000)).save(f, quality=98), RED, BLUE, None),
    'gif.jpg': (lambda f: halves().convert('P', palette=Image.Palette.ADAPTIVE).save(f, 'GIF'), RED, BLUE,
                'named .jpg but is a GIF'),
                'jpeg.PNG': (lambda f: halves().save(f, 'JPEG', quality=98), RED, BLUE, 'named .PNG but is a JPEG'),
    'cut.jpg': (lambda f: mode('RGB')(f) or f.write_bytes(f.read_bytes()[:-150]), None, None, 'damaged: '),
    'cut.png': (lambda f: mode('RGB')(f) or f.write_bytes(f.read_bytes()[:-40]), None, None, 'damaged: '),
    'empty.jpg': (said(b''), None, None, 'empty file, 0 bytes'),
    'text.jpg': (said(b'no picture'), None, None, 'not a picture'),
    'page.jpg': (said(b'\n <!DOCTYPE HTML>\n<html>'), None, None, 'not a picture but a web page'),
    'lfs.png': (said(b'version https://git-lfs.github.com/spec/v1'), None, None, 'git lfs pull'),
    'zeros.jpg': (said(bytes(999)), None, None, 'zeros: the copy or the disk failed'),
    'drawing.png': (said(b'<svg xmlns="x"/>'), None, None, 'drawing'),
    'a.heic': (said(b'\0\0\0\x18ftypheic\0\0'), None, None, 'convert it to JPEG, or pip install pillow-heif'),
    'phone2.jpg': (said(b'\0\0\0\x18ftypmif1\0\0'), None, None, 'a HEIC'),
    'bomb.png': (lambda f: Image.new('1', (20000, 20000)).save(f), None, None, 'too large'),
}


@pytest.fixture(scope='module')
def shelf(tmp_path_factory):
    "One folder with one of everything, as two labels."
    home = tmp_path_factory.mktemp('shelf')
    for name, (write, *_) in SHELF.items():
        (home/'odd').mkdir(exist_ok=True)
        write(home/'odd'/name)
    (home/'fine').mkdir()
    for i in range(3):
        halves().save(home/'fine'/f'{i}.png')
    return home


@pytest.mark.parametrize('name', SHELF)
def test_every_kind_of_file_has_the_right_pixels(shelf, name):
    _, left, right, says = SHELF[name]
    pixels, aspect, problem = read_picture(shelf/'odd'/name, 32)
    assert problem is None if says is None else re.search(says, problem.what) and problem.used is (left is not None)
    if left is None:
        assert pixels is None
        return
    for column, colour in ((4, left), (27, right)):
        assert np.abs(pixels[16, column].astype(int) - colour).max() <= 4, (pixels[16, column], colour)


def test_one_folder_with_everything_gives_one_report(shelf):
    p = cached(folder(shelf), 32)
    bad, odd = ({name for name, (_, left, _, says) in SHELF.items() if says and (left is None) == out}
                for out in (True, False))
    assert {Path(q.file).name for q in p.report if q.used is False} == bad
    assert {Path(q.file).name for q in p.report if q.used} == odd
    assert len(p) == len(SHELF) - len(bad) + 3 == len(p.files) and all(f.exists() for f in p.files)
    lines = tell(p.report).splitlines()
    assert lines[0].startswith(f'{len(bad)} files left out, {len(odd)} converted') and len(lines) == 22
    assert lines[-1] == f'  and {len(p.report) - 20} more: all are in .report'
    assert all('left out: ' in line for line in lines[1:len(bad) + 1])
    assert len(tell(p.report, 999).splitlines()) == len(p.report) + 1 and str(shelf) not in tell(p.report, 999)


def test_files_stay_with_their_pixels(shelf):
    for keep in ('memory', 'disk', 'stream'):
        p = cached(folder(shelf), 32, keep)
        rows = torch.tensor([len(p) - 1, 4])
        assert len(p.files) == len(p) and take(few(p, 2), rows).files == [p.files[-1], p.files[4]]
        names = [f.name for f in p.files]
        assert 'gif.jpg' in names and 'text.jpg' not in names
        i = names.index('a.bmp')
        assert np.array_equal(p.x[i].permute(1, 2, 0).numpy(), read_picture(p.files[i], 32)[0])


def test_what_a_new_installation_may_read_is_tried_again(shelf, monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path))
    assert 'a.heic' not in [f.name for f in cached(folder(shelf), 32).files]
    (shelf/'odd'/'a.heic').read_bytes()
    def read(file, size): return np.zeros((size, size, 3), np.uint8), 1., None
    monkeypatch.setattr('coursehelpers.images.cache.read_picture', read)
    assert {'a.heic', 'phone2.jpg'} <= {f.name for f in cached(folder(shelf), 32).files}
    assert 'cut.jpg' not in [f.name for f in cached(folder(shelf), 32).files]


@pytest.mark.long
def test_no_damage_raises_and_no_thread_changes_what_is_warned_of(shelf, tmp_path):
    before = list(warnings.filters)
    for i, name in enumerate(n for n in SHELF if n not in ('bomb.png', 'strip.png')):
        g, raw = random.Random(i), (shelf/'odd'/name).read_bytes()
        for _ in range(4 if raw else 0):
            spoilt = bytearray(raw)
            for _ in range(4):
                spoilt[g.randrange(min(len(raw), 300))] = g.randrange(256)
            (tmp_path/name).write_bytes(spoilt)
            assert len(read_picture(tmp_path/name, 16)) == 3
    assert [f for f in warnings.filters
            if f not in before] in ([], [('ignore', None, Warning, re.compile(r'PIL\.'), 0)])


def test_bad_files_are_named_and_left_out(pictures):
    (pictures/'cat'/'0.jpg').write_bytes((pictures/'cat'/'0.jpg').read_bytes()[:400])
    (pictures/'cat'/'1.jpg').write_bytes(b'')
    (pictures/'dog'/'2.jpg').write_text('no picture')
    (pictures/'dog'/'stray.mat').write_bytes(b'MATLAB')
    p = cached(folder(pictures), 24)
    assert len(p) == 9 and len(p.x) == len(p.y) == len(p.aspect) == len(p.train) + len(p.valid)
    said = tell(p.report)
    assert said.startswith('3 files left out, 0 converted') and '0.jpg: damaged' in said
    assert '1.jpg: empty file, 0 bytes' in said and '2.jpg: not a picture' in said and 'mat' not in said
    teal, navy = (p.x[p.y == k].float().mean((0, 2, 3))[1] for k in (0, 1))
    assert teal > 100 > 50 > navy, 'labels still belong to their pictures'


def test_a_label_that_loses_its_last_picture_is_named(pictures):
    for f in pictures.glob('cat/*.jpg'):
        f.write_bytes(b'')
    p = cached(folder(pictures), 24)
    assert len(p) == 6 and p.vocab == ['cat', 'dog']
    (label, what), = notes(p).items()
    assert label == 'cat' and 'no picture to train on' in what
    assert '  note: cat: no picture to train on' in tell(p.report)


def test_nothing_readable_is_an_error(pictures):
    for f in pictures.glob('*/*.jpg'):
        f.write_bytes(b'')
    for keep in ('memory', 'stream'):
        with pytest.raises(DataError, match='(?s)none of 12 files.*empty file'):
            cached(folder(pictures), 24, keep)


@pytest.mark.skipif(not (SHARED/'pets_oddities').is_dir(), reason='../shared/data is not here')
def test_the_oddities_of_the_pets_are_read_and_reported():
    files = sorted((SHARED/'pets_oddities').glob('*.jpg'))
    p = cached(Pictures('odd', files, torch.tensor([0, 0]), ['Abyssinian'], torch.tensor([0]), torch.tensor([1])), 64)
    assert len(p) == 2 and sorted(q.what for q in p.report) == ['named .jpg but is a GIF', 'named .jpg but is a PNG']
    assert all(q.used for q in p.report)


# ---- splits

def test_a_label_with_one_picture_stays_in_training():
    train, valid = stratified(torch.tensor([0, 1, 1, 1]), .9)
    assert 0 in train and len(valid) == 2 and len(train) == 2


@pytest.mark.parametrize('seed', range(5))
def test_no_group_is_on_both_sides(seed):
    groups = torch.randint(0, 12, (200,), generator=torch.Generator().manual_seed(seed))
    train, valid = by_group(groups, .25, seed)
    assert not set(groups[train].tolist()) & set(groups[valid].tolist()) and len(groups[valid].unique()) == 3
    assert sorted([*train.tolist(), *valid.tolist()]) == list(range(200))


def test_few_keeps_the_held_out_pictures():
    p = Pictures('p', torch.zeros(400, 1, 2, 2), torch.arange(400) % 10, list('0123456789'),
                 *stratified(torch.arange(400) % 10))
    q = few(p, 3, held=50, seed=1)
    assert q.y[q.train].bincount().tolist() == [3] * 10 and len(q.valid) == 50
    assert set(q.valid.tolist()) <= set(p.valid.tolist()) and set(q.train.tolist()) <= set(p.train.tolist())


def test_taking_rows_takes_everything_that_belongs_to_them():
    p = Pictures('p', [Path(str(i)) for i in range(6)], torch.arange(6), list('abcdef'), torch.tensor([0, 2, 4]),
                 torch.tensor([1, 3, 5]),
                 masks=torch.arange(6)[:, None, None] > 2, aspect=torch.arange(6.))
    q = take(p, torch.tensor([4, 3]))
    assert [x.name for x in q.x] == ['4', '3'] and q.y.tolist() == q.aspect.tolist() == [4, 3] and q.masks.all()
    assert q.train.tolist() == [0] and q.valid.tolist() == [1]


# ---- folders

def test_a_folder_with_a_split_of_its_own(pictures, tmp_path):
    for part in ('train', 'val'):
        (tmp_path/'set'/part).mkdir(parents=True)
        for label in ('cat', 'dog'):
            (tmp_path/'set'/part/label).symlink_to(pictures/label)
    p = folder(tmp_path/'set')
    assert p.vocab == ['cat', 'dog'] and p.train.tolist() == list(range(12)) and p.valid.tolist() == list(range(12, 24))


def test_folder_messages(tmp_path):
    with pytest.raises(DataError, match='no such folder'):
        folder(tmp_path/'gone')
    with pytest.raises(DataError, match='no picture in it. Expected .*/<label>/<picture>'):
        folder(tmp_path)
    (tmp_path/'pets.zip').write_bytes(b'PK')
    with pytest.raises(DataError, match='a file, not a folder. If it is an archive, unpack it'):
        folder(tmp_path/'pets.zip')
    with pytest.raises(DataError, match="no data set or folder 'cats'"):
        load('cats')


# ---- any folder

def fill(root, *names, n=1):
    "Small pictures under these names; `{}` in a name stands for 0 to n - 1."
    for name in names:
        for i in range(n):
            file = root/name.format(i)
            file.parent.mkdir(parents=True, exist_ok=True)
            kind = {'.jfif': 'JPEG', '': 'PNG', '.jpg_large': 'JPEG'}.get(file.suffix.lower())
            Image.new('RGB', (9, 6), (i * 9 % 256, len(name), 0)).save(file, kind)
    return root


def notes(p, used=None): return {Path(q.file).name: q.what for q in p.report if q.used is used}


def test_names_and_endings_that_people_have(tmp_path):
    fill(tmp_path, 'Große Katze/{}.JPG', 'chien 🐶/deep/er/{}.JPEG', 'chien 🐶/{}.PNG', 'a b/{}.jfif', 'a b/x{}.webp',
         'a b/y{}.tif', 'a b/z{}.avif', 'a b/no_ending{}', 'a b/v{}.jpg_large', n=2)
    p = folder(tmp_path)
    assert p.vocab == ['Große Katze', 'a b', 'chien 🐶'] and p.y.bincount().tolist() == [2, 12, 4] and p.report == []
    assert len(cached(p, 16)) == 18 and p.root == tmp_path


def test_what_systems_and_editors_leave_is_passed_over(tmp_path):
    fill(tmp_path, 'cat/{}.jpg', 'dog/{}.jpg', '__MACOSX/cat/{}.jpg', 'cat/.ipynb_checkpoints/{}-checkpoint.jpg',
         '.hidden/{}.jpg', 'cat/@eaDir/{}.jpg', n=3)
    for name in ('.DS_Store', 'cat/._0.jpg', 'cat/Thumbs.db', 'dog/desktop.ini'):
        (tmp_path/name).write_bytes(b'\xff\xd8\xff nothing')
    for name in ('dog/notes.txt', 'dog/a.mat', 'table.csv'):
        (tmp_path/name).write_bytes(b'words, numbers')
    p = folder(tmp_path)
    assert p.vocab == ['cat', 'dog'] and len(p) == 6 and p.report == []


def test_labels_that_are_odd_are_named(tmp_path):
    fill(tmp_path, 'cat/{}.jpg', 'Cat/{}.jpg', 'cat /{}.jpg', n=3)
    fill(tmp_path, 'newt/{}.jpg', 'stray{}.jpg')
    (tmp_path/'owl').mkdir()
    (tmp_path/'cat'/'shot.CR2').touch()
    p = folder(tmp_path)
    assert p.vocab == ['Cat', 'cat', 'cat ', 'newt'] and int(p.y[p.train[-1]]) == 3
    assert notes(p) == {'newt': 'to train on: 1, and none in the validation set',
                        'owl': 'no picture in it, so no label',
                        'cat': "the labels 'Cat' and 'cat' and 'cat ' differ only in capitals or spaces: are they "
                               "the same?"}
    assert notes(p, False) == {'stray0.jpg': 'beside the folders that are labels, so it has none',
                               'shot.CR2': 'a kind that is not read here: convert it to JPEG or PNG'}


def test_the_same_letters_typed_on_a_mac_are_one_label(tmp_path):
    fill(tmp_path, 'train/caf\u00e9/{}.jpg', 'train/tea/{}.jpg', 'valid/cafe\u0301/{}.jpg', 'valid/tea/{}.jpg', n=2)
    assert folder(tmp_path).vocab == ['caf\u00e9', 'tea'] and folder(tmp_path).report == []


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere names are text')
def test_names_that_are_no_text(tmp_path, capsys):
    fill(tmp_path, 'a/{}.jpg', 'b/{}.jpg', n=3)
    os.rename(os.fsencode(tmp_path/'b'), os.fsencode(tmp_path) + b'/caf\xe9')
    with open(os.fsencode(tmp_path) + b'/a/\xff.jpg', 'w') as f:
        f.write('no picture')
    p = cached(folder(tmp_path), 16)
    print(tell(p.report), p.vocab)
    assert capsys.readouterr().out.count('\\udcff.jpg: not a picture') == 1 and len(p) == 6


def test_links_are_followed_and_loops_are_not(tmp_path):
    fill(tmp_path/'real', 'cat/{}.jpg', 'dog/{}.jpg', n=3)
    home = tmp_path/'set'
    home.mkdir()
    for label in ('cat', 'dog'):
        (home/label).symlink_to(tmp_path/'real'/label)
    (home/'cat'/'up').symlink_to(home)
    (home/'dog'/'self').symlink_to(home/'dog'/'self')
    (home/'dog'/'gone.jpg').symlink_to(home/'nothing.jpg')
    p = folder(home)
    assert len(p) == 6 and len(cached(p, 16)) == 6
    assert notes(p, False) == {'up': 'a link to a folder that holds it: not followed', 'self': 'a link to nothing',
                               'gone.jpg': 'a link to nothing'}


def test_a_folder_in_a_folder_is_gone_into(tmp_path):
    fill(tmp_path, 'archive/archive/cat/{}.jpg', 'archive/archive/dog/{}.jpg', n=3)
    (tmp_path/'readme.txt').touch()
    p = folder(tmp_path)
    assert p.vocab == ['cat', 'dog'] and p.root == tmp_path/'archive'/'archive'
    assert [q.what for q in p.report] == ['the only folder with pictures: it is gone into'] * 2


@pytest.mark.parametrize('train, held', [('train', 'valid'), ('Train', 'Valid'), ('training', 'val'),
                                         ('TRAIN', 'TEST')])
def test_splits_of_their_own(tmp_path, train, held):
    fill(tmp_path, train + '/cat/{}.jpg', train + '/dog/{}.jpg', held + '/cat/v{}.jpg', held + '/dog/v{}.jpg', n=3)
    fill(tmp_path, held + '/newt/{}.jpg', train + '/toad/{}.jpg')
    p = folder(tmp_path)
    assert p.train.tolist() == list(range(7)) and p.valid.tolist() == list(range(7, 14))
    assert p.files[0].parts[-3] == train
    assert notes(p) == {'newt': 'in the validation set: 1, and none to train on: nobody can learn this label',
                        'toad': 'to train on: 1, and none in the validation set'}


def test_test_is_not_used_where_there_is_valid(tmp_path):
    fill(tmp_path, *[f'{s}/{label}/{{}}.jpg' for s in ('train', 'val', 'test') for label in ('cat', 'dog')], n=3)
    p = folder(tmp_path)
    assert len(p) == 12 and notes(p) == {'test': '6 pictures not used, only those of train and val'}


def test_other_folders_beside_a_split_are_named(tmp_path):
    fill(tmp_path, 'train/cat/{}.jpg', 'train/dog/{}.jpg', 'valid/cat/{}.jpg', 'valid/dog/{}.jpg', 'plots/a/{}.png',
         'plots/{}.png', n=2)
    p = folder(tmp_path)
    assert p.vocab == ['cat', 'dog'] and len(p) == 8
    assert notes(p) == {'plots': '2 pictures not used, only those of train and valid'}
    assert len(notes(p, False)) == 2


def test_unlabelled_test_pictures(tmp_path):
    fill(tmp_path, 'train/cat/{}.jpg', 'train/dog/{}.jpg', 'test/{}.jpg', n=5)
    p = folder(tmp_path)
    assert p.vocab == ['cat', 'dog'] and len(p.train) == 8 and len(p.valid) == 2 and len(notes(p, False)) == 5


def test_a_label_may_be_called_train(tmp_path):
    fill(tmp_path, 'train/steam/{}.jpg', 'bus/{}.jpg', 'tram/{}.jpg', n=3)
    assert folder(tmp_path).vocab == ['bus', 'train', 'tram']
    fill(tmp_path, 'test/{}.jpg', n=3)
    assert folder(tmp_path).vocab == ['bus', 'test', 'train', 'tram'] and len(folder(tmp_path).valid) == 4


TABLES = { # how the table is written: name, text for (file, label) pairs
    'plain': ('labels.csv', lambda rows: 'file,label\n' + ''.join(f'{f},{k}\n' for f, k in rows)),
    'by name': ('train.csv', lambda rows: 'id,Label,weight,FILE\n'
                + ''.join(f'x{i},{k},{i},{Path(f).stem}\n' for i, (f, k) in enumerate(rows))),
    'excel': ('Mappe1.csv', lambda rows: '\ufeff"Bild";"Art";"Kommentar"\n'
              + ''.join(f'"C:\\fotos\\{f}";"{k}";"n{i}"\n' for i, (f, k) in enumerate(rows))),
    'no head': ('list.txt', lambda rows: '\ufeff' + ''.join(f'{f}\t{k}\n' for f, k in rows)),
}


@pytest.mark.parametrize('kind', TABLES)
@pytest.mark.parametrize('below', ['', 'images/', 'train/'])
def test_a_table_with_the_pictures(tmp_path, kind, below):
    fill(tmp_path, below + '{}.jpg', n=10)
    name, write = TABLES[kind]
    (tmp_path/name).write_text(write([(f'{i}.jpg', 'hot dog' if i % 2 else 'not') for i in range(9)]
                                     + [('gone.jpg', 'not')]))
    p = folder(tmp_path, labels=name)
    assert p.vocab == ['hot dog', 'not'] and len(p) == 9
    assert all(p.vocab[k] == ('hot dog' if int(f.stem) % 2 else 'not') for f, k in zip(p.files, p.y))
    left = notes(p, False)
    assert 'no label' in left['9.jpg'] and {'gone', 'gone.jpg'} & left.keys()
    assert len(left) == 2 + (kind == 'excel')
    assert torch.equal(load(str(tmp_path), labels=str(tmp_path/name)).y, p.y)


def test_a_table_that_disagrees_with_itself(tmp_path):
    fill(tmp_path, '{}.png', n=6)
    (tmp_path/'labels.csv').write_text('file,label\n' + ''.join(f'{i}.png,{"ab"[i % 2]}\n' for i in range(6))
                                       + '0.png,b\n1.png,b\n')
    p = folder(tmp_path, labels='labels.csv')
    assert len(p) == 6 and p.y.tolist() == [0, 1] * 3
    assert notes(p, True) == {'0.png': "'a' and 'b' in labels.csv: the first is used"}


def test_a_name_that_two_pictures_have_is_no_name(tmp_path):
    fill(tmp_path, 'left/{}.png', 'right/{}.png', n=3)
    (tmp_path/'t.csv').write_text('file,label\n0.png,a\n'
                                  + ''.join(f'{s}/{i}.png,{s}\n' for s in ('left', 'right') for i in (1, 2)))
    p = folder(tmp_path, labels='t.csv')
    assert p.vocab == ['left', 'right'] and len(p) == 4 and any('not one picture' in q.what for q in p.report)


@pytest.mark.parametrize('content', [b'', b'\n', b'file,label\n', b'one column\n', b'\0\0\0,\0', bytes(range(256)),
                                     b'"' + b'x' * 200_000 + b'",a\n'])
def test_a_table_without_labels_is_an_error_that_names_it(tmp_path, content):
    fill(tmp_path, '{}.png', n=6)
    (tmp_path/'t.csv').write_bytes(content)
    with pytest.raises(DataError, match='t.csv|2 labels|0 labels'):
        folder(tmp_path, labels='t.csv')
    with pytest.raises(DataError, match='gone.csv.*labels='):
        folder(tmp_path, labels='gone.csv')


def test_a_rule_of_your_own(tmp_path):
    fill(tmp_path, 'night/a{}.jpg', 'day/b{}.jpg', n=3)
    assert folder(tmp_path, label=lambda f: f.stem[-1]).vocab == ['0', '1', '2']
    assert folder(tmp_path, label=r'/(.)').vocab == ['a', 'b']
    assert len(notes(folder(tmp_path, label=lambda f: f.stem[0] if f.stem > 'a0' else None), False)) == 1
    assert folder(tmp_path, label=lambda f: int(f.stem[-1]) % 2).vocab == ['0', '1'], '0 is a label too'
    with pytest.raises(ValueError, match='one group.* 2'):
        folder(tmp_path, label='(a)(b)')


@pytest.mark.parametrize('names', [('IMG_{}.jpg', 'DSC_{}.jpg'), ('{}.jpg',),
                                   ('images/cat_{}.jpg', 'masks/cat_{}.png')])
def test_when_nothing_fits_you_are_shown_what_would(tmp_path, names):
    fill(tmp_path, *names, n=3)
    with pytest.raises(DataError) as e:
        folder(tmp_path)
    said, mine = str(e.value), sorted(p.name for p in tmp_path.rglob('*.*'))[0]
    assert 'but no labels' in said and said.count(mine) == 3 and 'labels.csv' in said
    assert "label=r'" in said and 'label=lambda' in said


def test_files_are_always_in_the_same_order(tmp_path, monkeypatch):
    fill(tmp_path, 'a/{}.jpg', 'b/deep/{}.jpg', 'b/{}.jpg', n=20)
    p, real = folder(tmp_path), os.listdir
    monkeypatch.setattr(os, 'listdir', lambda path: reversed(real(path)))
    again = folder(tmp_path)
    assert again.files == p.files and torch.equal(again.valid, p.valid)
    assert not torch.equal(folder(tmp_path, seed=1).valid, p.valid)


@pytest.mark.long
def test_twenty_thousand_files_are_each_looked_at_a_few_times(tmp_path, monkeypatch):
    "Work is counted: seconds would be noise."
    for i in range(20):
        (tmp_path/f'label {i}').mkdir()
        for j in range(1000):
            (tmp_path/f'label {i}'/f'{j}.jpg').touch()
    asked, real = [], os.stat
    monkeypatch.setattr(os, 'stat', lambda *args, **options: asked.append(args) or real(*args, **options))
    assert len(folder(tmp_path)) == 20_000 and len(asked) < 3 * 20_000


# ---- pictures that are very large

def test_large_pictures_are_decoded_one_at_a_time_and_look_the_same(tmp_path, monkeypatch):
    "With a small limit in place of the real one: the same pixels but for the way they are made smaller."
    def save(name, im): im.resize((600, 400), Image.Resampling.NEAREST).save(tmp_path/name)
    save('a.png', halves())
    save('b.png', halves().convert('P', palette=Image.Palette.ADAPTIVE, colors=2))
    clear(tmp_path/'small.png')
    save('c.png', Image.open(tmp_path/'small.png'))
    save('d.tif', Image.fromarray(np.array(halves().convert('L')).astype('uint16') * 257))
    save('e.png', halves().convert('1'))
    save('f.tif', Image.fromarray(np.array(halves().convert('L')).astype('float32')))
    (tmp_path/'small.png').unlink()
    files = sorted(tmp_path.iterdir())
    before, busy, most = [read_picture(f, 32) for f in files], [], []
    monkeypatch.setattr(reading, '_large', 1000)
    real = Image.Image.reduce
    def slow(im, *args):
        busy.append(1)
        time.sleep(.02)
        most.append(len(busy))
        busy.pop()
        return real(im, *args)
    monkeypatch.setattr(Image.Image, 'reduce', slow)
    after = [None] * len(files)
    each(lambda i: after.__setitem__(i, read_picture(files[i], 32)), len(files))
    assert set(most) == {1} and len(most) >= len(files)
    for a, b in zip(before, after, strict=True):
        assert a[1:] == b[1:] and np.abs(a[0].astype(int) - b[0]).mean() < 6 # one is dithered


@pytest.mark.long
def test_two_huge_pictures_at_once_take_bounded_memory(tmp_path):
    "13,300 x 13,300 pixels with transparency are a file of 3 MB and 0.7 GB of pixels; copies of them took 4.7 GB."
    Image.new('RGBA', (13_300, 13_300), (200, 30, 30, 128)).save(tmp_path/'a.png', compress_level=1)
    code = """
import sys
from coursehelpers.base.threads import each
from coursehelpers.images.reading import read_picture
found = []
each(lambda i: found.append(read_picture(sys.argv[1], 224)), 2)
assert all(pixels is not None and problem.used for pixels, _, problem in found)
print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1e6)
"""
    done = subprocess.run([sys.executable, '-c', code, tmp_path/'a.png'], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.2, 'GB'


@pytest.mark.parametrize('keep', [40, 150, -20])
def test_a_damaged_avif_is_called_damaged(tmp_path, keep):
    "PIL reads AVIF: a newer one is no remedy."
    halves().save(tmp_path/'a.avif')
    (tmp_path/'a.avif').write_bytes((tmp_path/'a.avif').read_bytes()[:keep])
    problem = read_picture(tmp_path/'a.avif', 16)[2]
    assert 'damaged' in problem.what and 'pip install' not in problem.what and not problem.used
