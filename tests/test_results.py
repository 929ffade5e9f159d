"Numbers with a spread: what is recorded, what is said about it, and when two are compared."

import json
import math
from dataclasses import replace

import pytest
import torch

from coursehelpers import results
from coursehelpers.results import Record, RecordComparison, compare, machine, record


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')


def known(monkeypatch, *records):
    monkeypatch.setattr(results, 'stored', lambda: {r.name: r for r in records})


COURSE = Record(
    'e', [0.20, 0.21, 0.22, 0.19, 0.23], seconds=3, device='cpu: A, 2 cores', profile='smoke', data='digits'
)


def test_a_record_is_mean_spread_seeds_seconds_and_device():
    r = record('e', torch.tensor([0.2, 0.21, 0.22, 0.19, 0.23]), seconds=3.3, device='cpu', data='digits')
    assert (r.n, r.headline, r.profile, r.data) == (5, True, 'smoke', 'digits')
    assert math.isclose(r.mean, 0.21, rel_tol=1e-6) and math.isclose(r.spread, 0.0158114, rel_tol=1e-4)
    assert repr(r) == f'e 0.210 ± 0.016 (5 seeds, 3.3 s, {machine("cpu")})'


def test_it_is_shown_with_its_own_mime_type():
    bundle = record('e', [1, 2, 3, 4, 5])._repr_mimebundle_()
    data = bundle['application/vnd.coursehelpers.record+json']
    assert json.loads(json.dumps(data))['values'] == [1, 2, 3, 4, 5] and 'e 3.0 ± 1.6' in bundle['text/plain']


def test_few_seeds_are_no_headline():
    r = record('e', [0.2])
    assert not r.headline and 'Fewer than five' in repr(r) and '±' not in repr(r) and '1 seed,' in repr(r)


@pytest.mark.parametrize(
    'values, words', [([], r'values is \[\]'), ([1, math.nan], 'nan'), ([math.inf], 'inf')]
)
def test_what_cannot_be_a_result(values, words):
    with pytest.raises(ValueError, match=words):
        record('e', values)


def test_the_machine_is_named_honestly(monkeypatch):
    assert machine('cpu').startswith('cpu: ')
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda d: 'Some GPU')
    assert machine(torch.device('cuda')) == 'gpu: Some GPU'


@pytest.mark.parametrize(
    'values, lower, words',
    [
        ([0.21, 0.22, 0.20, 0.21, 0.20], True, '✔ within'),
        ([0.40, 0.41, 0.42, 0.43, 0.41], True, '✖ worse'),
        ([0.10, 0.11, 0.10, 0.12, 0.10], True, '✔ better'),
        ([0.40, 0.41, 0.42, 0.43, 0.41], False, '✔ better'),
        ([0.22], True, '✔ within'),
        ([0.60], True, '✖ worse'),
    ],
)
def test_the_rule(monkeypatch, values, lower, words):
    known(monkeypatch, replace(COURSE, lower_is_better=lower))
    record('e', values, data='digits')
    assert compare('e').verdict.startswith(words)


def test_the_rule_is_two_standard_errors_and_one_spread():
    mine = Record('e', [0.3, 0.32, 0.34, 0.31, 0.33])
    se = math.hypot(mine.spread, COURSE.spread) / math.sqrt(5)
    assert f'and {2 * se + COURSE.spread:.2g}' in RecordComparison(mine, replace(COURSE, profile='', data='')).verdict


def test_what_differs_is_said():
    mine = Record('e', [0.2] * 5, seconds=9, device='gpu: B', profile='smoke', data='digits')
    assert RecordComparison(mine, COURSE).verdict.endswith('the machine differs, so the seconds cannot be compared')
    assert 'seconds' not in RecordComparison(COURSE, COURSE).verdict
    mine.data, mine.profile = 'pets', 'gpu'
    verdict = RecordComparison(mine, COURSE).verdict
    assert (
        verdict.startswith('not comparable')
        and 'yours: pets, the course: digits' in verdict
    )


def test_nothing_to_compare(monkeypatch, capsys):
    known(monkeypatch, COURSE)
    record('f', [1])
    for name in ('never recorded', 'f'):
        assert compare(name) is None and f'record({name!r}, ...)' in capsys.readouterr().out


def test_the_latest_record_counts(monkeypatch):
    known(monkeypatch, COURSE)
    record('e', [0.9] * 5, data='digits')
    record('e', [0.21] * 5, data='digits')
    assert compare('e').verdict.startswith('✔ within')
