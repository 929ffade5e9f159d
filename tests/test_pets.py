"pets: found, fetched from a mirror, or a clear word."
import hashlib
import tarfile

import pytest
from PIL import Image

from coursehelpers.base.files import DataError
from coursehelpers.images import pets as module
from coursehelpers.images.pets import find_pets, pets, whole_pets

from .test_files import server  # noqa: F401, a fixture


def test_pets_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match='no pets here.*COURSEHELPERS_DATA_ROOT'):
        whole_pets(tmp_path, download=False)
    assert find_pets(tmp_path) is None


def test_no_such_list():
    with pytest.raises(DataError, match='typo.txt.*trainval.txt'):
        pets(None, 'typo.txt')


@pytest.fixture
def tiny_pets(tmp_path, server, monkeypatch):  # noqa: F811
    "Two archives as the official ones, served from the mirror; the official address is closed. Gives the mirror."
    url, www = server
    (www/'oxford-iiit-pet').mkdir()
    src = tmp_path/'src'
    for d in ('images', 'annotations'):
        (src/d).mkdir(parents=True)
    for name in ('Bengal_1', 'pug_1', 'Bengal_2', 'pug_2'):
        Image.new('RGB', (40, 30)).save(src/'images'/f'{name}.jpg')
    for file, i in (('trainval', 1), ('test', 2)):
        (src/'annotations'/f'{file}.txt').write_text(f'Bengal_{i} 1 1 1\npug_{i} 2 2 1\n')
    for d in ('images', 'annotations'):
        archive = www/'oxford-iiit-pet'/f'{d}.tar.gz'
        with tarfile.open(archive, 'w:gz') as tar:
            tar.add(src/d, d)
        monkeypatch.setitem(module.pets_archives, archive.name, hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(module, 'pets_source', 'http://127.0.0.1:9')
    return url


def test_pets_come_from_a_mirror(tmp_path, tiny_pets, monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', f'{tiny_pets}/nowhere {tiny_pets}')
    p = pets(whole_pets(tmp_path/'root'))
    assert p.vocab == ['Bengal', 'pug'] and len(p.train) == 2
    assert sorted(f.name for f in (tmp_path/'root').iterdir()) == ['oxford-iiit-pet']
    assert sorted(f.name for f in (tmp_path/'root'/'oxford-iiit-pet').iterdir()) == ['annotations', 'images']


@pytest.mark.parametrize('mirror', ['', '{}/cut', '{}/nowhere'])
def test_pets_that_cannot_be_fetched_leave_nothing(tmp_path, tiny_pets, monkeypatch, mirror):
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', mirror.format(tiny_pets) or 'no/such/folder')
    with pytest.raises(DataError, match='(?s)no pets here.*The download failed'):
        whole_pets(tmp_path/'root')
    assert list((tmp_path/'root').iterdir()) == []
