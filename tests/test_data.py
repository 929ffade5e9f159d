"data: a batch is a function of seed, epoch and place; shares of processes add up; what cannot be used is named."
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, Loader, load, loaders
from coursehelpers.images import transforms
from coursehelpers.images.cache import Damaged, OnDisk, Streamed
from coursehelpers.images.digits import digits, photo_digits
from coursehelpers.images.folders import folder
from coursehelpers.images.sets import Pictures, few
from coursehelpers.images.transforms import Augment
from coursehelpers.settings import settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def photos(tmp_path):
    "A folder with two labels of ten pictures each, of different shapes."
    g = torch.Generator().manual_seed(0)
    for label in ('cat', 'dog'):
        (tmp_path/label).mkdir()
        for i in range(10):
            noise = torch.randint(0, 255, (4, 6, 3), generator=g, dtype=torch.uint8).numpy()
            Image.fromarray(noise).resize((60 + 4 * i, 50)).save(tmp_path/label/f'{i}.jpg')
    return tmp_path


def small(**options): return loaders(photo_digits(90, 16, valid=.3), batch_size=16, device='cpu', **options)


# ---- the same batch again

@pytest.mark.parametrize('keep', ['memory', 'disk', 'stream'])
def test_the_same_batches_wherever_they_are_kept(photos, keep):
    dls, plain = (loaders(folder(photos), 24, 6, 'cpu', k, seed=3) for k in (keep, 'memory'))
    assert isinstance(dls.pictures.x, dict(memory=torch.Tensor, disk=OnDisk, stream=Streamed)[keep])
    for (xb, yb), (xc, yc) in zip([*dls.train, *dls.valid], [*plain.train, *plain.valid], strict=True):
        assert torch.equal(xb, xc) and torch.equal(yb, yc)


def test_a_batch_does_not_depend_on_what_was_drawn_before():
    dls, other = small(seed=1), small(seed=1)
    passes = [list(dls.train) for _ in range(3)]
    for epoch, i in ((2, 3), (0, 0), (1, 2)):
        assert all(torch.equal(a, b) for a, b in zip(passes[epoch][i], other.train.batch(epoch, i), strict=True))
    assert not torch.equal(passes[0][0][0], passes[1][0][0])
    assert not torch.equal(passes[0][0][0], small(seed=2).train.batch(0, 0)[0])


def test_a_picture_looks_different_in_each_epoch():
    dls = small()
    dls.train.shuffle = False
    (a, ya), (b, yb) = dls.train.batch(0, 0), dls.train.batch(1, 0)
    assert torch.equal(ya, yb) and all(not torch.equal(p, q) for p, q in zip(a, b, strict=True))


def test_a_pass_can_be_taken_up_in_the_middle():
    dls, other = small(), small()
    for _ in range(2):
        whole = list(dls.train)
    other.train.epoch, other.train.skip = 1, 2
    rest = list(other.train)
    assert len(rest) == len(whole) - 2 and all(torch.equal(a[0], b[0]) for a, b in zip(whole[2:], rest, strict=True))
    assert other.train.epoch == 2 and len(list(other.train)) == len(whole), 'the pass after it is whole'


def test_the_global_random_numbers_are_left_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(small().train)
    load('photo_digits')
    assert torch.equal(before, torch.get_rng_state())


def test_every_row_once_a_pass_and_validation_in_order():
    dls = small(augment=False)
    first, second = (torch.cat([yb for _, yb in dls.train]) for _ in range(2))
    p = dls.pictures
    assert not torch.equal(first, second)
    assert first.sort().values.tolist() == second.sort().values.tolist() == p.y[p.train].sort().values.tolist()
    assert torch.equal(torch.cat([yb for _, yb in dls.valid]), p.y[p.valid])


def test_prepared_ahead_is_the_same_and_stops_when_nobody_asks():
    dls = small()
    plain = [xb for xb, _ in dls.train]
    dls.train.epoch, dls.train.ahead = 0, 3
    assert all(torch.equal(a, b) for a, (b, _) in zip(plain, dls.train, strict=True))
    threads = threading.active_count()
    for _ in dls.train:
        break
    assert threading.active_count() <= threads


@pytest.mark.parametrize('world', [2, 3, 8])
def test_processes_share_each_batch(world):
    "Together they have its rows and views, and their weighted means are its mean."
    whole, shares = small(seed=4).train, [small(seed=4).train for _ in range(world)]
    whole.batch_size = 5 # the last batch has 3 rows: fewer than the most processes here
    for rank, share in enumerate(shares):
        share.rank, share.world, share.batch_size = rank, world, 5
    for i in range(len(whole)):
        xb, yb = whole.batch(1, i)
        parts = [share.batch(1, i) for share in shares]
        means = sum(share.weight(i) * part[0].mean((1, 2, 3)).mean() for share,
                    part in zip(shares, parts, strict=True)) / world
        assert torch.allclose(means, xb.mean(), atol=1e-6) and all(len(part[1]) for part in parts)
        held = [x for share, part in zip(shares, parts, strict=True) if share.weight(i) for x in part[0]]
        assert len(held) == len(xb) and all(any(torch.equal(x, h) for h in held) for x in xb)


# ---- what comes out

def test_shapes_and_colours():
    grey = loaders(digits(), batch_size=32, device='cpu', augment=False)
    xb, yb = grey.train.batch(0, 0)
    assert xb.shape == (32, 1, 8, 8) and xb.min() == -1 and xb.max() == 1 and yb.dtype == torch.int64
    assert grey.pixels([0, 1]).shape == (2, 1, 8, 8) and torch.equal(grey.pixels([5])[0], grey.pictures.x[5])


def test_pixels_are_the_middle_of_the_original(photos):
    "Not the squeezed square that is kept."
    dls = loaders(folder(photos), 40, 4, 'cpu')
    im = Image.open(photos/'cat'/'9.jpg') # 96 x 50
    middle = im.resize((40, 40), Image.Resampling.BICUBIC, box=(23, 0, 73, 50))
    crop = torch.from_numpy(np.array(middle)).permute(2, 0, 1)
    assert (dls.pixels([9])[0].float() - crop).abs().mean() < 5


def test_augmentation_is_chosen():
    plain, more = small(augment=False), small(augment=Augment((.2, .3), turn=20))
    rows = plain.train.order(0)[:16]
    assert torch.equal(plain.train.batch(0, 0)[0], plain.train.x.plain(rows))
    assert more.train.batch(0, 0)[0].shape == (16, 3, 16, 16)
    assert small().with_(augment=False, seed=5).train.seed == 5


def test_loaders_from_elsewhere():
    torchs = [DataLoader(TensorDataset(torch.zeros(8, 2), torch.zeros(8)), 4) for _ in range(2)]
    dls = Dls.of(*torchs, vocab=['a'])
    assert dls.train is torchs[0] and dls.vocab == ['a'] and str(dls.device) == 'cpu'


# ---- bad input

def test_an_empty_split_is_an_error(photos):
    for i in range(10):
        (photos/'cat'/f'{i}.jpg').write_bytes(b'')
    p = Pictures('p', sorted(photos.glob('*/*.jpg')), torch.arange(20) // 10, ['cat', 'dog'], torch.arange(10, 20),
                 torch.arange(10))
    with pytest.raises(DataError, match='(?s)valid split.*10 files left out'):
        loaders(p, 16, 4)


def test_one_label_alone_is_an_error():
    p = photo_digits(60, 16)
    with pytest.raises(DataError, match="training.*'3'.*two labels"):
        loaders(Pictures('p', p.x, p.y, p.vocab, (p.y == 3).nonzero()[:, 0], p.valid))


def test_one_label_held_out_is_told(capsys):
    p = photo_digits(60, 16)
    loaders(Pictures('p', p.x, p.y, p.vocab, p.train, (p.y == 3).nonzero()[:, 0]), device='cpu')
    assert "validation are '3'" in capsys.readouterr().out


@pytest.mark.parametrize('bad', [10, -1])
def test_labels_out_of_range_are_an_error(bad):
    p = photo_digits(60, 16)
    p.y[7] = bad
    with pytest.raises(DataError, match=f'vocab of 10.* {bad} in row 7'):
        loaders(p)


def test_a_batch_larger_than_the_set():
    dls = loaders(few(photo_digits(60, 16), 2), batch_size=512, device='cpu')
    assert len(dls.train) == 1 and len(dls.train.batch(0, 0)[1]) == 20


@pytest.mark.parametrize('keep', ['memory', 'disk', 'stream'])
def test_a_damaged_picture_is_named_at_the_start_and_left_out(photos, keep, capsys):
    "Its header is fine. So whatever asks for all the pictures, as frozen features do, gets them."
    file = photos/'cat'/'3.jpg'
    file.write_bytes(file.read_bytes()[:-300])
    dls = loaders(folder(photos, part=.1), 24, 6, 'cpu', keep)
    assert [q.file for q in dls.pictures.report] == [str(file)] and '3.jpg: damaged' in capsys.readouterr().out
    assert len(dls.train.x.plain(dls.train.rows)) == 17 == sum(len(yb) for _, yb in dls.train) and not dls.train.report


def test_a_picture_that_goes_bad_in_a_stream_is_left_out_and_named_once(photos, capsys):
    dls = loaders(folder(photos, part=.1), 24, 6, 'cpu', 'stream')
    file = dls.pictures.files[dls.train.rows[3]]
    file.write_bytes(file.read_bytes()[:-300])
    for _ in range(2):
        n = sum(len(yb) for _, yb in dls.train)
    assert n == 17 and capsys.readouterr().out.count('left out: ') == 1 and f'{file}: damaged' in dls.train.report[0]
    with pytest.raises(DataError, match=f'(?s){file}.*Make the loaders again'):
        dls.train.x.plain(dls.train.rows)


def test_a_child_process_may_load_too(photos):
    "Threads do not survive a fork; the loader notices."
    code = ("import os, sys; from coursehelpers.data import *; from coursehelpers.images.folders import folder;"
            "dls = loaders(folder(sys.argv[1]), 24, 6, 'cpu'); list(dls.train);"
            "pid = os.fork();\nif pid == 0: list(dls.train); "
            "os._exit(7)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))")
    done = subprocess.run([sys.executable, '-c', code, photos], capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.stdout.strip().endswith('7'), done.stderr


def test_rows_of_plain_tensors():
    x, y = torch.randn(10, 3), torch.randn(10)
    loader = Loader(x, y, torch.tensor([1, 3, 5, 7]), 3)
    assert [len(yb) for _, yb in loader] == [3, 1] and torch.equal(loader.batch(0, 0)[0], x[[1, 3, 5]])


# ---- the road of a GPU, on a machine without one

@pytest.fixture
def device_road(monkeypatch):
    "Loaders that make their batches as on a GPU; `resident` hands the pictures out as one would, and counts."
    from coursehelpers import data
    asked = []
    monkeypatch.setattr(data, 'resident', lambda x, device: asked.append(x.data_ptr()) or x)
    def turn(dls):
        for part in (dls.train, dls.valid):
            part.x.singly, part.ahead = False, 2
        return dls
    return turn, asked


@pytest.mark.parametrize('keep', ['memory', 'disk', 'stream'])
def test_the_same_views_on_the_road_of_a_gpu(photos, keep, device_road):
    "To within the bytes that the CPU rounds to."
    def own(): return loaders(folder(photos), 40, 6, 'cpu', keep, seed=3, augment=Augment(light=.2))
    plain, other = own(), device_road[0](own())
    for (a, ya), (b, yb) in zip([*plain.train, *plain.valid], [*other.train, *other.valid], strict=True):
        assert torch.equal(ya, yb) and (a - b).abs().max() < 2.1 / 255 / .22 and a.stride() == b.stride()


@pytest.mark.parametrize('keep', ['memory', 'disk'])
def test_a_device_cuts_from_what_stays_there(photos, monkeypatch, keep):
    "On meta, where nothing is computed, but everything must have come."
    monkeypatch.setattr(transforms, '_room', lambda device: 1e9)
    dls = loaders(folder(photos), 24, 6, 'meta', keep)
    xb, yb = next(iter(dls.train))
    assert xb.device.type == yb.device.type == 'meta' and xb.shape == (6, 3, 24, 24)
    assert xb.is_contiguous(memory_format=torch.channels_last)
    moved = transforms.resident(dls.pictures.x, 'meta')
    assert moved.device.type == 'meta' and transforms.resident(dls.with_(seed=3).pictures.x, 'meta') is moved
    sizes = []
    monkeypatch.setattr('coursehelpers.data.sent', lambda v, device: sizes.append(v.nbytes) or v.to(device))
    assert moved.shape == dls.pictures.x.shape and moved.is_contiguous(memory_format=torch.channels_last)
    next(iter(dls.with_(seed=3).valid))
    assert max(sizes) < 100, f'bytes sent for a batch: {sizes}; its pictures stay where they are'


def test_a_set_too_large_for_the_device_is_sent_by_batches(photos, monkeypatch):
    monkeypatch.setattr(transforms, '_room', lambda device: 10_000)
    dls, sizes = loaders(folder(photos), 24, 6, 'meta'), []
    monkeypatch.setattr('coursehelpers.data.sent', lambda v, device: sizes.append(v.nbytes) or v.to(device))
    xb, yb = dls.train.batch(0, 0)
    assert xb.device.type == 'meta' and max(sizes) == 6 * 3 * dls.pictures.x.shape[-1]**2


def test_an_unreadable_picture_is_left_out_on_that_road_too(photos, device_road, capsys):
    dls = device_road[0](loaders(folder(photos), 24, 6, 'cpu', 'stream'))
    file = dls.pictures.x.files[dls.valid.rows[1]]
    Path(file).write_bytes(Path(file).read_bytes()[:200])
    xb, yb = dls.valid.batch(0, 0)
    assert len(xb) == len(yb) == min(6, len(dls.valid.rows)) - 1 and Path(file).name in capsys.readouterr().out


def test_pictures_on_disk_move_whole(photos, monkeypatch):
    "All of them, to the byte: a second name for the CPU stands in for the device. One that rotted says so."
    monkeypatch.setattr(transforms, '_room', lambda device: 1e9)
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(photos/'.cache'))
    x, other = (loaders(folder(photos), 24, 6, 'cpu', 'disk').pictures.x for _ in range(2))
    moved = transforms.resident(x, 'cpu')
    assert moved is not x and torch.equal(moved, x[:])
    pack, = Path(settings().data.cache).glob('pictures/*-40px.u8')
    pack.write_bytes(bytes(pack.stat().st_size))
    with pytest.raises(Damaged, match='Make the loaders again'):
        transforms.resident(other, 'cpu')


# ---- load

def test_a_folder_keeps_all_its_pictures_until_the_profile_says_no(photos, monkeypatch, capsys):
    found = folder(photos)
    monkeypatch.setenv('COURSEHELPERS_PROFILE_CPU_IMAGES', str(len(found.train)))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'cpu')
    assert len(load(str(photos)).train) == len(found.train) and 'are used' not in capsys.readouterr().out
    monkeypatch.setenv('COURSEHELPERS_PROFILE_CPU_IMAGES', str(len(found.train) - 1))
    kept = load(str(photos))
    assert 0 < len(kept.train) < len(found.train)
    said = capsys.readouterr().out
    assert f'{len(kept.train)} of {len(found.train)}' in said and 'profile cpu' in said


def test_a_label_with_few_pictures_loses_none_to_a_limit(photos, monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'cpu')
    for file in [*photos.glob('cat/*.jpg')][3:]:
        file.unlink()
    for most, left in ((11, [2, 8]), (6, [2, 4]), (1, [1, 1])):
        monkeypatch.setenv('COURSEHELPERS_PROFILE_CPU_IMAGES', str(most))
        p = load(str(photos))
        assert p.y[p.train].bincount().tolist() == left


def test_what_a_folder_takes_goes_through_load(photos, tmp_path):
    assert not load(str(photos), flip=False).flip
    with pytest.raises(TypeError, match='digits.*flip'):
        load('digits', flip=False)
    (tmp_path/'set.zip').write_bytes(b'PK')
    with pytest.raises(DataError, match='unpack'):
        load(str(tmp_path/'set.zip'))
