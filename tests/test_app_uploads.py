"""Malformed uploads through the HTTP interface of the running app: each gets a clear sentence or a right answer, the
process lives on in bounded memory, and nothing is written outside its temporary folder."""
import io
import random
import re
import struct
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

import psutil
import pytest
from PIL import Image

from coursehelpers.base.files import DataError
from coursehelpers.deploy import Exported
from tests.serving import Client, light_model, serving

pytest.importorskip('gradio')


def picture(mode='RGB', size=(90, 70)): return Image.effect_noise(size, 60).convert(mode)


def saved(kind, mode='RGB', **options):
    out = io.BytesIO()
    picture(mode).save(out, kind, **options)
    return out.getvalue()


def frames(kind): return saved(kind, save_all=True, append_images=[picture(), picture()])


def deep():
    "A PNG of 16 bits."
    out = io.BytesIO()
    Image.linear_gradient('L').convert('I;16').save(out, 'PNG')
    return out.getvalue()


def turned(way, exif=None):
    "A JPEG whose camera noted that it lies in this way; or with these bytes in place of a note."
    if exif is not None: return saved('JPEG', exif=exif)
    note = Image.Exif()
    note[0x0112] = way
    return saved('JPEG', exif=note)


GOOD = {'plain.jpg': saved('JPEG'), 'slow.jpg': saved('JPEG', progressive=True), 'press.jpg': saved('JPEG', 'CMYK'),
        'grey.jpg': saved('JPEG', 'L'), 'plain.png': saved('PNG'), 'deep.png': deep(), 'bits.png': saved('PNG', '1'),
        'through.png': saved('PNG', 'RGBA'), 'plain.gif': saved('GIF'), 'moving.gif': frames('GIF'),
        'plain.webp': saved('WEBP'), 'moving.webp': frames('WEBP'), 'moving.png': frames('PNG'),
        'plain.bmp': saved('BMP'), 'plain.tif': saved('TIFF')}
TURNED = {f'turned {way}.jpg': turned(way) for way in (*range(10), 255, 65535)}


def chunk(name, data): return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def huge_png(side, rows=b''):
    "A PNG that claims to be `side` pixels wide and high, 8 bits grey."
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', rows or zlib.compress(bytes(1000))) + chunk(b'IEND', b'')


def zeros(side):
    "The compressed rows of an empty grey PNG: a file of some 100 kB that unpacks to `side` squared bytes."
    pack, row = zlib.compressobj(9), bytes(side + 1)
    return b''.join([*(pack.compress(row) for _ in range(side)), pack.flush()])


def patched(data, at, new): return data[:at] + new + data[at + len(new):]


def huge_jpeg(side):
    data = saved('JPEG')
    return patched(data, data.index(b'\xff\xc0') + 5, struct.pack('>HH', side, side))


BOMBS = {'claim.png': huge_png(50_000), 'claim.jpg': huge_jpeg(50_000), 'most.jpg': huge_jpeg(65_500),
         'claim.gif': patched(saved('GIF'), 6, struct.pack('<HH', 50_000, 50_000)),
         'claim.bmp': patched(saved('BMP'), 18, struct.pack('<ii', 50_000, 50_000)),
         'negative.bmp': patched(saved('BMP'), 18, struct.pack('<ii', -50_000, -50_000)),
         'nothing.png': huge_png(0),
         'words.png': saved('PNG')[:33] + chunk(b'zTXt', b'k\0\0' + zlib.compress(bytes(10**8))) + saved('PNG')[33:]}
OTHERS = {'text.jpg': b'Dear diary', 'empty.jpg': b'', 'zero.jpg': bytes(5000), 'page.png': b'<!doctype html><p>404',
          'drawing.svg': b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
          'paper.pdf': b'%PDF-1.7\n', 'archive.zip': b'PK\3\4' + bytes(100), 'pickle.jpg': b'\x80\4N.',
          'phone.heic': b'\0\0\0\x18ftypheic' + bytes(100), 'new.avif': b'\0\0\0\x18ftypavif' + bytes(100),
          'program.exe': b'MZ' + bytes(200), 'script.jpg': b'#!/bin/sh\ntouch ran\n', 'start.jpg': b'\xff\xd8\xff',
          'page.eps': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(ran) (w) file\n',
          'pixel.png': saved('PNG', 'L')[:60], 'bad.xml': b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]>',
          'lfs.jpg': b'version https://git-lfs.github.com/spec/v1\n', 'bom.jpg': '\ufeffhallo'.encode(),
          'exif.jpg': turned(1, b'Exif\0\0' + bytes(range(256))),
          'long exif.jpg': turned(1, b'Exif\0\0' + b'M' * 60_000),
          'loop.jpg': turned(1, b'Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0')}
NAMES = ['../../x.jpg', '..\\..\\x.jpg', '/etc/x.jpg', 'C:\\x.jpg', 'a' * 300 + '.jpg', 'ü' * 200 + '.jpg', 'a\0b.jpg',
         'CON', 'con.jpg', 'aux.png', 'nul', 'LPT1.jpg', '.', '..', ' ', '-rf', '$(touch ran).jpg', '`touch ran`.jpg',
         'a;b|c.jpg', 'größe.jpg', '\u202egpj.exe', '%2e%2e%2fx.jpg', 'a%00.jpg', '🐶.jpg', '~',
         '.htaccess', 'x.jpg.exe', 'file:///x.jpg', '<script>.jpg', "it's.jpg", 'a\tb.jpg', 'x.', 'no ending',
         '../' * 40 + 'x.jpg', 'state.json', '*?.jpg']


def mutated(seed):
    "(name, bytes) of a good picture with some bytes changed, cut off, doubled or in another's place."
    rng = random.Random(seed)
    name = rng.choice([*GOOD])
    data = bytearray(GOOD[name])
    how = seed % 4
    if how == 0:
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif how == 1:
        del data[rng.randrange(1, len(data)):]
    elif how == 2:
        at = rng.randrange(len(data))
        data[at:at] = rng.randbytes(rng.randint(1, 100))
    else: # the beginning counts most: sizes, modes, tables
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(min(60, len(data)))] = rng.randrange(256)
    return f'{seed} {name}', bytes(data)


NAMED = [(name, GOOD['plain.jpg']) for name in NAMES]
SOME = [*GOOD.items(), *[*BOMBS.items()][:5], *[*OTHERS.items()][:14], *NAMED[:14], *[*TURNED.items()][3:7],
        *map(mutated, range(8))]
ALL = [*GOOD.items(), *TURNED.items(), *BOMBS.items(), *OTHERS.items(), *NAMED, *map(mutated, range(440))]


@pytest.fixture(scope='module')
def model(tmp_path_factory): return light_model(tmp_path_factory.mktemp('model'))


@pytest.fixture
def served(model, tmp_path):
    with serving(model, tmp_path) as (process, base, log):
        yield psutil.Process(process.pid), Client(base), tmp_path
    assert not [path for path in (tmp_path/'tmp').rglob('*') if path.is_file()], 'uploads go with the process'
    assert 'ELSEWHERE' not in log.read_text()


def places(box, model):
    "The files where a program could leave something, the app's own temporary folder aside."
    inside = [path for home in (box, model) for path in home.rglob('*') if 'photographs-' not in str(path)]
    around = [path for home in (Path('/tmp'), Path.cwd(), Path.home(), Path('/')) for path in home.iterdir()]
    # what other programs do there meanwhile is theirs; a name of ours, or what a name asks to run, would be ours
    strange = [path for path in around if path.name in ('x', 'x.jpg', 'ran', 'b') or path.name.endswith('x.jpg')]
    return sorted(map(str, [*inside, *strange]))


def watched(process, seen, stop):
    while not stop.is_set():
        seen.append(process.memory_info().rss / 2**20)
        time.sleep(.02)


def judge(client, there, box, name, data):
    "(answered, no picture or refused; what is wrong with that, in words) of the app's answer to an upload."
    said, parts = client.name(data, name)
    if isinstance(said, int): # refused as it came
        clear = said in (400, 413) and parts and 'Traceback' not in parts
        return 'refused', '' if clear else f'{said} {parts[:200]}'
    if said is None: return 'raised', f'the app raised: {parts}'
    file = box/f'same{re.sub(r"[^.a-z]", "", Path(name).suffix)}'
    file.write_bytes(data)
    try:
        want = there.predict(file).parts
    except DataError:
        return 'no picture', '' if 'class="problem"' in said and not parts else f'no picture, and yet: {said}'
    return 'answered', '' if parts == pytest.approx(want, abs=1e-4) else f'{parts}, not {want}: {said}'


def send(served, model, cases, record):
    "Upload all of these; the highest memory is recorded."
    process, client, box = served
    there = Exported(model)
    (box/'same').mkdir()
    client.name(*reversed([*GOOD.items()][0]))
    before, seen, stop = places(box, model), [], threading.Event()
    watch = threading.Thread(target=watched, args=(process, seen, stop))
    start = process.memory_info().rss / 2**20
    watch.start()
    try:
        found = {name: judge(client, there, box/'same', name, data) for name, data in cases}
    finally:
        stop.set()
        watch.join()
    wrong = {name: why for name, (_, why) in found.items() if why}
    kinds = dict(Counter(kind for kind, _ in found.values()))
    for path in (box/'same').iterdir():
        path.unlink()
    told = f'{kinds}; {start:.0f} MB before, {max(seen):.0f} at most, {seen[-1]:.0f} afterwards'
    record('uploads', told)
    print(len(cases), told)
    assert not wrong, wrong
    assert process.is_running() and client.name(*reversed([*GOOD.items()][0]))[1]
    assert places(box, model) == before
    assert max(seen) < start + 1000, 'memory'


def test_some_uploads(served, model, record_property):
    assert len(SOME) >= 60
    send(served, model, SOME, record_property)


@pytest.mark.long
def test_five_hundred_uploads(served, model, record_property):
    assert len({data for _, data in ALL}) + len(NAMES) > 500
    send(served, model, ALL, record_property)


@pytest.mark.long
def test_pictures_that_unpack_to_a_hundred_megabytes(served, model, record_property):
    cases = [(f'{side}.png', huge_png(side, zeros(side))) for side in (5_000, 10_000, 13_000)]
    send(served, model, cases, record_property)
