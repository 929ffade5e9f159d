"Lesson 01: its functions say what is true, its words stand in the glossary, and nothing in it needs a network."

import re
import socket
import warnings
from pathlib import Path

import matplotlib
import pytest
import torch

from coursehelpers.author.launch import read_nb
from coursehelpers.glossary import term
from coursehelpers.metrics import error_rate
from tests.test_sections import sections

PATH = Path(__file__).parents[1] / 'nbs/full/01_first_model.ipynb'


WANTED = {
    '## A model is a program with its weights as an input': 'half forgotten',
    '## The words, each tied to a thing': 'terms(',
    '## A number instead of a label': 'def where',
}


@pytest.fixture(scope='module')
def lesson(tmp_path_factory):
    "What three sections leave behind, each run up to the cell with those words, at smoke, without data or network."

    def closed(*args, **kwargs):
        raise OSError('network is unreachable')

    matplotlib.use('agg')
    folder, (imports, found), space = tmp_path_factory.mktemp('lesson'), sections(PATH), {'__name__': 'lesson'}
    with pytest.MonkeyPatch.context() as m, warnings.catch_warnings():
        warnings.simplefilter('error')
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
    preds, y = lesson['learn'].get_preds()
    scores, n = lesson['model'](lesson['xb'], lesson['trained']), len(lesson['xb'])
    assert torch.equal(lesson['yb'], y[:n])
    assert (
        scores.argmax(1) == preds[:n].argmax(1)
    ).float().mean() > 0.98  # the learner computes in a shorter number format where that is quick
    assert abs(error_rate(scores, lesson['yb']) - error_rate(preds[:n], y[:n])) < 0.02


def test_other_weights_are_put_in_and_leave_no_trace(lesson):
    before = {name: w.clone() for name, w in lesson['learn'].model.state_dict().items()}
    bad = error_rate(lesson['model'](lesson['xb'], lesson['untrained']), lesson['yb'])
    assert bad > error_rate(lesson['model'](lesson['xb'], lesson['trained']), lesson['yb']) + 0.2
    assert all(torch.equal(w, before[name]) for name, w in lesson['learn'].model.state_dict().items())


@pytest.mark.parametrize('part', [0.0, 0.3, 1.0])
def test_the_part_that_is_forgotten_is_the_part_asked_for(lesson, part):
    weights, kept = lesson['trained'], lesson['forget'](lesson['trained'], part)
    tables = [name for name, w in weights.items() if w.ndim > 1]
    zeros = sum(int(((kept[name] == 0) & (weights[name] != 0)).sum()) for name in tables)
    assert abs(zeros / sum(weights[name].numel() for name in tables) - part) < 0.02
    assert all(torch.equal(kept[name], w) for name, w in weights.items() if w.ndim < 2)


def test_where_the_digit_is_comes_from_its_mask(lesson):
    rows = lesson['p'].train[:20]
    for row, said in zip(rows, lesson['where'](rows)):
        columns = lesson['p'].masks[row].nonzero()[:, 1].float()  # of all the digit's pixels
        assert said.item() == pytest.approx(100 * (columns.mean().item() / 47 - 0.5), abs=1e-3)


def test_the_words_of_the_table_stand_for_what_is_there(lesson):
    cell = next(
        c['source'] for c in read_nb(PATH)['cells'] if c['source'].startswith('preds, y = learn.get_preds()\nlast')
    )
    shown = eval(cell[cell.index('terms(') :], lesson)
    assert shown.here['weights'] == f'{sum(w.numel() for w in lesson["learn"].model.parameters()):,} numbers'
    assert (
        shown.here['loss'] == f'{lesson["learn"].history[-1]["valid_loss"]:.3f}'
        and shown.here['predictions'] == f'preds {tuple(lesson["preds"].shape)}'
    )


def test_no_link_leads_to_a_lesson_that_is_not_there():
    text = '\n'.join(c['source'] for c in read_nb(PATH)['cells'] if c['cell_type'] == 'markdown')
    there = {p.name[:2] for p in PATH.parent.glob('*.ipynb')}
    assert set(re.findall(r'[Ll]esson (\d\d)', text)) <= there
    assert term('result')['lesson'] == '01'


def test_the_stored_story_is_told_by_its_numbers():
    "Five seeds each; three epochs of transfer beat 250 from scratch by more than the spread, in less of the time."
    from coursehelpers.author.variants import records_in

    found = {name: r for c in read_nb(PATH)['cells'] for name, r in records_in(c).items()}
    short, long = found['transfer_three_epochs'], found['scratch_250_epochs']
    assert len(short['values']) == len(long['values']) == 5 and short['data'] == long['data'] == 'photo_digits'
    assert max(short['values']) < min(long['values']) and 10 * short['seconds'] < long['seconds']
