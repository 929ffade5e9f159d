"What a lesson hands over earns nothing: the course's own functions are no answers, however one comes by them."
import ast
import importlib
import json
import re
import sys
from pathlib import Path

from coursehelpers.author.launch import read_nb
from coursehelpers.exercises import check

ROOT = Path(__file__).parents[1]
EXERCISES = json.loads((ROOT/'coursehelpers/exercises.json').read_text())


def imports(path):
    "The code cells of a notebook that only import, without the one that installs the course."
    found = []
    for cell in read_nb(path)['cells']:
        if cell['cell_type'] != 'code' or cell['id'] == 'setup': continue
        try:
            body = ast.parse(cell['source']).body
        except SyntaxError: # a line of IPython's
            continue
        if body and all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in body):
            found.append(cell['source'])
    return found


def owned(name):
    "What the modules of the course that are loaded call by this name."
    modules = [m for module, m in sys.modules.items() if module.split('.')[0] == 'coursehelpers']
    return {id(m.__dict__[name]): m.__dict__[name] for m in modules if callable(m.__dict__.get(name))}.values()


def test_after_the_imports_alone_nothing_earns_credit(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'progress.json'))
    tried, taught = set(), {p.stem: p.read_text() for p in (ROOT/'coursehelpers').glob('[a-z]*.py')}
    exported = {n for n in EXERCISES if any(re.search(rf'^(def|class) {n}\b', s, re.M) for s in taught.values())}
    for module in taught:
        importlib.import_module(f'coursehelpers.{module}')
    for path in sorted((ROOT/'nbs/clean').glob('*.ipynb')):
        space, cells = {'__name__': '__main__'}, imports(path)
        assert cells, path.name
        exec('\n'.join(cells), space)
        for name in EXERCISES:
            handed = [space[name]] if callable(space.get(name)) else []
            for fn in [*handed, *owned(name)]:
                assert check(fn, name).status != 'correct', f'{path.name}: {name} from {fn.__module__}'
                tried.add(name)
    assert exported and exported <= tried # the others are in no module
    assert not (tmp_path/'progress.json').exists()
