"The data that comes with the course: whole, licensed, compared with its checksums, and made again by one script."
import hashlib
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from coursehelpers.base import samples
from coursehelpers.base.files import DataError, shipped
from coursehelpers.base.samples import checksums, sample
from coursehelpers.data import load
from coursehelpers.images.pets import pets
from coursehelpers.nets.weights import find_weights
from scripts import make_samples

HOME = shipped('samples')
PETS = HOME/'oxford-iiit-pet'


def test_every_file_is_listed_and_as_listed():
    listed = checksums(HOME)
    there = {f.relative_to(HOME).as_posix() for f in HOME.rglob('*') if f.is_file()}
    assert there == {*listed, 'README.md', 'checksums.txt'}
    assert all(hashlib.sha256((HOME/f).read_bytes()).hexdigest() == digest for f, digest in listed.items())
    assert sum((HOME/f).stat().st_size for f in there) < 20e6


def test_each_photograph_has_its_trimap():
    photos = sorted((PETS/'images').iterdir())
    assert len(photos) == 940
    for photo in photos:
        with Image.open(photo) as im, Image.open(PETS/'annotations'/'trimaps'/f'{photo.stem}.png') as trimap:
            assert im.format == 'JPEG' and im.mode == 'RGB' and im.size == trimap.size and min(im.size) <= 192
            assert {value for _, value in trimap.getcolors()} <= {1, 2, 3}, photo.stem


def test_the_balanced_split_and_the_rest():
    p = load('pets')
    assert p.y[p.train].bincount().tolist() == [7] * 37 and p.y[p.valid].bincount().tolist() == [3] * 37
    more = pets(None, 'trainval.txt', 'test.txt')
    counts = Counter(more.vocab[k] for k in more.y.tolist())
    assert {name for name, n in counts.items() if n > 10} == {'Abyssinian', 'Bengal', 'american_bulldog'}


def test_sources_and_licences_are_told(capsys):
    readme = (HOME/'README.md').read_text()
    for words in ('CC BY-SA 4.0', 'Apache-2.0', 'Parkhi', 'short side 192', 'mobilenetv2_100', 'made smaller'):
        assert words in readme
    load('pets')
    assert 'CC BY-SA 4.0' in capsys.readouterr().out, 'the credit line'
    assert 'CC BY-SA 4.0' in Path(HOME.parents[1]/'README.md').read_text()


@pytest.fixture
def copy(tmp_path, monkeypatch):
    "A copy of the sample's smaller parts that may be spoilt, in place of the true one."
    home = tmp_path/'samples'
    home.mkdir()
    shutil.copy(HOME/'titanic_train.csv', home)
    (home/'weights').mkdir()
    (home/'weights'/'a.safetensors').write_bytes(b'numbers')
    lines = [f'{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(home).as_posix()}\n'
             for f in home.rglob('*') if f.is_file()]
    (home/'checksums.txt').write_text(''.join(lines))
    monkeypatch.setattr(samples, 'shipped', lambda name: tmp_path/name)
    sample.cache_clear()
    yield home
    sample.cache_clear()


def spoil(file): file.write_bytes(file.read_bytes() + b' ')
def remove(file): file.unlink()


@pytest.mark.parametrize('harm', [spoil, remove])
@pytest.mark.parametrize('part, file',
                         [('titanic_train.csv', 'titanic_train.csv'), ('weights', 'weights/a.safetensors')])
def test_a_file_that_is_missing_or_was_changed(copy, harm, part, file):
    assert sample(part) == copy/part
    sample.cache_clear()
    harm(copy/file)
    with pytest.raises(DataError, match='(?s)(reinstall|git checkout)') as e:
        sample(part)
    assert str(copy/file) in str(e.value)


def test_no_such_part_and_no_list(copy):
    with pytest.raises(DataError, match='nothing.csv'):
        sample('nothing.csv')
    (copy/'checksums.txt').unlink()
    with pytest.raises(DataError, match='checksums.txt'):
        sample('weights')


def test_weights_come_with_the_course_but_yours_go_first(tmp_path):
    assert find_weights('mobilenetv2_100', tmp_path) == HOME/'weights'/make_samples.WEIGHTS
    (tmp_path/'weights').mkdir()
    own = tmp_path/'weights'/'mobilenetv2_100.safetensors'
    own.touch()
    assert find_weights('mobilenetv2_100', tmp_path) == own and find_weights('resnet50', tmp_path) is None


@pytest.fixture
def whole_set(tmp_path, monkeypatch):
    "A data root with a small `whole` set: two breeds in the official lists."
    home = tmp_path/'oxford-iiit-pet'
    (home/'images').mkdir(parents=True)
    (home/'annotations').mkdir()
    for name in ('pug_1', 'Bengal_2', 'pug_3', 'Bengal_4'):
        Image.new('RGB', (40, 30)).save(home/'images'/f'{name}.jpg')
    (home/'annotations'/'trainval.txt').write_text('pug_1 1 1 1\nBengal_2 1 1 1\n')
    (home/'annotations'/'test.txt').write_text('pug_3 1 1 1\nBengal_4 1 1 1\n')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path))


def test_the_whole_set_when_asked_or_at_profile_gpu(whole_set, tmp_path, monkeypatch, capsys):
    assert len(load('pets')) == 370 and 'the sample' in capsys.readouterr().out, 'the sample is the default'
    assert len(load('pets', full=True)) == 4 and str(tmp_path) in capsys.readouterr().out
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'gpu')
    assert len(load('pets')) == 4 and len(load('pets', full=False)) == 370


def test_the_whole_set_that_cannot_be_had(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'none'))
    monkeypatch.setattr('coursehelpers.images.pets.pets_source', 'http://127.0.0.1:9')
    with pytest.raises(DataError, match='(?s)oxford-iiit-pet.*COURSEHELPERS_DATA_ROOT.*127.0.0.1'):
        load('pets', full=True)
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'gpu')
    assert len(load('pets')) == 370, 'a machine with a GPU and without a network has the sample'
    assert 'not to be had' in capsys.readouterr().out


def test_labels_by_rule():
    kinds = load('pets', label=lambda file: 'cat' if file.name[0].isupper() else 'dog')
    assert kinds.vocab == ['cat', 'dog'] and kinds.y.bincount().tolist() == [120, 250]
    assert load('pets', label=r'^([A-Za-z_]+?)_?[0-9]*\.jpg').vocab == load('pets').vocab
    with pytest.raises(DataError, match=r'label=.*Breeds are found by'):
        load('pets', label=r'(Bengal)_')
    with pytest.raises(ValueError, match='one group'):
        load('pets', label='pug')


def test_the_script_makes_the_sample_again(tmp_path):
    "From the sample itself, which is small enough already, a part of it: the same files, and a list that fits."
    lists = tmp_path/'lists'
    lists.mkdir()
    for name in make_samples.LISTS:
        (lists/name).write_text('')
    (lists/'trimap_source.csv').write_text('image,source\npug_112,official\nBengal_105,official\n')
    made = tmp_path/'made'
    made.mkdir()
    make_samples.main(HOME, made, lists)
    listed = checksums(made)
    assert {f for f in listed if f.endswith('.jpg')} == {f'oxford-iiit-pet/images/{name}.jpg'
                                                        for name in ('pug_112', 'Bengal_105')}
    trimap = 'oxford-iiit-pet/annotations/trimaps/pug_112.png'
    assert all(listed[file] == checksums(HOME)[file] for file in (trimap, 'titanic_train.csv'))
