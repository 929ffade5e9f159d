"""Every notebook runs.

By default: the clean lessons with the solutions put back, each in a real kernel, and the tools in this process.
In the long tier: the full lessons, the clean ones untouched, and the tools in real kernels."""
import os
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytest
from nbdev.test import test_nb as run_here

from coursehelpers.author import running
from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import solve
from coursehelpers.cli import outcomes

run_nb = partial(running.run_nb, timeout=300) # seconds a cell may take
run_notebook = partial(running.run_notebook, timeout=300)
ROOT = Path(__file__).parents[1]


SLOWEST = ('01_first_model.ipynb', '06_digits.ipynb', '08_learner.ipynb', '09_pets.ipynb', '10_best_models.ipynb',
           '11_deploy.ipynb', '12_segmentation.ipynb', '13_equation.ipynb', '14_text.ipynb', '15_recap.ipynb',
           '16_feeding.ipynb')


def names(folder):
    "The notebooks below nbs/folder, as paths below it."
    below = ROOT/'nbs'/folder
    found = [p.relative_to(below) for p in below.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts]
    return sorted(p.as_posix() for p in found)


def alone(folder):
    "The notebooks of a folder as parameters; each may run on any worker."
    groups = {name: [pytest.mark.xdist_group(f'test_notebooks {folder} {name}')] for name in names(folder)}
    if folder == 'clean':
        for slowest in SLOWEST: # their checks are proved in test_exercises
            groups[slowest].append(pytest.mark.long)
    return [pytest.param(name, marks=marks) for name, marks in groups.items()]


TOOLS = [name for name in names('tools') if not name.startswith('checks/lesson_')] # those are proved in test_exercises


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    "The smoke profile, and no data of the machine's."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'data'))


@pytest.mark.parametrize('name', TOOLS)
def test_tools(name):
    with patch.dict(os.environ): # what a notebook sets there stays with it
        passed, _ = run_here(ROOT/'nbs/tools'/name)
    assert passed, f'{name}: the cell and its traceback are above'


@pytest.mark.long
@pytest.mark.parametrize('name', alone('tools'))
def test_tools_in_a_kernel(name): run_notebook(ROOT/'nbs/tools'/name)


@pytest.mark.long
@pytest.mark.parametrize('name', alone('full'))
def test_full(name): run_notebook(ROOT/'nbs/full'/name)


def test_each_full_has_a_clean(): assert names('full') == names('clean')


@pytest.mark.parametrize('name', alone('clean'))
def test_clean_with_the_solutions_put_back(name):
    clean, full = (read_nb(ROOT/'nbs'/folder/name) for folder in ('clean', 'full'))
    found = outcomes(run_nb(solve(clean, full), ROOT/'nbs/clean', name))
    refused = {exercise: said for exercise, said in found.items() if said[0] != 'correct'}
    assert found and not refused, refused


@pytest.mark.long
@pytest.mark.parametrize('name', alone('clean'))
def test_clean_untouched(name):
    "Every check says: not attempted; and every cell that fails says in one line what to write first."
    done = run_notebook(ROOT/'nbs/clean'/name, allow_errors=True)
    found = {exercise: status for exercise, (status, _) in outcomes(done).items()}
    assert found and set(found.values()) == {'not attempted'}, found
    shown = [o for c in done['cells'] for o in c.get('outputs', []) if o['output_type'] == 'error']
    silent = [o['evalue'] for o in shown if len(o['traceback']) > 1 or 'NotWritten: write `' not in o['traceback'][0]]
    assert shown and not silent, silent
