"Every notebook in a real kernel: tools, full, clean with the solutions put back, clean untouched."
import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from coursehelpers import authoring

ROOT = Path(__file__).parents[1]
names = lambda folder: sorted(p.name for p in (ROOT/'nbs'/folder).glob('*.ipynb'))


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    "The smoke profile, no data of the machine's, a progress file of its own."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'data'))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'progress.json'))


def execute(nb, folder, **options):
    "Run `nb`, a dict or a notebook, in a kernel that works in `folder`, and give it back."
    nb = nbformat.from_dict(nb)
    NotebookClient(nb, timeout=300, resources={'metadata': {'path': str(folder)}}, **options).execute()
    return nb


def outcomes(nb):
    "{exercise: status} of every check that ran."
    mime = 'application/vnd.coursehelpers.outcome+json'
    found = [o['data'][mime] for c in nb.cells for o in c.get('outputs', []) if mime in o.get('data', {})]
    return {f['name']: f['status'] for f in found}


def load(folder, name): return json.loads((ROOT/'nbs'/folder/name).read_text())


@pytest.mark.parametrize('name', names('tools'))
def test_tools(name): execute(load('tools', name), ROOT/'nbs/tools')


@pytest.mark.parametrize('name', names('full'))
def test_full(name): execute(load('full', name), ROOT/'nbs/full')


def test_each_full_has_a_clean(): assert names('full') == names('clean')


@pytest.mark.parametrize('name', names('clean'))
def test_clean_with_the_solutions_put_back(name):
    done = execute(authoring.solve(load('clean', name), load('full', name)), ROOT/'nbs/clean')
    found = outcomes(done)
    assert found and set(found.values()) == {'correct'}, found


@pytest.mark.parametrize('name', names('clean'))
def test_clean_untouched(name):
    "Nothing breaks before the first exercise, and every check says: not attempted."
    done = execute(load('clean', name), ROOT/'nbs/clean', allow_errors=True)
    found = outcomes(done)
    assert found and set(found.values()) == {'not attempted'}, found
    for cell in done.cells:
        if cell.source.startswith('check('): break
        errors = [o for o in cell.get('outputs', []) if o['output_type'] == 'error']
        assert not errors, f'{cell.id}: {errors[0]["evalue"]}'
