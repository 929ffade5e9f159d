"The committed tree: generated files are up to date, names mean one thing, floors hold."
import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coursehelpers.launch import read_nb
from coursehelpers.variants import DIRECTIVES

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT/'nbs').rglob('*.ipynb'))
SOURCES = [p for p in NOTEBOOKS if p.parent.name != 'clean']
FLOORS = dict(settings=0, plots=0, results=1, portable=1, curves=1, files=1, inside=1, glossary=1, celsius=1, matmul=1, layers=1, pictures=2, tables=2, widgets=2, products=2, neuron=2, workbooks=2, zooplots=2, augment=3, digits=3, pets=3, spreadsheet=3, metrics=3, reading=3, folders=3, catalogue=3,
              cache=4, cleaner=4, tabular=4, weights=4, data=5, checkpoints=5, lossplots=5, learner=6, frozen=6, exported=6, vision=7, mix=7, judging=8, zoorows=8, zoo=9, exercises=9, checks=10, launch=11, variants=12, running=12, authoring=13, cli=14)
AUTHORING = {'launch', 'variants', 'running', 'authoring'} # the only users of nbdev, never imported by a lesson


def cells(path, kind='code'):
    "The sources of a notebook's cells, with their ids."
    return [(c['id'], c['source']) for c in read_nb(path)['cells'] if c['cell_type'] == kind]


def exported():
    "{module: notebook} of every `default_exp`; two notebooks with the same one are an error."
    found = {}
    for path in SOURCES:
        for _, source in cells(path):
            for name in re.findall(r'^#\|\s*default_exp[ :]+(\S+)', source, re.M):
                assert name not in found, f'{path.name} and {found[name].name} both export {name}'
                found[name] = path
    return found


def modules():
    "{module: path} of the package's own Python files."
    package = ROOT/'coursehelpers'
    skip = {'__init__.py', '_modidx.py'}
    return {'.'.join(p.relative_to(package).with_suffix('').parts): p for p in package.rglob('*.py') if p.name not in skip}


def test_modules_on_disk_are_the_notebooks():
    assert set(modules()) == set(exported())


def snapshot(root):
    "Every generated or generating file below `root` and its bytes."
    kept = [*(root/'nbs').rglob('*.ipynb'), *(root/'coursehelpers').rglob('*.py'), *(root/'coursehelpers/static').glob('*'), root/'README.md']
    return {str(p.relative_to(root)): p.read_bytes() for p in kept if 'checkpoints' not in str(p)}


def test_prepare_changes_nothing(tmp_path):
    "Export, heads, nbdev's clean, the clean variants and the README's tables are up to date, and making them again (in a copy) is a no-op."
    for name in ('nbs', 'coursehelpers'): shutil.copytree(ROOT/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    for name in ('README.md', 'settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    subprocess.run([sys.executable, '-m', 'coursehelpers.cli', 'prepare'], cwd=tmp_path, check=True, capture_output=True)
    before, after = snapshot(ROOT), snapshot(tmp_path)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not changed, f'run `make prepare` and commit: {changed}'


def test_clean_check_passes():
    done = subprocess.run([sys.executable, '-m', 'coursehelpers.cli', 'clean', '--check'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_directives_are_known():
    for path in SOURCES:
        for cell, source in cells(path):
            for name in re.findall(r'^#\s*\|\s*(\w+)', source, re.M):
                assert name in DIRECTIVES, f'{path.name}, cell {cell}: #|{name} is no directive'


def test_clean_variants_export_nothing():
    for path in (ROOT/'nbs/clean').glob('*.ipynb'):
        assert not re.search(r'^#\|\s*(export|default_exp|exercise|record|hide)', '\n'.join(s for _, s in cells(path)), re.M), path.name


def test_cells_have_ids_of_their_own():
    for path in NOTEBOOKS:
        ids = [c['id'] for c in read_nb(path)['cells']]
        assert len(ids) == len(set(ids)), path.name


def imports(path, package):
    "The coursehelpers modules that the file imports, by first name."
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level: yield (node.module or '').split('.')[0]
        elif isinstance(node, ast.ImportFrom) and (node.module or '').startswith(package + '.'): yield node.module.split('.')[1]
        elif isinstance(node, ast.Import):
            for name in node.names:
                if name.name.startswith(package + '.'): yield name.name.split('.')[1]


def test_floors_hold():
    for name, path in modules().items():
        own = name.split('.')[0]
        for other in imports(path, 'coursehelpers'):
            assert FLOORS[other] < FLOORS[own], f'{name} (floor {FLOORS[own]}) imports {other} (floor {FLOORS[other]})'


def test_only_authoring_knows_nbdev():
    for name, path in modules().items():
        used = {m for m in ('nbdev', 'fastcore', 'execnb') if re.search(rf'^\s*(from|import) {m}\b', path.read_text(), re.M)}
        assert not used or name in AUTHORING, f'{name} imports {used}'


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '.'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lessons_do_not_use_authoring():
    for path in (ROOT/'nbs/full').glob('*.ipynb'):
        used = set(re.findall(r'coursehelpers\.(\w+)', path.read_text())) & AUTHORING
        assert not used, f'{path.name} uses {used}'


def public(tree):
    "The public functions and classes at the top of a module."
    return [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith('_')]


def test_every_public_name_has_a_docstring():
    bare = [f'{name}.{n.name}' for name, path in modules().items() for n in public(ast.parse(path.read_text())) if not ast.get_docstring(n)]
    assert not bare, bare


@pytest.mark.parametrize('path', [p for p in SOURCES if p.parent.name == 'full'], ids=lambda p: p.stem)
def test_full_lessons_are_light_and_every_figure_has_words(path):
    assert path.stat().st_size <= 300_000, f'{path.stat().st_size} bytes'
    outputs = [(c['id'], o) for c in read_nb(path)['cells'] for o in c.get('outputs', [])]
    assert outputs, 'no stored outputs: run `make run`'
    for cell, o in outputs:
        assert o['output_type'] != 'error', cell
        if 'image/png' in o.get('data', {}): assert o['metadata']['image/png']['alt'].strip(), f'cell {cell}: a figure without alt text'


def test_nothing_of_a_machine_is_stored():
    "No home folder, no project folder, no pictures from outside the offline default in the repository's notebooks."
    for path in NOTEBOOKS:
        text = path.read_text()
        assert str(ROOT) not in text and '/home/' not in text and '/root/' not in text, path.name
