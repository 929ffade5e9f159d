"data: pictures made on the spot, files that lie, splits, and downloads that fail half-way."
import http.server
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from coursehelpers import data
from coursehelpers.data import DataError, Pictures, decode, fetch, few, folder, load, loaders, pets, photo_digits, stratified, tell

SHARED = Path(__file__).parents[2]/'shared'/'data'
needs_pets = pytest.mark.skipif(not (SHARED/'pets224').is_dir(), reason='the real photographs (../shared/data) are not here')


@pytest.fixture
def pictures(tmp_path):
    "A folder with two labels of six good pictures each."
    for label, colour in (('cat', 'teal'), ('dog', 'navy')):
        (tmp_path/label).mkdir()
        for i in range(6): Image.new('RGB', (90, 60), colour).save(tmp_path/label/f'{i}.jpg')
    return tmp_path


@pytest.fixture
def server(tmp_path):
    "A web server on 127.0.0.1 that serves tmp_path/www; under /cut/ it promises all and sends half."
    (tmp_path/'www').mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args): super().__init__(*args, directory=str(tmp_path/'www'))
        def log_message(self, *args): pass
        def do_GET(self):
            if not self.path.startswith('/cut/'): return super().do_GET()
            whole = (tmp_path/'www'/self.path[5:]).read_bytes()
            self.send_response(200)
            self.send_header('Content-Length', str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[:len(whole) // 2])

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}', tmp_path/'www'
        running.shutdown()


# ---- photo_digits

@pytest.mark.parametrize('size', [24, 64, 450])
def test_photo_digits_are_the_same_for_the_same_seed(size):
    a, b, c = photo_digits(30, size, seed=4), photo_digits(30, size, seed=4), photo_digits(30, size, seed=5)
    assert a.x.shape == (30, 3, size, size) and a.x.dtype == torch.uint8
    assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.masks, b.masks)
    assert not torch.equal(a.x, c.x)


def test_photo_digits_do_not_touch_the_global_random_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    photo_digits(10, 24)
    assert torch.equal(before, torch.get_rng_state())


def test_masks_are_exact():
    "Inverted inside its mask, every picture is a plain crop of one of the two photographs, byte for byte."
    p, size = photo_digits(12, 32, seed=1), 32
    plain = torch.where(p.masks[:, None], 255 - p.x, p.x)
    windows = data._sources()[2].unfold(2, size, 1).unfold(3, size, 1) # (2, 3, tops, lefts, size, size)
    for x, mask in zip(plain, p.masks, strict=True):
        same = (windows[..., 0, 0] == x[:, 0, 0][None, :, None, None]).all(1) & (windows[..., -1, -1] == x[:, -1, -1][None, :, None, None]).all(1)
        assert any(torch.equal(windows[i, :, t, left], x) for i, t, left in same.nonzero().tolist())
        assert .03 < mask.float().mean() < .5


def test_no_handwritten_digit_is_in_both_splits(monkeypatch):
    seen = []
    monkeypatch.setattr(data, '_placed', lambda digits, size, g: seen.append(digits) or torch.zeros(len(digits), size, size, dtype=torch.bool))
    p = photo_digits(3000, 8, valid=.3)
    train, valid = ({tuple(d.flatten().tolist()) for d in seen[0][rows]} for rows in (p.train, p.valid))
    assert not train & valid and len(train) > 1000 and len(valid) > 400


@pytest.mark.parametrize('labels, vocab', [(range(5), list('01234')), ([7, 3], list('37')), (None, list('0123456789'))])
def test_photo_digits_of_some_labels(labels, vocab):
    p = photo_digits(100, 16, labels=labels)
    assert p.vocab == vocab and set(p.y.tolist()) == set(range(len(vocab))) and len(p.valid) == 20


# ---- splits and loaders

def test_few_keeps_the_held_out_pictures():
    p = photo_digits(400, 16)
    q = few(p, 3, held=50, seed=1)
    assert q.y[q.train].bincount().tolist() == [3] * 10 and len(q.valid) == 50
    assert set(q.valid.tolist()) <= set(p.valid.tolist()) and set(q.train.tolist()) <= set(p.train.tolist())


def test_a_label_with_one_picture_stays_in_training():
    train, valid = stratified(torch.tensor([0, 1, 1, 1]), .9)
    assert 0 in train and len(valid) == 2 and len(train) == 2


def test_loaders_are_reproducible_and_see_everything():
    p = photo_digits(90, 16, valid=.3)
    runs = [[torch.cat([xb for xb, _ in loaders(p, batch_size=16, device='cpu', seed=s).train]) for _ in range(1)][0] for s in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    plain = loaders(p, batch_size=16, device='cpu', augment=False)
    first, second = (torch.cat([yb for _, yb in plain.train]) for _ in range(2))
    assert not torch.equal(first, second), 'each epoch has its own order'
    assert first.sort().values.tolist() == second.sort().values.tolist() == p.y[p.train].sort().values.tolist()
    assert torch.equal(torch.cat([yb for _, yb in plain.valid]), p.y[p.valid])


def test_normalised_as_torchvision_does():
    from torchvision.transforms.v2 import functional as T
    p = photo_digits(8, 16)
    load = loaders(p, batch_size=8, device='cpu').valid
    xb, _ = next(iter(load))
    expected = T.normalize(T.to_dtype(p.x[p.valid], torch.float32, scale=True), data.imagenet_mean, data.imagenet_std)
    assert torch.allclose(xb, expected, atol=1e-6)


def test_an_empty_split_is_an_error(pictures):
    for i in range(6): (pictures/'cat'/f'{i}.jpg').write_bytes(b'')
    p = Pictures('p', sorted(pictures.glob('*/*.jpg')), torch.arange(12) // 6, ['cat', 'dog'], torch.arange(6, 12), torch.arange(6))
    with pytest.raises(DataError, match='(?s)valid split.*6 files left out'): loaders(p, 16, 4)


# ---- files

def test_decode_is_what_PIL_does_by_hand(tmp_path):
    g = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 255, (6, 9, 3), generator=g, dtype=torch.uint8).numpy()
    big = Image.fromarray(noise).resize((900, 600), Image.Resampling.BICUBIC)
    big.save(tmp_path/'a.png')
    p = decode(Pictures('one', [tmp_path/'a.png'], torch.tensor([0]), ['a'], torch.tensor([0]), torch.tensor([0])), 60)
    by_hand = big.resize((90, 60), Image.Resampling.BICUBIC).crop((15, 0, 75, 60))
    assert (p.x[0].permute(1, 2, 0).int() - torch.from_numpy(np.array(by_hand))).abs().max() <= 3


def test_bad_files_are_named_and_left_out(pictures):
    (pictures/'cat'/'0.jpg').write_bytes((pictures/'cat'/'0.jpg').read_bytes()[:400])
    (pictures/'cat'/'1.jpg').write_bytes(b'')
    (pictures/'dog'/'2.jpg').write_text('no picture')
    (pictures/'dog'/'stray.mat').write_bytes(b'MATLAB')
    p = decode(folder(pictures), 24)
    assert len(p) == 9 and len(p.x) == len(p.y) == len(p.train) + len(p.valid)
    said = tell(p.report)
    assert said.startswith('3 files left out, 0 converted') and '0.jpg: damaged' in said
    assert '1.jpg: empty file, 0 bytes' in said and '2.jpg: not a picture' in said and 'mat' not in said
    assert (p.x[p.y == 0].float().mean((0, 2, 3))[1] > 100) and (p.x[p.y == 1].float().mean((0, 2, 3))[1] < 50), 'labels still belong to their pictures'


def test_nothing_readable_is_an_error(pictures):
    for f in pictures.glob('*/*.jpg'): f.write_bytes(b'')
    with pytest.raises(DataError, match='(?s)none of 12 files.*empty file'): decode(folder(pictures), 24)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'LA', 'CMYK', 'I;16', '1'])
def test_every_mode_becomes_rgb(tmp_path, mode):
    Image.new(mode, (40, 30)).save(tmp_path/'a.tif')
    assert data.read_picture(tmp_path/'a.tif', 16)[0].shape == (16, 16, 3)


def test_sixteen_bits_become_eight(tmp_path):
    Image.fromarray(np.full((20, 20), 257 * 90, 'uint16')).save(tmp_path/'a.png')
    assert (data.read_picture(tmp_path/'a.png', 16)[0] == 90).all()


def test_a_gif_named_jpg_is_used_and_reported(tmp_path):
    Image.new('P', (40, 30)).save(tmp_path/'a.jpg', format='GIF')
    pixels, problem = data.read_picture(tmp_path/'a.jpg', 16)
    assert pixels is not None and problem.used and problem.what == 'named .jpg but is a GIF: converted'


def test_a_sideways_photo_is_turned(tmp_path):
    im = Image.new('RGB', (60, 60))
    im.paste((255, 255, 255), (0, 0, 60, 30))
    exif = Image.Exif()
    exif[0x0112] = 3 # upside down
    im.save(tmp_path/'a.jpg', exif=exif)
    assert data.read_picture(tmp_path/'a.jpg', 60)[0][45:].mean() > 200


def test_folder_messages(tmp_path):
    with pytest.raises(DataError, match='no such folder'): folder(tmp_path/'gone')
    with pytest.raises(DataError, match='pictures of 0 labels'): folder(tmp_path)
    with pytest.raises(DataError, match="no data set or folder 'cats'"): load('cats')


@pytest.mark.skipif(not (SHARED/'pets_oddities').is_dir(), reason='../shared/data is not here')
def test_the_oddities_of_the_pets_are_read_and_reported():
    files = sorted((SHARED/'pets_oddities').glob('*.jpg'))
    p = decode(Pictures('odd', files, torch.tensor([0, 0]), ['Abyssinian'], torch.tensor([0]), torch.tensor([1])), 64)
    assert len(p) == 2 and sorted(q.what for q in p.report) == ['named .jpg but is a GIF: converted', 'named .jpg but is a PNG: converted']
    assert all(q.used for q in p.report)


# ---- pets

@needs_pets
def test_pets_from_a_folder():
    p = pets(SHARED, download=False)
    assert (len(p.train), len(p.valid), len(p.vocab)) == (259, 111, 37)
    assert p.y[p.train].bincount().tolist() == [7] * 37 and p.y[p.valid].bincount().tolist() == [3] * 37
    assert pets(SHARED/'pets224', 'trainval.txt', 'test.txt').vocab == p.vocab


def test_pets_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(DataError, match='no pets here.*COURSEHELPERS_DATA_ROOT'): pets(tmp_path, download=False)
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'missing'))
    assert load().name == 'photo_digits', 'auto takes what is there'


@pytest.fixture
def tiny_pets(tmp_path, server, monkeypatch):
    "Two archives as the official ones, served from the mirror; the official address is closed. Gives the mirror."
    from torchvision.datasets import OxfordIIITPet
    url, www = server
    (www/'oxford-iiit-pet').mkdir()
    src = tmp_path/'src'
    for d in ('images', 'annotations'): (src/d).mkdir(parents=True)
    for name in ('Bengal_1', 'pug_1', 'Bengal_2', 'pug_2'): Image.new('RGB', (40, 30)).save(src/'images'/f'{name}.jpg')
    for file, i in (('trainval', 1), ('test', 2)): (src/'annotations'/f'{file}.txt').write_text(f'Bengal_{i} 1 1 1\npug_{i} 2 2 1\n')
    resources = []
    for d in ('images', 'annotations'):
        with tarfile.open(www/'oxford-iiit-pet'/f'{d}.tar.gz', 'w:gz') as tar: tar.add(src/d, d)
        resources.append((f'http://127.0.0.1:9/{d}.tar.gz', data._md5(www/'oxford-iiit-pet'/f'{d}.tar.gz')))
    monkeypatch.setattr(OxfordIIITPet, '_RESOURCES', tuple(resources))
    return url


def test_pets_come_from_a_mirror(tmp_path, tiny_pets, monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', f'{tiny_pets}/nowhere {tiny_pets}')
    p = pets(tmp_path/'root')
    assert p.vocab == ['Bengal', 'pug'] and len(p.train) == 2
    assert sorted(f.name for f in (tmp_path/'root').iterdir()) == ['oxford-iiit-pet']
    assert sorted(f.name for f in (tmp_path/'root'/'oxford-iiit-pet').iterdir()) == ['annotations', 'images']


@pytest.mark.parametrize('mirror', ['', '{}/cut', '{}/nowhere'])
def test_pets_that_cannot_be_fetched_leave_nothing(tmp_path, tiny_pets, monkeypatch, mirror):
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', mirror.format(tiny_pets) or 'no/such/folder')
    with pytest.raises(DataError, match='(?s)no pets here.*The download failed'): pets(tmp_path/'root')
    assert list((tmp_path/'root').iterdir()) == []


# ---- fetch

def test_fetch(server, tmp_path):
    url, www = server
    (www/'a.bin').write_bytes(b'x' * 100_000)
    assert fetch(tmp_path/'to'/'a.bin', [f'{url}/gone.bin', f'{url}/a.bin']).read_bytes() == b'x' * 100_000
    assert fetch(tmp_path/'to'/'b.bin', [www/'a.bin']).stat().st_size == 100_000
    assert fetch(tmp_path/'to'/'c.bin', [f'{url}/a.bin'], md5=data._md5(www/'a.bin')).exists()


@pytest.mark.parametrize('source, why', [('{}/cut/a.bin', 'cut off after 50000 of 100000 bytes'), ('{}/gone.bin', '404'),
                                         ('http://127.0.0.1:9/a.bin', 'refused'), ('/no/such/file', 'No such file')])
def test_a_failed_fetch_leaves_what_was_there(server, tmp_path, source, why):
    url, www = server
    (www/'a.bin').write_bytes(b'x' * 100_000)
    (tmp_path/'a.bin').write_text('old')
    with pytest.raises(DataError, match=why): fetch(tmp_path/'a.bin', [source.format(url)])
    assert (tmp_path/'a.bin').read_text() == 'old' and not list(tmp_path.glob('.*.part'))


def test_fetch_refuses_wrong_bytes(server, tmp_path):
    url, www = server
    (www/'a.bin').write_bytes(b'x')
    with pytest.raises(DataError, match='md5 is wrong'): fetch(tmp_path/'a.bin', [f'{url}/a.bin'], md5='0' * 32)
    assert not (tmp_path/'a.bin').exists()
