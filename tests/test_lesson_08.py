"Lesson 08 as a learner meets it: the slider's callback at its ends, and the loop they write, as short as it says."

import ast
from pathlib import Path

import matplotlib
import pytest

from coursehelpers.author.launch import read_nb

CELLS = {c['id']: c['source'] for c in read_nb(Path(__file__).parents[1] / 'nbs/full/08_learner.ipynb')['cells']}


@pytest.mark.parametrize('highest, step', [(0.002, 0), (0.01, 99), (0.02, 29), (0.02, 99)])
def test_the_slider_at_its_ends(highest, step):
    "No runner sees an exception inside an interact callback, so it is called as a plain function."
    matplotlib.use('agg')
    space = {}
    for cell in ('69b5e1d1', '9dbf453c', 'cycle'):
        exec(compile(CELLS[cell], cell, 'exec'), space)
    space['plot_cycle'](highest=highest, step=step)


def test_the_learners_own_loop_has_about_forty_lines():
    "Docstrings and empty lines are not counted."
    source = CELLS['bb949ac0']  # what is written on top of it replaces two of its methods
    docs = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            docs |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = [line for i, line in enumerate(source.splitlines(), 1) if i not in docs]
    code = [line for line in lines if line.strip() and not line.startswith('#|')]
    assert 35 <= len(code) <= 42
