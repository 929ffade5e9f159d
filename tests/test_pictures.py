"pictures: files that lie are named, labels stay with their pictures, splits hold what they promise."
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coursehelpers.cache import cached
from coursehelpers.data import load
from coursehelpers.files import DataError
from coursehelpers.pictures import Pictures, by_group, few, folder, read_header, read_picture, stratified, take, tell

SHARED = Path(__file__).parents[2]/'shared'/'data'


@pytest.fixture
def pictures(tmp_path):
    "A folder with two labels of six good pictures each, all different."
    for label, colour in (('cat', 'teal'), ('dog', 'navy')):
        (tmp_path/label).mkdir()
        for i in range(6): Image.new('RGB', (90 + i, 60), colour).save(tmp_path/label/f'{i}.jpg')
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
    assert pixels is not None and problem.used and problem.what == 'named .jpg but is a GIF: converted'


@pytest.mark.parametrize('orientation, aspect', [(1, 1.5), (3, 1.5), (6, 2 / 3), (8, 2 / 3)])
def test_a_sideways_photo_is_turned(tmp_path, orientation, aspect):
    im = Image.new('RGB', (600, 400))
    im.paste((255, 255, 255), (0, 0, 600, 200)) # the upper half of what is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    im.save(tmp_path/'a.jpg', exif=exif)
    pixels, found, _ = read_picture(tmp_path/'a.jpg', 60)
    bright = {1: pixels[:15], 3: pixels[45:], 6: pixels[:, 45:], 8: pixels[:, :15]}[orientation]
    assert bright.mean() > 200 and pixels.mean() < 150
    assert found == pytest.approx(aspect) and read_header(tmp_path/'a.jpg')[0] == pytest.approx(aspect)


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
    assert (p.x[p.y == 0].float().mean((0, 2, 3))[1] > 100) and (p.x[p.y == 1].float().mean((0, 2, 3))[1] < 50), 'labels still belong to their pictures'


def test_nothing_readable_is_an_error(pictures):
    for f in pictures.glob('*/*.jpg'): f.write_bytes(b'')
    for keep in ('memory', 'stream'):
        with pytest.raises(DataError, match='(?s)none of 12 files.*empty file'): cached(folder(pictures), 24, keep)


@pytest.mark.skipif(not (SHARED/'pets_oddities').is_dir(), reason='../shared/data is not here')
def test_the_oddities_of_the_pets_are_read_and_reported():
    files = sorted((SHARED/'pets_oddities').glob('*.jpg'))
    p = cached(Pictures('odd', files, torch.tensor([0, 0]), ['Abyssinian'], torch.tensor([0]), torch.tensor([1])), 64)
    assert len(p) == 2 and sorted(q.what for q in p.report) == ['named .jpg but is a GIF: converted', 'named .jpg but is a PNG: converted']
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
    p = Pictures('p', torch.zeros(400, 1, 2, 2), torch.arange(400) % 10, list('0123456789'), *stratified(torch.arange(400) % 10))
    q = few(p, 3, held=50, seed=1)
    assert q.y[q.train].bincount().tolist() == [3] * 10 and len(q.valid) == 50
    assert set(q.valid.tolist()) <= set(p.valid.tolist()) and set(q.train.tolist()) <= set(p.train.tolist())


def test_taking_rows_takes_everything_that_belongs_to_them():
    p = Pictures('p', [Path(str(i)) for i in range(6)], torch.arange(6), list('abcdef'), torch.tensor([0, 2, 4]), torch.tensor([1, 3, 5]),
                 masks=torch.arange(6)[:, None, None] > 2, aspect=torch.arange(6.))
    q = take(p, torch.tensor([4, 3]))
    assert [x.name for x in q.x] == ['4', '3'] and q.y.tolist() == q.aspect.tolist() == [4, 3] and q.masks.all()
    assert q.train.tolist() == [0] and q.valid.tolist() == [1]


# ---- folders

def test_a_folder_with_a_split_of_its_own(pictures, tmp_path):
    for part in ('train', 'val'):
        (tmp_path/'set'/part).mkdir(parents=True)
        for label in ('cat', 'dog'): (tmp_path/'set'/part/label).symlink_to(pictures/label)
    p = folder(tmp_path/'set')
    assert p.vocab == ['cat', 'dog'] and p.train.tolist() == list(range(12)) and p.valid.tolist() == list(range(12, 24))


def test_folder_messages(tmp_path):
    with pytest.raises(DataError, match='no such folder'): folder(tmp_path/'gone')
    with pytest.raises(DataError, match='pictures of 0 labels'): folder(tmp_path)
    with pytest.raises(DataError, match="no data set or folder 'cats'"): load('cats')
