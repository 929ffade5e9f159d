"cleaner: which pictures are shown, what is written down, what comes of it; and that no picture is ever touched."
import hashlib
import json
import re
import subprocess
import sys
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
from coursehelpers.images.sets import Pictures, few, take
from coursehelpers.learner import Learner
from coursehelpers.widgets import cleaner
from coursehelpers.widgets.cleaner import Cleaner, cleaned


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


def look(p, k=24, split='train'): return Cleaner(learner(p), k, split)
def choose(w, row, label): w.choices = {**w.choices, str(row): label}


def take_back(w, row): w.choices = {other: label for other, label in w.choices.items() if other != str(row)}


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


@pytest.mark.parametrize('wrong, error, says', [
    (lambda p: look(p, k=0), ValueError, 'k=0'),
    (lambda p: look(p, split='test'), ValueError, "split='test'"),
    (lambda p: Cleaner(7), DataError, 'int holds no `Pictures`'),
    (Cleaner, DataError, 'Pictures holds no `Pictures`'),
    (lambda p: Cleaner(Learner(nn.Linear(2, 2), Dls.of([], []), lr=.1)), DataError, 'Learner holds no `Pictures`')])
def test_wrong_requests_say_what_is_needed(home, wrong, error, says):
    with pytest.raises(error, match=re.escape(says)):
        wrong(folder(home))


# ---- what is written

def test_a_choice_is_written_at_once_and_can_be_taken_back(home):
    w = look(folder(home))
    assert not (home/'cleaning.csv').exists(), 'looking writes nothing'
    a, b = [item['row'] for item in w.data['items'] if item['label'] == 'cat'][:2]
    choose(w, a, 'dog')
    choose(w, b, '')
    head, one, two = lines(home)
    assert head == 'file,was,now,when' and one.startswith(f'cat/{a}.jpg,cat,dog,20')
    assert two.startswith(f'cat/{b}.jpg,cat,,20')
    choose(w, a, 'red fox')
    assert [line.split(',')[:3] for line in lines(home)[1:]] == [[f'cat/{b}.jpg', 'cat', ''],
                                                                 [f'cat/{a}.jpg', 'cat', 'red fox']]
    take_back(w, a)
    take_back(w, b)
    assert lines(home) == ['file,was,now,when']
    assert w.said == f'cat/{b}.jpg: as it was. Written to cleaning.csv.'


def test_what_the_page_sends_is_written_too_and_what_it_may_not_send_is_refused(home):
    w, sent = look(folder(home)), []
    w._send = lambda message, buffers=None: sent.append(message)
    a, b = [str(item['row']) for item in w.data['items'] if item['label'] == 'cat'][:2]
    w.set_state({'choices': {a: '', b: 'dog'}})
    assert len(lines(home)) == 3 and 'said' in str(sent)
    with pytest.raises(TraitError):
        w.choices = {a: 'horse'}
    assert len(lines(home)) == 3


def test_another_day_begins_where_this_one_ended(home):
    w = look(folder(home))
    row = next(item['row'] for item in w.data['items'] if item['label'] == 'cat')
    choose(w, row, 'dog')
    w = look(folder(home))
    assert w.choices == {str(row): 'dog'} and '1 relabelled, 0 set aside' in w.alt()
    w = look(cleaned(folder(home))) # from what was corrected already
    assert w.choices == {}
    choose(w, row, 'red fox')
    assert [line.split(',')[:3] for line in lines(home)[1:]] == [[f'cat/{row}.jpg', 'cat', 'red fox']]
    choose(look(cleaned(folder(home))), row, 'cat')
    assert len(lines(home)) == 1


@pytest.mark.parametrize('line, says', [
    ('cat/0.jpg,cat,dgo,2026', "no label 'dgo'"),
    ('who put this here?', "'who put this here?'"),
    ('cat/0.jpg;cat;dog;2026', 'commas')])
def test_lines_that_make_no_sense_stop_with_their_name_and_stay(home, line, says):
    w = look(folder(home))
    write(home, line)
    before = lines(home)
    for read in (cleaned, look):
        with pytest.raises(DataError, match=re.escape(says)) as e:
            read(folder(home))
        assert str(home/'cleaning.csv') in str(e.value)
    if 'dgo' in line: return # a choice for another picture leaves it where it is
    choose(w, w.data['items'][0]['row'], 'dog' if w.data['items'][0]['label'] == 'cat' else 'cat')
    assert w.said.startswith('! ') and says in w.said and lines(home) == before


def test_lines_about_pictures_that_are_not_here_are_left_alone(home):
    write(home, 'dog/77.jpg,dog,horse,2026', 'cat/0.jpg,cat,dog,2026')
    assert (cleaned(folder(home)).y != folder(home).y).nonzero().tolist() == [[0]]


def test_a_table_that_a_spreadsheet_has_saved(home):
    (home/'cleaning.csv').write_bytes('\ufefffile,was,now,when\r\n"cat/0.jpg",cat,"red fox",2026\r\n'.encode())
    assert labels(cleaned(folder(home)))['cat/0.jpg'] == 'red fox'


def test_names_with_commas_quotes_and_other_letters(tmp_path):
    for name in ('a, b.png', 'say "cheese".png', 'Ärger 🐈.png'):
        for label in ('x,y', 'z'):
            (tmp_path/'odd'/label).mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (9, 9)).save(tmp_path/'odd'/label/name)
    w = look(folder(tmp_path/'odd'))
    for item in w.data['items']:
        choose(w, item['row'], 'z' if item['label'] == 'x,y' else 'x,y')
    p = folder(tmp_path/'odd')
    assert (cleaned(p).y[p.train] != p.y[p.train]).all()


def test_a_folder_that_cannot_be_written(home, monkeypatch):
    def full(path, **k): raise OSError(28, 'No space left on device')
    monkeypatch.setattr(cleaner, 'whole', full)
    w = look(folder(home), k=1)
    choose(w, w.data['items'][0]['row'], '')
    assert w.said.startswith('! ') and 'not written down' in w.said and 'No space left' in w.said


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
    one, two = (look(folder(home)) for _ in range(2))
    a, b, c = (item['row'] for item in one.data['items'][:3])
    choose(one, a, '')
    choose(two, b, '')
    choose(one, c, '')
    assert len(lines(home)) == 4


# ---- what comes of it

def test_cleaned_is_pure_and_does_not_care_for_order(home, capsys):
    rows = ['cat/1.jpg,cat,dog,2026', 'dog/1.jpg,dog,,2026', 'dog/2.jpg,dog,red fox,2026']
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
    assert '10 files left out, 0 converted, 1 note' in said
    assert 'cat/1.jpg: set aside by you (cleaning.csv)' in said
    assert 'dog/1.jpg: relabelled: dog is now red fox' in said


def test_a_folder_is_no_different_for_having_a_table_of_corrections(home):
    before = folder(home)
    write(home, 'cat/1.jpg,cat,dog,')
    assert folder(home).files == before.files and torch.equal(folder(home).y, before.y)


def test_pictures_in_memory_are_known_by_their_pixels(progress):
    p = photo_digits(60, 16)
    w = look(p, split='valid')
    (a, b), other = [item['row'] for item in w.data['items'][:2]], '9' if w.data['items'][0]['label'] != '9' else '8'
    choose(w, a, other)
    assert f'picture {a}: now' in w.said and 'Written to cleaning.csv' in w.said
    choose(w, b, '')
    assert lines(progress)[1].startswith('pixels-')
    q = cleaned(photo_digits(60, 16))
    assert (q.y != p.y).nonzero().tolist() == [[a]] and b not in q.valid.tolist()
    fresh = photo_digits(60, 16, seed=1)
    assert torch.equal(cleaned(fresh).y, fresh.y) and not cleaned(fresh).report
    assert sorted(problem.file for problem in q.report) == sorted([f'picture {a}', f'picture {b}'])


def test_equal_pictures_are_corrected_together(progress):
    x = torch.zeros(4, 3, 6, 6, dtype=torch.uint8)
    x[2:] = 9
    p = Pictures('twins', x, torch.tensor([0, 1, 0, 1]), ['a', 'b'], torch.tensor([0, 1]), torch.tensor([2, 3]))
    choose(look(p), 1, 'a')
    assert cleaned(p).y.tolist() == [0, 0, 0, 1]
    choose(look(p), 0, '')
    assert cleaned(p).train.tolist() == [] and cleaned(p).valid.tolist() == [2, 3]


# ---- the picture of it

def test_one_output_three_forms_and_not_too_heavy():
    noise = Pictures('noise', torch.randint(0, 255, (30, 3, 128, 128), dtype=torch.uint8), torch.arange(30) % 3,
                     ['a', 'b', 'c'], torch.arange(30), torch.arange(2))
    w = Cleaner(learner(noise), split='train')
    data, meta = w._repr_mimebundle_()
    assert {'application/vnd.jupyter.widget-view+json', 'text/html', 'image/png', 'text/plain'} <= data.keys()
    assert meta['image/png']['alt'] == w.alt() and len(w.data['urls']) == 12
    assert len(json.dumps(data)) < 450_000, 'even noise, which no format makes small'


def test_a_page_of_digits_is_light():
    assert len(json.dumps(look(load('photo_digits'), k=12)._repr_mimebundle_()[0])) < 100_000


def test_nothing_of_this_machine_in_the_page(home):
    w = look(folder(home))
    choose(w, w.data['items'][0]['row'], '')
    assert str(home) not in json.dumps(w.state()) and (home/'cleaning.csv').exists()
