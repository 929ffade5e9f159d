"Lesson 01: something real comes first, its functions say what is true, and its story is told by its numbers."

import re
import socket
import warnings
from pathlib import Path

import matplotlib
import pytest
import torch

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import code_cells, records_in
from coursehelpers.glossary import term
from coursehelpers.images.trials import animal_share, resplit, small_batches, thumbnails
from coursehelpers.metrics import error_rate
from tests.test_sections import sections

LESSONS = Path(__file__).parents[1] / 'nbs/full'
PATH = LESSONS / '01_first_model.ipynb'
START = LESSONS / '00_start_here.ipynb'


def visible(path):
    "The code cells whose source one sees, in order."
    return [source for cell, _, source in code_cells(read_nb(path)) if not cell['metadata'].get('jupyter')]


@pytest.mark.parametrize('path', [START, PATH], ids=lambda p: p.stem)
@pytest.mark.parametrize('variant', ['full', 'clean'])
def test_set_up_and_imports_are_folded_in_lab_and_colab(path, variant):
    cells = [c for c in read_nb(path.parents[1] / variant / path.name)['cells'] if c['cell_type'] == 'code'][:2]
    assert cells[0]['source'].startswith('#@title Set up') and 'from coursehelpers' in cells[1]['source']
    for cell in cells:
        assert cell['metadata'] == {'cellView': 'form', 'jupyter': {'source_hidden': True}}


def test_the_first_three_cells_end_in_names_for_unseen_photographs():
    first = visible(PATH)[:3]
    assert "load('pets')" in first[0] and 'vision_learner(dls)' in first[1] and 'learn.show_results()' in first[2]
    assert not re.search(r'doctor|settings|profile', '\n'.join(first))
    photographed = [c for c, _, _ in code_cells(read_nb(PATH)) if c['id'] == 'hook-show'][0]['outputs']
    assert 'what they are called' in str(photographed)


def test_start_here_moves_names_and_only_then_examines():
    hand, name, bets, *rest = visible(START)
    assert 'fit_by_hand(' in hand and 'imagenet()' in name and 'plot_bets(' in bets
    assert rest[0].startswith('rows = doctor()')
    text = '\n'.join(c['source'] for c in read_nb(START)['cells'])
    assert text.index('fit_by_hand(line') < text.index('## What runs here') < text.index('## Where you can work')


def test_the_net_that_comes_with_the_course_knows_the_photograph_of_the_hook():
    from coursehelpers.base.files import DataError
    from coursehelpers.base.samples import sample
    from coursehelpers.nets.imagenet import imagenet

    net, home = imagenet(), sample('oxford-iiit-pet')
    name, place, p = net.predict(home / 'images/pug_127.jpg')
    assert (name, net.vocab[p.topk(2).indices[1]]) == ('pug', 'tennis ball')
    assert p.shape == (1000,) and p[place] == p.max() and abs(p.sum() - 1) < 1e-4
    with pytest.raises(DataError, match='test.txt'):
        net.predict(home / 'annotations/test.txt')


def test_nothing_stored_in_start_here_grows_old():
    assert not any(re.search(r'\bprogress\(', source) for source in visible(START))


def test_runs_of_lesson_00_have_chance_of_their_own():
    space = {}
    for _, _, source in code_cells(read_nb(START)):
        if source.startswith(('import math', 'def rolls', 'def flips')):
            exec(source.split('\n\n')[0].replace('#|record mean_of_30_rolls\n', ''), space)
    for make in (space['rolls'], space['flips']):
        runs = [tuple(make(seed, 2000)) for seed in range(5)]
        pieces = {run[i : i + 60] for run in runs for i in range(1900)}
        assert len(pieces) == 5 * 1900  # neighbouring seeds share no stretch


WANTED = {
    '## A model is a program with its weights as an input': 'half forgotten',
    '## What training makes smaller': 'moved with',
    '## The words, each tied to a thing': 'terms(',
    '## A number instead of a label': 'correlation =',
}


@pytest.fixture(scope='module')
def lesson(tmp_path_factory):
    "What some sections leave behind, each run up to the cell with those words, at smoke, without data or network."

    def closed(*args, **kwargs):
        raise OSError('network is unreachable')

    matplotlib.use('agg')
    folder, (imports, found), space = tmp_path_factory.mktemp('lesson'), sections(PATH), {'__name__': 'lesson'}
    with pytest.MonkeyPatch.context() as m, warnings.catch_warnings():
        warnings.simplefilter('error')
        warnings.filterwarnings('ignore', '__array__', DeprecationWarning)  # NumPy 2 on torch's tensors
        m.chdir(folder)
        m.setattr(socket.socket, 'connect', closed)
        for key, value in dict(RUN_PROFILE='smoke', DATA_ROOT=folder / 'data').items():
            m.setenv(f'COURSEHELPERS_{key}', str(value))
        exec(imports, space)
        for heading, last in WANTED.items():
            for source in found[heading]:
                exec(source, space)
                if last in source:
                    break
        yield space


def test_the_model_as_a_program_says_what_the_learner_says(lesson):
    preds, y = lesson['small'].get_preds()
    scores = lesson['model'](lesson['xb'], lesson['trained'])
    assert torch.equal(lesson['yb'], y)
    assert abs(error_rate(scores, y) - error_rate(preds, y)) < 0.1  # the learner also sees the mirror images


def test_other_weights_are_put_in_and_leave_no_trace(lesson):
    before = {name: w.clone() for name, w in lesson['small'].model.state_dict().items()}
    bad = error_rate(lesson['model'](lesson['xb'], lesson['untrained']), lesson['yb'])
    assert bad > error_rate(lesson['model'](lesson['xb'], lesson['trained']), lesson['yb']) + 0.2
    assert all(torch.equal(w, before[name]) for name, w in lesson['small'].model.state_dict().items())


@pytest.mark.parametrize('smallest', [False, True])
@pytest.mark.parametrize('part', [0.0, 0.3, 1.0])
def test_the_part_that_is_forgotten_is_the_part_asked_for(lesson, part, smallest):
    weights, kept = lesson['trained'], lesson['forget'](lesson['trained'], part, smallest)
    for name, w in weights.items():
        lost = (kept[name] == 0) & (w != 0)
        assert w.ndim > 1 or torch.equal(kept[name], w)
        if w.ndim > 1:
            assert abs(lost.float().mean() - part) <= 1 / w.numel() + (w == 0).float().mean() + 1e-6
            if smallest and 0 < part < 1:
                assert w[lost].abs().max() <= w[~lost].abs().max()
                assert w[lost].abs().max() <= w[kept[name] != 0].abs().min()


def test_a_nudge_moves_every_loss_and_no_error(lesson):
    assert len(lesson['after']) >= 200
    assert all(loss != lesson['before'][0] for loss, _ in lesson['after'])
    assert sum(error != lesson['before'][1] for _, error in lesson['after']) < 5  # at smoke's size an answer may tip
    assert 'the error moved with 0 of them' in printed('loss-many')


def test_the_share_of_the_animal_comes_from_its_trimap(lesson):
    from PIL import Image

    p = lesson['dls'].pictures
    for row in p.valid[:5]:
        file = Path(p.files[row])
        with Image.open(file.parents[1] / 'annotations/trimaps' / f'{file.stem}.png') as im:
            counts = im.histogram()
        assert lesson['share'][row].item() == pytest.approx(100 * (1 - counts[2] / sum(counts)), abs=1e-3)
    assert (lesson['said'] - lesson['s_valid']).abs().mean() < lesson['off']  # better than always the median


def test_a_trimap_that_is_missing_is_named(lesson, tmp_path):
    from dataclasses import replace

    from coursehelpers.base.files import DataError

    lost = replace(lesson['dls'].pictures, files=[tmp_path / 'images/nobody_1.jpg'])
    with pytest.raises(DataError, match='nobody_1'):
        animal_share(lost)


def test_other_splits_keep_every_label_on_both_sides(lesson):
    p = lesson['dls'].pictures
    first, again, other = (resplit(p, seed) for seed in (1, 1, 2))
    assert torch.equal(first.valid, again.valid) and not torch.equal(first.valid, other.valid)
    for split in (first, other):
        assert sorted([*split.train.tolist(), *split.valid.tolist()]) == list(range(len(p)))
        assert set(split.y[split.valid].bincount().tolist()) == {3}


def test_small_batches_hold_the_pictures_once_mirrored_or_not(lesson):
    thumbs = thumbnails(lesson['dls'].pictures, 16)
    train, valid = small_batches(thumbs)
    x, y = (torch.cat(v) for v in zip(*train))
    assert x.shape == (259, 3, 16, 16) and sorted(y.tolist()) == sorted(thumbs.y[thumbs.train].tolist())
    plain = train.dataset.tensors[0].flatten(1)
    turned = train.dataset.tensors[0].flip(-1).flatten(1)
    seen = x.flatten(1)
    as_is, mirrored = ((seen[:, None] == which).all(2).any(1) for which in (plain, turned))
    assert (as_is | mirrored).all() and 60 < as_is.sum() < 200
    assert torch.equal(next(iter(valid))[1], thumbs.y[thumbs.valid])


def test_the_words_of_the_table_stand_for_what_is_there(lesson):
    cell = next(c['source'] for c in read_nb(PATH)['cells'] if 'found = learn.validate()' in c['source'])
    begins, shown = cell.index('terms('), dict(lesson)
    exec(cell[:begins], shown)
    shown = eval(cell[begins:], shown)
    assert shown.here['weights'] == f'{sum(w.numel() for w in lesson["learn"].model.parameters()):,} numbers'
    assert shown.here['loss'] == f'{lesson["learn"].validate()["valid_loss"]:.3f}'
    assert shown.here['training set'] == f'{len(lesson["dls"].train.rows)} photographs'


def test_about_ten_words_are_met():
    text = '\n'.join(c['source'] for c in read_nb(PATH)['cells'])
    (line,) = re.findall(r'^\*\*Names met.*', text, re.M)
    assert 8 <= len(re.findall(r'(?<!\*)\*([^*]+)\*(?!\*)', line)) <= 12


def test_library_code_stays_out_of_sight():
    assert not re.search(r'\bBatches\(|nn\.Sequential|DataLoader', '\n'.join(visible(PATH)))


def test_no_link_leads_to_a_lesson_that_is_not_there():
    text = '\n'.join(c['source'] for c in read_nb(PATH)['cells'] if c['cell_type'] == 'markdown')
    there = {p.name[:2] for p in PATH.parent.glob('*.ipynb')}
    assert set(re.findall(r'[Ll]esson (\d\d)', text)) <= there
    assert term('result')['lesson'] == '01'


def printed(id):
    "What a cell of the lesson printed when its outputs were stored."
    (cell,) = (c for c in read_nb(PATH)['cells'] if c['id'] == id)
    return ''.join(text for o in cell['outputs'] for text in o.get('text', ''))


def corners():
    "{(head, epochs): mean error in per cent} of the stored table."
    rows = re.findall(r'^(random|fitted) +(\d) +([\d.]+) ± +[\d.]+ +[\d.]+$', printed('corners-table'), re.M)
    return {(head, int(epochs)): float(error) for head, epochs, error in rows}


def test_the_four_corners_are_there_and_say_that_the_head_did_it():
    found = corners()
    assert set(found) == {(head, epochs) for head in ('random', 'fitted') for epochs in (0, 3)}
    assert found['fitted', 0] < found['random', 3] - 30 < found['random', 0] - 30
    gains = [float(g) for g in re.search(r'seed by seed (.+)', printed('corners-table'))[1].split()]
    mean, spread = torch.tensor(gains).mean(), torch.tensor(gains).std()
    assert len(gains) == 5 and abs(mean) < 2.78 * spread / 5**0.5  # no gain is shown, as the text says


def test_on_digits_the_epochs_add_something():
    zero, three = (float(v) for v in re.findall(r'epochs: ([\d.]+) ±', printed('digits-table')))
    assert three < zero - 10


def test_the_stored_story_is_told_by_its_numbers():
    "Five seeds each; transfer beats 250 epochs from scratch by more than the spread, on the same photographs."
    found = {name: r for c in read_nb(PATH)['cells'] for name, r in records_in(c).items()}
    short, long = found['transfer_three_epochs'], found['scratch_250_epochs']
    assert len(short['values']) == len(long['values']) == 5 and short['data'] == long['data'] == 'pets'
    assert max(short['values']) + 30 < min(long['values'])
