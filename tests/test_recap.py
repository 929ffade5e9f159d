"Lesson 15: the report, a table or a folder of one's own, what is left to do, and what its prose says of broken runs."


import pandas as pd
import pytest
import torch

from coursehelpers.base.files import DataError
from coursehelpers.exercises import ExerciseProgress
from coursehelpers.recap import by_anna, by_boris, by_chen, diagnose, first_params, mended_step, scores_of, train, trial
from coursehelpers.report import report
from coursehelpers.results import record
from coursehelpers.tables.parts import in_parts

FRUIT = pd.DataFrame(dict(weight=[150., None, 170, 8, 9, 7] * 5, skin=['rough', 'smooth'] * 15,
                          kind=(['apple'] * 3 + ['berry'] * 3) * 5))


@pytest.fixture
def measured():
    "A baseline, a result and a change, on the same five splits."
    for name, values in dict(fool=[37, 36, 38, 37, 36.5], net=[3, 2, 4, 3, 2.5], wide=[3, 2, 4.5, 3, 2.5]).items():
        record(name, values, unit='% wrong', seconds=2, data='fruit')


def test_a_full_report_says_what_was_found_and_what_not(measured, tmp_path):
    page = report(tmp_path/'new'/'report.md', 'Apple or berry?', data='An orchard', labels=FRUIT.kind,
                  held_out='a fifth', baseline='fool', result='net', change='wide', changed='More of it',
                  worst=['row 3'], unknown='Other orchards.')
    assert (tmp_path/'new'/'report.md').read_text(encoding='utf-8') == page + '\n'
    for words in ('# Apple or berry?', '30 examples: 15 apple, 15 berry', 'Held out: a fifth.', '- row 3', '2 s',
                  '**2.90 ± 0.74 % wrong**', 'shown to be better', 'not shown to differ', '- Other orchards.'):
        assert words in page, words
    assert 'No ' not in page and 'not said' not in page


def test_an_empty_report_names_all_that_is_missing(tmp_path):
    page = report(tmp_path/'r.md', '')
    for words in ('No question', '`data`', '`labels`', '`held_out`', 'No baseline was recorded', 'No result was',
                  'Nothing was changed', '`worst`', '`unknown`'):
        assert words in page, words


def test_fewer_than_five_values_and_no_baseline_are_said(tmp_path):
    record('try', [.2])
    record('another', [.1])
    page = report(tmp_path/'r.md', 'Q', result='try', change='another')
    assert 'Fewer than five values' in page and 'No baseline stands beside it' in page
    assert 'one split shows no difference' in page and 'seconds not recorded' in page


def test_where_more_is_better_the_sign_is_turned(tmp_path):
    for name, values in dict(low=[.5, .51, .5, .49, .5], high=[.9, .91, .9, .89, .9]).items():
        record(name, values, lower_is_better=False)
    assert 'shown to be better' in report(tmp_path/'r.md', 'Q', baseline='low', result='high')


@pytest.mark.parametrize('given, words', [
    (dict(result='nett'), 'net'),
    (dict(result='net', baseline='short'), 'same splits'),
], ids=['no such record', 'other splits'])
def test_records_that_cannot_be_reported(measured, tmp_path, given, words):
    record('short', [1, 2])
    with pytest.raises(DataError, match=words):
        report(tmp_path/'r.md', 'Q', **given)
    assert not (tmp_path/'r.md').exists()


def test_a_report_is_not_written_over(tmp_path):
    report(tmp_path/'r.md', 'First')
    with pytest.raises(DataError, match='replace=True'):
        report(tmp_path/'r.md', 'Second')
    assert 'First' in (tmp_path/'r.md').read_text()
    report(tmp_path/'r.md', 'Second', replace=True)
    assert 'Second' in (tmp_path/'r.md').read_text()


def test_a_report_that_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match='is a folder'):
        report(tmp_path, 'Q')
    (tmp_path/'file').write_text('no folder')
    with pytest.raises(DataError, match='cannot be written'):
        report(tmp_path/'file'/'r.md', 'Q')


@pytest.mark.parametrize('rows, target, words', [
    (FRUIT, 'sort', 'weight, skin, kind'),
    (FRUIT, 'weight', 'dropna'),
    (FRUIT.assign(kind='apple'), 'kind', 'needs two'),
    (FRUIT[:0], 'kind', 'needs two'),
    (FRUIT.assign(kind=range(30)), 'kind', 'lesson 07'),
    (FRUIT.assign(weight=None), 'kind', 'weight has no value'),
    (FRUIT.assign(skin=[f'skin {i}' for i in range(30)]), 'kind', 'column skin'),
], ids=['no column', 'gaps', 'one label', 'no rows', 'numbers', 'empty column', 'a word a row'])
def test_a_table_that_cannot_be_used(rows, target, words):
    with pytest.raises(DataError, match=words):
        in_parts(rows, target)


def test_nothing_of_the_held_out_rows_reaches_the_training_rows():
    parts = in_parts(FRUIT, 'kind', seed=3)
    rows = FRUIT.copy()
    rows.loc[parts.valid.index, 'weight'] = 1e6
    assert torch.equal(in_parts(rows, 'kind', seed=3).x, parts.x)
    assert not set(parts.train.index) & set(parts.valid.index)
    assert [parts.vocab[k] for k in parts.new_y] == FRUIT.kind[parts.valid.index].tolist()


def test_the_blank_page_learns_a_table_with_words_and_gaps():
    p = in_parts(FRUIT, 'kind')
    params, seen = train(p.x, p.y, 2, epochs=30, look=lambda params: len(params))
    known = torch.tensor(p.valid.weight.notna().to_numpy())
    assert seen == [4] * 30 and (scores_of(p.new_x, *params).argmax(1) == p.new_y)[known].all()
    assert [tuple(q.shape) for q in first_params(4, 3, 2)] == [(4, 3), (3,), (3, 2), (2,)]


def test_what_is_left_leads_to_its_lesson():
    rows = [('03', 'mse', 'correct', 1), ('03', 'slope', 'raised', 2), ('03', 'descend', 'not attempted', 0),
            ('04', 'matmul_rows', 'correct', 1), ('', 'of my own', 'not yet', 1)]
    left = ExerciseProgress(rows).left()
    assert '| 03 | 1 of 3 | `slope` | `descend` |' in left
    assert 'matmul_rows' not in left and 'of my own' not in left
    assert 'Every exercise' in ExerciseProgress(rows[:1]).left()


@pytest.mark.long
@pytest.mark.parametrize('seed', range(100, 110))
def test_what_the_lesson_says_of_broken_runs(seed):
    found = {diagnose(*trial(step, seed)) for step in (mended_step, by_anna, by_boris, by_chen)}
    assert found == {'healthy', 'softmax twice', 'gradients kept', 'labels shuffled'}
    assert trial(by_anna, seed)[0][-1] > 1.46
    assert abs(trial(by_chen, seed)[0][-1] - 2.3) < .05
    assert trial(by_boris, seed)[1] < .5
    losses, _ = trial(mended_step, seed, lr=1)
    assert losses[-1] < 1.2 * min(losses)
    losses, _ = trial(by_boris, seed, lr=.03)
    assert losses[-1] > 2 * min(losses) and losses[0] > 2 * min(losses)
