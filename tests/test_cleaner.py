"cleaner: which pictures are shown, what is written down, what comes of it; and that no picture is ever touched."
import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from traitlets import TraitError

from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, load, loaders
from coursehelpers.images.cache import cached
from coursehelpers.images.digits import photo_digits
from coursehelpers.images.folders import folder
from coursehelpers.images.pets import pets
from coursehelpers.images.sets import Pictures, few, take
from coursehelpers.learner import Learner
from coursehelpers.widgets import cleaner
from coursehelpers.widgets.cleaner import Cleaner, cleaned, correction_tables, write_correction


@pytest.fixture(autouse=True)
def progress(tmp_path, monkeypatch):
    "A progress file of its own; the folder of it is given."
    (tmp_path/'mine').mkdir()
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'mine'/'progress.json'))
    return tmp_path/'mine'


@pytest.fixture
def home(tmp_path):
    "Three labels of ten pictures each; afterwards they are as they were."
    g, home = np.random.default_rng(0), tmp_path/'set'
    for label in ('cat', 'dog', 'red fox'):
        (home/label).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(g.integers(0, 255, (6, 9, 3), 'uint8')).resize((90, 60)).save(home/label/f'{i}.jpg')
    before = seals(home)
    yield home
    assert seals(home) == before, 'a picture was touched'


def seals(home):
    return {f: (hashlib.sha256(f.read_bytes()).digest(), f.stat().st_mtime_ns) for f in sorted(home.rglob('*.jpg'))}
def lines(home): return (home/'cleaning.csv').read_text().splitlines()
def write(home, *rows): (home/'cleaning.csv').write_text('\n'.join(['file,was,now,when', *rows]) + '\n')
def labels(p): return {f.relative_to(p.root).as_posix(): p.vocab[k] for f, k in zip(p.files, p.y)}


def learner(p, seed=0):
    torch.manual_seed(seed)
    return Learner(nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, len(p.vocab))),
                   loaders(p, 32, 8, 'cpu'), lr=.01)


# ---- which are shown

@pytest.mark.parametrize('split', ['train', 'valid'])
def test_the_highest_losses_come_first_and_are_really_theirs(home, split):
    learn = learner(folder(home))
    w = Cleaner(learn, k=5, split=split)
    p = learn.dls.pictures
    x = torch.cat([learn.dls.valid.x.plain(rows) for rows in getattr(p, split).split(8)])
    with torch.no_grad():
        preds = learn.model.eval()(x)
    losses = F.cross_entropy(preds, p.y[getattr(p, split)], reduction='none')
    order = losses.argsort(descending=True)[:5]
    assert [o['row'] for o in w.data['items']] == getattr(p, split)[order].tolist()
    for o, i in zip(w.data['items'], order):
        assert o['loss'] == pytest.approx(losses[i].item(), abs=1e-3) and o['said'] == p.vocab[preds[i].argmax()]
        assert o['label'] == p.vocab[p.y[o['row']]] == o['name'].split('/')[0] and p.files[o['row']] == home/o['name']


def test_rows_of_your_own_and_pictures_alone(home):
    p = folder(home)
    assert [o['row'] for o in Cleaner(learner(p), rows=[7, 3]).data['items']] == [7, 3]
    w = Cleaner(p, k=4)
    assert [o['row'] for o in w.data['items']] == [0, 1, 2, 3] and w.data['items'][0]['said'] is None
    assert [o['row'] for o in Cleaner(loaders(p, 32, 8, 'cpu'), k=2).data['items']] == [0, 1]


@pytest.mark.parametrize('wrong, error, says', [
    (lambda p: Cleaner(p, rows=[99]), ValueError, 'rows must be from 0 to 29, got 99'),
    (lambda p: Cleaner(p, rows=[-1]), ValueError, 'got -1'),
    (lambda p: Cleaner(p, k=0), ValueError, 'k=0'),
    (lambda p: Cleaner(learner(p), split='test'), ValueError, "split='test': 'train' or 'valid'"),
    (lambda p: Cleaner(p, rows=[]), DataError, 'no picture to look at'),
    (lambda p: Cleaner(7), DataError, 'int holds no `Pictures`'),
    (lambda p: Cleaner(Learner(nn.Linear(2, 2), Dls.of([], []), lr=.1)), DataError, 'Learner holds no `Pictures`'),
    (lambda p: cleaned(p, 'gone.csv'), DataError, 'gone.csv: no such file')])
def test_wrong_requests_say_what_is_needed(home, wrong, error, says):
    with pytest.raises(error, match=re.escape(says)):
        wrong(folder(home))


def test_pictures_that_cannot_be_read_are_shown_as_such_or_told(tmp_path, home):
    p = folder(home)
    odd = replace(p, x=[*p.files[:-1], tmp_path/'gone.jpg'])
    assert Cleaner(odd, rows=[29, 0]).thumbs['29'] == '' and Cleaner(odd, rows=[29]).alt()
    learn = learner(p)
    learn.get_preds = lambda batches=None: (torch.zeros(5, 3), torch.zeros(5).long())
    with pytest.raises(DataError, match="1 pictures could not be read.*keep='disk'"):
        Cleaner(learn)


# ---- what is written

def test_a_choice_is_written_at_once_and_can_be_taken_back(home):
    w = Cleaner(folder(home))
    assert not (home/'cleaning.csv').exists(), 'looking writes nothing'
    w.choose(2, 'dog')
    w.choose(3, None)
    head, one, two = lines(home)
    assert head == 'file,was,now,when' and one.startswith('cat/2.jpg,cat,dog,20')
    assert two.startswith('cat/3.jpg,cat,,20')
    w.choose(2, 'red fox')
    assert [line.split(',')[:3] for line in lines(home)[1:]] == [['cat/3.jpg', 'cat', ''],
                                                                 ['cat/2.jpg', 'cat', 'red fox']]
    w.choose(2, 'cat')
    w.choose(3, 'cat')
    assert lines(home) == ['file,was,now,when'] and w.choices == {}
    assert w.said == 'cat/3.jpg: as it was. Written to cleaning.csv.'


def test_what_the_page_sends_is_written_too_and_what_it_may_not_send_is_refused(home):
    w, sent = Cleaner(folder(home)), []
    w._send = lambda message, buffers=None: sent.append(message)
    w.set_state({'choices': {'0': '', '1': 'dog'}})
    assert len(lines(home)) == 3 and 'said' in str(sent)
    for bad in ({'0': 'horse'}, {'77': 'dog'}):
        with pytest.raises(TraitError):
            w.choices = bad
    assert len(lines(home)) == 3


def test_another_day_begins_where_this_one_ended(home):
    Cleaner(folder(home)).choose(2, 'dog')
    w = Cleaner(folder(home))
    assert w.choices == {'2': 'dog'} and '1 relabelled, 0 set aside' in w.alt()
    Cleaner(cleaned(folder(home))).choose(2, 'red fox') # from what was corrected already
    assert [line.split(',')[:3] for line in lines(home)[1:]] == [['cat/2.jpg', 'cat', 'red fox']]
    Cleaner(cleaned(folder(home))).choose(2, 'cat')
    assert len(lines(home)) == 1


def test_lines_that_make_no_sense_are_named_and_stay(home, capsys):
    write(home, 'cat/0.jpg,cat,dgo,2026', 'who put this here?', '', '"half a quote, cat', 'cat/1.jpg,cat,dog,2026',
          'dog/77.jpg,dog,cat,2026', 'dog/1.jpg,cat,dog,2026', 'dog/2.jpg,red fox,cat,2026')
    before = lines(home)
    p = cleaned(folder(home))
    told = {q.what for q in p.report if q.file.endswith('cleaning.csv')}
    assert labels(p)['cat/1.jpg'] == 'dog' and sum(a != f.split('/')[0] for f, a in labels(p).items()) == 1
    assert told == {"line 2: there is no label 'dgo'. Left alone",
                    "line 3, 'who put this here?': file, was, now and when are expected. Left alone",
                    "line 5, '\"half a quote, cat': file, was, now and when are expected. Left alone",
                    'line 7: dog/77.jpg is not there, or is not called dog any more. Left alone',
                    'line 9: dog/2.jpg is not there, or is not called red fox any more. Left alone'}
    w = Cleaner(folder(home))
    assert "line 2: there is no label 'dgo'" in capsys.readouterr().out
    w.choose(4, 'dog')
    assert lines(home)[:-1] == before and lines(home)[-1].startswith('cat/4.jpg,cat,dog')


def test_a_table_that_a_spreadsheet_has_saved(home):
    (home/'cleaning.csv').write_bytes('\ufefffile;was;now;when\r\n"cat/0.jpg";cat;"red fox";2026\r\n'.encode())
    Cleaner(folder(home)).choose(1, None)
    p = cleaned(folder(home))
    assert labels(p)['cat/0.jpg'] == 'red fox' and 1 not in [*p.train.tolist(), *p.valid.tolist()]
    assert lines(home)[-1].startswith('cat/1.jpg;cat;;')


def test_names_with_commas_quotes_and_other_letters(tmp_path):
    for name in ('a, b.png', 'say "cheese".png', 'Ärger 🐈.png'):
        for label in ('x,y', 'z'):
            (tmp_path/'odd'/label).mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (9, 9)).save(tmp_path/'odd'/label/name)
    w = Cleaner(folder(tmp_path/'odd'))
    for row in range(6):
        w.choose(row, w.data['vocab'][row < 3])
    assert cleaned(folder(tmp_path/'odd')).y.tolist() == [1] * 3 + [0] * 3
    with pytest.raises(DataError, match='line break'):
        write_correction(tmp_path/'odd'/'cleaning.csv', 'a\nb', 'z', '')


def test_a_folder_that_cannot_be_written(home, progress, monkeypatch):
    real = cleaner.whole
    def readonly(path, **k):
        if Path(path).parent == home: raise PermissionError(13, 'Permission denied')
        return real(path, **k)
    monkeypatch.setattr(cleaner, 'whole', readonly)
    w = Cleaner(folder(home))
    w.choose(2, 'dog')
    spare, = progress.glob('cleaning_set_*.csv')
    assert f'{spare.name} beside your progress file' in w.said
    assert 'cleaning.csv in the folder of the pictures cannot be written (Permission denied)' in w.said
    assert labels(cleaned(folder(home)))['cat/2.jpg'] == 'dog' and not (home/'cleaning.csv').exists()
    monkeypatch.setattr(cleaner, 'whole', real)
    Cleaner(folder(home)).choose(2, 'cat') # by now it can
    assert labels(cleaned(folder(home)))['cat/2.jpg'] == 'cat'
    def full(path, **k): raise OSError(28, 'No space left on device')
    monkeypatch.setattr(cleaner, 'whole', full)
    w.choose(5, 'dog')
    assert w.said.startswith('! cat/5.jpg: not written down') and 'No space left' in w.said


WRITER = '''import sys
from pathlib import Path
from coursehelpers.widgets.cleaner import write_correction
print('ready', flush=True)
sys.stdin.readline() # both begin together
for i in range(40): write_correction(Path(sys.argv[1]), f'{sys.argv[2]}/{i}.jpg', 'cat', 'dog')'''


def test_two_sessions_lose_nothing(tmp_path):
    both = [subprocess.Popen([sys.executable, '-c', WRITER, tmp_path/'cleaning.csv', name], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) for name in 'ab']
    for child in both:
        child.stdout.readline()
    for child in both:
        print(file=child.stdin, flush=True)
    for child in both:
        child.communicate(timeout=60)
    assert [child.returncode for child in both] == [0, 0]
    assert {line.split(',')[0] for line in lines(tmp_path)[1:]} == {f'{n}/{i}.jpg' for n in 'ab' for i in range(40)}


def test_an_old_window_does_not_undo_what_another_wrote(home):
    one, two = (Cleaner(folder(home)) for _ in range(2))
    one.choose(0, 'dog')
    two.choose(1, 'dog')
    one.choose(2, None)
    assert {line.split(',')[0] for line in lines(home)[1:]} == {'cat/0.jpg', 'cat/1.jpg', 'cat/2.jpg'}


# ---- what comes of it

def test_cleaned_is_pure_and_does_not_care_for_order(home, capsys):
    rows = ['cat/1.jpg,cat,dog,2026-01-01',
            'dog/1.jpg,dog,,2026-01-01',
            'dog/2.jpg,dog,red fox,2026-01-02',
            'dog/2.jpg,dog,cat,2026-01-01']
    write(home, *rows)
    p = folder(home)
    one = cleaned(p)
    assert capsys.readouterr().out == 'set: 2 relabelled and 1 set aside, as cleaning.csv says\n'
    write(home, *rows[::-1])
    two = cleaned(p)
    assert labels(one) == labels(two) and labels(one)['dog/2.jpg'] == 'red fox'
    assert torch.equal(one.train, two.train) and torch.equal(one.valid, two.valid)
    assert all(f.startswith(k) for f, k in labels(p).items()) and not p.report
    assert len(p.train) + len(p.valid) == 30 == len(one.train) + len(one.valid) + 1
    assert sorted(((Path(q.file).name, q.used, q.what.partition(' (')[0]) for q in one.report), key=str) == [
        ('1.jpg', False, 'set aside by you'),
        ('1.jpg', None, 'relabelled: cat is now dog'),
        ('2.jpg', None, 'relabelled: dog is now red fox')]
    again = cleaned(one)
    assert torch.equal(again.y, one.y) and torch.equal(again.train, one.train) and len(again.report) == len(one.report)


def test_before_or_after_decoding_and_choosing_a_few_it_is_the_same(home):
    write(home, 'cat/1.jpg,cat,dog,', 'dog/1.jpg,dog,,')
    for keep in ('memory', 'disk', 'stream'):
        late, soon = cleaned(cached(folder(home), 24, keep)), cached(cleaned(folder(home)), 24, keep)
        assert labels(late) == labels(soon) and torch.equal(late.train, soon.train) and type(late.x) is type(soon.x)
    assert len(cleaned(few(folder(home), 3)).train) <= 9
    part = cleaned(take(folder(home), torch.arange(20, 30)))
    assert not part.report, 'what belongs to a part that is not used is no news'


def test_one_line_changes_a_lesson(home, capsys):
    write(home, *[f'cat/{i}.jpg,cat,,' for i in range(10)], 'dog/1.jpg,dog,red fox,')
    dls = loaders(cleaned(load(str(home))), 32, 8, 'cpu')
    said = capsys.readouterr().out
    assert sum(len(yb) for _, yb in dls.train) == 16 and not (dls.train.y[dls.train.rows] == 0).any()
    assert '10 files left out, 0 converted, 2 notes' in said
    assert 'cat/1.jpg: set aside by you (cleaning.csv, line 3)' in said
    assert 'cat: no picture to train on is left of this label' in said
    assert 'dog/1.jpg: relabelled: dog is now red fox' in said


def test_a_folder_is_no_different_for_having_a_table_of_corrections(home):
    before = folder(home)
    write(home, 'cat/1.jpg,cat,dog,')
    assert folder(home).files == before.files and torch.equal(folder(home).y, before.y)


def test_pictures_in_memory_are_known_by_their_pixels(progress):
    p = photo_digits(60, 16)
    w = Cleaner(p, rows=[4, 7])
    w.choose(4, '9' if w.data['items'][0]['label'] != '9' else '8')
    assert 'picture 4: now' in w.said and 'Written to cleaning.csv' in w.said
    w.choose(7, None)
    assert lines(progress)[1].startswith('pixels-')
    q = cleaned(photo_digits(60, 16))
    assert (q.y != p.y).nonzero().tolist() == [[4]] and 7 not in [*q.train.tolist(), *q.valid.tolist()]
    other = cleaned(photo_digits(60, 16, seed=1))
    assert torch.equal(other.y, photo_digits(60, 16, seed=1).y) and not other.report
    assert [q.what.partition(' (')[0] for q in q.report][1] == 'set aside by you'


def test_two_equal_pictures_with_different_labels(progress):
    x = torch.zeros(4, 1, 6, 6, dtype=torch.uint8)
    x[2:] = 9
    p = Pictures('twins', x, torch.tensor([0, 1, 0, 1]), ['a', 'b'], torch.tensor([0, 1, 2]), torch.tensor([3]))
    Cleaner(p).choose(1, 'a')
    assert cleaned(p).y.tolist() == [0, 0, 0, 1]
    Cleaner(p).choose(0, None)
    assert cleaned(p).train.tolist() == [1, 2] and cleaned(p).y.tolist() == [0, 0, 0, 1]


def test_pictures_that_come_with_the_course_stay_as_they_are(progress):
    p = pets()
    w = Cleaner(p, rows=[3, 5])
    w.choose(3, None)
    table, = correction_tables(p)
    assert table.parent == progress and table.exists() and not list(p.files[3].parent.glob('*.csv'))
    assert 3 not in cleaned(pets()).train.tolist() and 'Written to cleaning_images' in w.said


# ---- the picture of it

def test_one_output_three_forms_and_not_too_heavy():
    noise = Pictures('noise', torch.randint(0, 255, (30, 3, 128, 128), dtype=torch.uint8), torch.arange(30) % 3,
                     ['a', 'b', 'c'], torch.arange(30), torch.arange(2))
    w = Cleaner(noise)
    data, meta = w._repr_mimebundle_()
    assert {'application/vnd.jupyter.widget-view+json', 'text/html', 'image/png', 'text/plain'} <= data.keys()
    assert meta['image/png']['alt'] == w.alt()
    assert len(json.dumps(data)) < 450_000, 'even noise, which no format makes small'
    assert len(json.dumps(w.state())) < 300_000 and len(w.thumbs) == 12
    assert Image.open(io.BytesIO(base64.b64decode(data['image/png']))).format == 'PNG'


def test_a_page_of_digits_is_light():
    w = Cleaner(load('photo_digits'))
    assert len(json.dumps(w._repr_mimebundle_()[0])) < 200_000


def test_thumbnails_have_the_true_shape(home, tmp_path):
    Image.new('RGB', (60, 90), 'teal').save(tmp_path/'tall.png')
    p = Pictures('p', [*folder(home).files[:1], tmp_path/'tall.png'], torch.tensor([0, 1]), ['a', 'b'],
                 torch.tensor([0, 1]), torch.tensor([1]))
    for q in (p, cached(p, 64)):
        sizes = [Image.open(io.BytesIO(base64.b64decode(u.partition(',')[2]))).size for u in Cleaner(q).thumbs.values()]
        assert [round(a / b, 1) for a, b in sizes] == [1.5, .7] and max(max(s) for s in sizes) <= 128


def test_nothing_of_this_machine_in_the_page(home, progress):
    w = Cleaner(folder(home))
    w.choose(2, 'dog')
    assert str(home) not in json.dumps(w.state()) and correction_tables(w.pictures)[0].parent == home


def test_pages(home):
    w = Cleaner(folder(home), k=30)
    first = set(w.thumbs)
    w.page = 2
    assert len(w.thumbs) == 6 and not first & set(w.thumbs)
