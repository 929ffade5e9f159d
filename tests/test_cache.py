"cache: decoded once, changes noticed, two at once, killed half-way, full disks and rotten bytes."
import builtins
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coursehelpers.base.threads import each
from coursehelpers.data import loaders
from coursehelpers.images import cache, reading
from coursehelpers.images.cache import Damaged, OnDisk, Streamed, cache_size, cached, clear_cache
from coursehelpers.images.folders import folder
from coursehelpers.images.sets import take


@pytest.fixture
def home(tmp_path, monkeypatch):
    "A cache of its own."
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


@pytest.fixture
def photos(tmp_path): return make(tmp_path/'photos', 12)


def make(path, n, size=40):
    "A folder of n different pictures in two labels."
    g = np.random.default_rng(0)
    for i in range(n):
        (path/'ab'[i % 2]).mkdir(parents=True, exist_ok=True)
        noise = Image.fromarray(g.integers(0, 255, (5, 6, 3), 'uint8'))
        noise.resize((size + 20, size)).save(path/'ab'[i % 2]/f'{i:05}.jpg')
    return path


@pytest.fixture
def reads(monkeypatch):
    "The names of the files that are decoded, as it happens."
    seen = []
    read = reading.read_picture
    monkeypatch.setattr(cache, 'read_picture', lambda file, size: seen.append(Path(file).name) or read(file, size))
    return seen


def packs(home): return sorted(home.glob('pictures/*.u8'))


# ---- once

@pytest.mark.parametrize('keep, kind', [('memory', torch.Tensor), ('disk', OnDisk), ('stream', Streamed)])
def test_three_ways_one_content(home, photos, keep, kind):
    p, plain = cached(folder(photos), 24, keep), cached(folder(photos), 24, 'memory')
    assert isinstance(p.x, kind) and p.x.shape == (12, 3, 24, 24) and torch.equal(p.aspect, plain.aspect)
    assert torch.equal(p.x[torch.arange(12)], plain.x) and torch.equal(p.x[3], plain.x[3])


def test_each_picture_is_decoded_once(home, photos, reads):
    for keep in ('memory', 'disk', 'memory'):
        cached(folder(photos), 24, keep)
    assert len(reads) == 12
    loaders(folder(photos), 24, 4, 'cpu') # another size to keep them at
    assert len(reads) == 24


def test_what_was_decoded_now_is_not_read_back(home, photos, monkeypatch):
    "Only what lay there before is: a new picture beside twelve, one that is damaged among them."
    (photos/'a'/'00002.jpg').write_bytes(b'')
    with monkeypatch.context() as m:
        m.setattr(OnDisk, 'read', lambda *args: pytest.fail('read back'))
        first = cached(folder(photos), 24)
    Image.new('RGB', (50, 50), 'red').save(photos/'a'/'00000.jpg')
    rows, read = [], OnDisk.read
    monkeypatch.setattr(OnDisk, 'read', lambda x, row, out: rows.append(row) or read(x, row, out))
    second = cached(folder(photos), 24)
    assert len(rows) == 10 and torch.equal(second.x[1:], first.x[1:]) and not torch.equal(second.x[0], first.x[0])
    assert len(first) == 11 and torch.equal(cached(folder(photos), 24).x, second.x)


def test_what_is_new_or_changed_is_decoded_and_nothing_else(home, photos, reads):
    before = cached(folder(photos), 24)
    reads.clear()
    Image.new('RGB', (50, 50), 'red').save(photos/'a'/'00004.jpg')
    Image.new('RGB', (50, 50), 'lime').save(photos/'b'/'new.jpg')
    after = cached(folder(photos), 24)
    assert sorted(reads) == ['00004.jpg', 'new.jpg'] and len(after) == 13
    assert after.x[2].float().mean((1, 2)).round().tolist() == [254, 0, 0] and torch.equal(after.x[:2], before.x[:2])


def test_a_change_that_hides_its_date_and_size_is_noticed(home, photos, reads):
    file = photos/'a'/'00000.jpg'
    cached(folder(photos), 24)
    reads.clear()
    old, content = file.stat(), bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x15
    file.write_bytes(content)
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert file.stat().st_size == old.st_size and file.stat().st_mtime_ns == old.st_mtime_ns
    cached(folder(photos), 24)
    assert reads == ['00000.jpg']


def test_known_files_are_not_even_read(home, photos, monkeypatch):
    cached(folder(photos), 24)
    found = folder(photos)
    monkeypatch.setattr(Path, 'read_bytes', lambda path: pytest.fail(f'{path} was read'))
    monkeypatch.setattr(Image, 'open', lambda path: pytest.fail(f'{path} was read'))
    assert len(cached(found, 24)) == 12


def test_damaged_files_are_remembered_too(home, photos, reads):
    file = photos/'a'/'00000.jpg'
    file.write_bytes(file.read_bytes()[:-100])
    first = cached(folder(photos), 24)
    reads.clear()
    second = cached(folder(photos), 24)
    assert reads == [] and len(second) == 11 and second.report == first.report and 'damaged' in second.report[0].what


def test_the_same_bytes_under_an_honest_name_are_not_reported(home, photos):
    Image.new('P', (40, 30)).save(photos/'a'/'odd.jpg', format='GIF')
    shutil.copy(photos/'a'/'odd.jpg', photos/'b'/'odd.gif')
    for _ in range(2):
        p = cached(folder(photos), 24)
    assert len(p) == 14 and [Path(q.file).name for q in p.report] == ['odd.jpg']


def test_a_part_of_a_set_is_not_decoded_again(home, photos, reads):
    whole = cached(folder(photos), 24)
    some = cached(take(folder(photos), torch.tensor([11, 2])), 24)
    assert len(reads) == 12 and torch.equal(some.x, whole.x[[11, 2]])


def test_a_file_that_may_not_be_read_says_so(home, photos, monkeypatch):
    "And it is tried again the next time. (As root everything may be read: `open` refuses instead.)"
    def refuse(path, *args, **options):
        if str(path).endswith('00004.jpg'):
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path, *args, **options)
    real = builtins.open
    found = folder(photos)
    with monkeypatch.context() as m:
        m.setattr(builtins, 'open', refuse)
        p = cached(found, 24)
    assert [(Path(q.file).name, q.what) for q in p.report] == [('00004.jpg', 'cannot be read: Permission denied')]
    assert len(cached(found, 24)) == 12


def test_a_file_that_is_gone_says_so(home, photos):
    found = folder(photos)
    (photos/'a'/'00004.jpg').unlink()
    p = cached(found, 24)
    assert [(Path(q.file).name, q.what) for q in p.report] == [('00004.jpg', 'no such file')]


def test_a_folder_that_may_not_be_looked_into_says_so(home, photos, monkeypatch):
    def refuse(path, *args, **options):
        if 'photos/b' in str(path):
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path, *args, **options)
    real, found = os.stat, folder(photos)
    real_open = builtins.open
    def no_open(path, *args, **options):
        if 'photos/b' in str(path):
            raise PermissionError(13, 'Permission denied', str(path))
        return real_open(path, *args, **options)
    with monkeypatch.context() as m:
        m.setattr(os, 'stat', refuse)
        m.setattr(builtins, 'open', no_open)
        p = cached(found, 24)
    assert {q.what for q in p.report if q.used is False} == {'cannot be read: Permission denied'} and len(p) == 6


# ---- where it is kept

def test_the_limit_in_settings_decides(home, photos, monkeypatch):
    assert isinstance(cached(folder(photos), 24).x, torch.Tensor)
    big = make(photos.parent/'big', 2)
    monkeypatch.setenv('COURSEHELPERS_DATA_MEMORY', '1') # megabyte: two pictures of 500 pixels are 1.5
    assert isinstance(cached(folder(big), 500).x, OnDisk)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10, 10, 1_000_000))
    assert isinstance(cached(folder(big), 600).x, Streamed)


def test_an_unknown_place_is_told(home, photos):
    with pytest.raises(ValueError, match="'ram'.*auto, memory, disk, stream"):
        cached(folder(photos), 24, 'ram')


def test_cleared(home, photos, reads):
    cached(folder(photos), 24)
    assert cache_size() > 12 * 24 * 24 * 3
    clear_cache()
    assert cache_size() == 0 and len(cached(folder(photos), 24)) == 12 and len(reads) == 24


def test_many_threads_read_the_right_pictures(home, photos):
    x, plain, wrong = cached(folder(photos), 24, 'disk').x, cached(folder(photos), 24).x, []
    each(lambda i: wrong.append(i) if not torch.equal(x[i % 12], plain[i % 12]) else None, 2000)
    assert not wrong


def test_without_preadv_it_is_read_all_the_same(home, photos, monkeypatch):
    monkeypatch.delattr(os, 'preadv')
    assert torch.equal(cached(folder(photos), 24, 'disk').x[:], cached(folder(photos), 24).x)


# ---- trouble

def test_a_full_disk_is_no_loss(home, photos, monkeypatch, capsys):
    def full(file, mode='r', **options):
        if 'a' in mode:
            raise OSError(28, 'No space left on device')
        return open(file, mode, **options)
    monkeypatch.setattr(cache, 'open', full, raising=False)
    p = cached(folder(photos), 24)
    said = capsys.readouterr().out
    assert len(p) == 12 and isinstance(p.x, torch.Tensor) and packs(home) == []
    assert 'No space left' in said and '[data] cache' in said and 'stay in memory' in said
    monkeypatch.setenv('COURSEHELPERS_DATA_MEMORY', '1') # megabyte: two pictures of 500 pixels are 1.5
    big = folder(make(photos.parent/'big', 2))
    for keep in ('auto', 'memory', 'disk'):
        assert isinstance(cached(big, 500, keep).x, Streamed)
    assert 'decoded anew' in capsys.readouterr().out


def test_a_cache_folder_that_cannot_be_made(photos, monkeypatch, capsys, tmp_path):
    (tmp_path/'file').write_text('in the way')
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path/'file'/'cache'))
    assert len(cached(folder(photos), 24)) == 12 and 'stay in memory' in capsys.readouterr().out


@pytest.mark.parametrize('harm', ['cut', 'empty', 'gone', 'index', 'no index', 'long'])
def test_a_damaged_pack_is_made_again(home, photos, reads, harm):
    "As much of it as is lost. For ever after nothing is decoded."
    whole = cached(folder(photos), 24).x
    pack, = packs(home)
    index = pack.with_suffix('.jsonl')
    if harm == 'cut':
        pack.write_bytes(pack.read_bytes()[:-7])
    if harm == 'empty':
        pack.write_bytes(b'')
    if harm == 'gone':
        pack.unlink()
    if harm == 'index':
        index.write_text(index.read_text()[:-20])
    if harm == 'no index':
        index.unlink()
    if harm == 'long':
        pack.write_bytes(pack.read_bytes() + b'half a picture')
    assert torch.equal(cached(folder(photos), 24).x, whole)
    lost = dict(cut=1, index=1, long=0).get(harm, 12)
    assert len(reads) == 12 + lost
    Image.new('RGB', (50, 50), 'red').save(photos/'a'/'new.jpg')
    for keep in ('memory', 'disk'):
        assert torch.equal(cached(folder(photos), 24, keep).x[:][:6], whole[:6])
    assert len(reads) == 13 + lost


@pytest.mark.parametrize('seed', range(40))
def test_a_flip_in_the_index_is_noticed(home, photos, seed):
    "Whatever it hits: a number, a name, a bracket, a line break."
    file = photos/'a'/'00000.jpg'
    file.write_bytes(file.read_bytes()[:-100])
    before = cached(folder(photos), 24)
    index = packs(home)[0].with_suffix('.jsonl')
    content, g = bytearray(index.read_bytes()), random.Random(seed)
    content[g.randrange(len(content))] ^= 1 << g.randrange(8)
    index.write_bytes(content)
    for keep in ('memory', 'disk'):
        after = cached(folder(photos), 24, keep)
        assert torch.equal(after.x[:], before.x)
        assert torch.equal(after.aspect, before.aspect) and after.report == before.report


def rot(pack, at):
    "Change one byte."
    content = bytearray(pack.read_bytes())
    content[at] ^= 1
    pack.write_bytes(content)


def test_one_wrong_bit_is_found_in_memory(home, photos, capsys):
    whole = cached(folder(photos), 24).x
    rot(packs(home)[0], 5 * 24 * 24 * 3 + 9)
    assert torch.equal(cached(folder(photos), 24).x, whole)
    said = capsys.readouterr().out
    assert 'the checksum of picture 5 is wrong' in said and 'stay in memory' not in said and len(packs(home)) == 1


def test_one_wrong_bit_is_found_when_it_is_first_read(home, photos):
    x = cached(folder(photos), 24, 'disk').x
    rot(packs(home)[0], 5 * 24 * 24 * 3 + 9)
    assert x[4].shape == (3, 24, 24)
    with pytest.raises(Damaged, match='Make the loaders again'):
        x[5]
    assert cached(folder(photos), 24, 'disk').x[5].shape == (3, 24, 24)


def test_a_pack_that_is_cut_off_while_it_is_open(home, photos):
    x = cached(folder(photos), 24, 'disk').x
    os.truncate(packs(home)[0], 5 * 24 * 24 * 3 + 9)
    assert x[4].shape == (3, 24, 24)
    with pytest.raises(Damaged, match='Make the loaders again'):
        x[5]


BUILD = '''
import sys, time
from coursehelpers.images import cache
from coursehelpers.images import reading
from coursehelpers.images.folders import folder
slow, reads = float(sys.argv[2]), []
read = reading.read_picture
cache.read_picture = lambda file, size: (reads.append(file), time.sleep(slow), read(file, size))[2]
cache._chunk = 24 * 24 * 3 * 10 # ten pictures at a time
print('start', flush=True)
p = cache.cached(folder(sys.argv[1]), 24)
print(len(p), int(p.x.long().sum()), len(reads), flush=True)
'''


def build(photos, slow):
    return subprocess.Popen([sys.executable, '-c', BUILD, photos, str(slow)], stdout=subprocess.PIPE, text=True)


@pytest.mark.long
def test_two_processes_at_once(home, tmp_path):
    photos = make(tmp_path/'many', 60)
    both = [build(photos, .005) for _ in range(2)]
    (n, pixels, reads), other = (map(int, child.communicate()[0].splitlines()[-1].split()) for child in both)
    *same, other_reads = other
    assert [n, pixels] == same and n == 60
    assert sorted([reads, other_reads]) == [0, 60], 'the second found what the first had made'


@pytest.mark.long
def test_killed_at_any_moment(home, tmp_path, reads):
    "SIGKILL while it builds: what was finished is kept, the rest is made by the next one, and all of it is right."
    photos = make(tmp_path/'many', 60)
    for wait in (.15, .3, .45):
        child = build(photos, .02)
        child.stdout.readline()
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    kept = sum(bool(line) for p in home.glob('pictures/*.jsonl') for line in p.read_text().splitlines())
    p = cached(folder(photos), 24)
    assert len(reads) == 60 - kept and len(p) == 60
    clear_cache()
    assert torch.equal(cached(folder(photos), 24).x, p.x)
