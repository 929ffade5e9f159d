"The committed tree: generated files are up to date, names mean one thing, floors hold."
import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import DIRECTIVES, parse_cell
from coursehelpers.cli import outcomes

ROOT = Path(__file__).parents[1]
NOTEBOOKS = [p for p in sorted((ROOT/'nbs').rglob('*.ipynb')) if '.ipynb_checkpoints' not in p.parts]
SOURCES = [p for p in NOTEBOOKS if p.parent.name != 'clean']
AUTHORS_ONLY = {'nbdev', 'fastcore', 'execnb'}
WITH_PHOTOGRAPHS = {'00', '01', '09', '10', '12'} # lessons whose outputs may be larger


@pytest.mark.skipif('PYTEST_XDIST_WORKER' not in os.environ, reason='one process: nothing to share')
def test_groups_reach_their_workers(request):
    "What is slow to build is built once a run only if xdist keeps groups together."
    assert request.node.nodeid.endswith('@test_tree')


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
    files = [p for p in package.rglob('*.py') if p.name not in skip]
    return {'.'.join(p.relative_to(package).with_suffix('').parts): p for p in files}


def test_modules_on_disk_are_the_notebooks():
    assert set(modules()) == set(exported())


def snapshot(root):
    "Every generated or generating file below `root` and its bytes."
    kept = [*(root/'nbs').rglob('*.ipynb'), *(root/'coursehelpers').rglob('*.*'), root/'README.md']
    skip = {'__pycache__', '.ipynb_checkpoints', '_modidx.py'}
    return {str(p.relative_to(root)): p.read_bytes() for p in kept if not skip & set(p.parts)}


def test_prepare_changes_nothing(tmp_path):
    "Everything generated is up to date, and making it again (in a copy) changes no byte."
    for name in ('nbs', 'coursehelpers'):
        shutil.copytree(ROOT/name, tmp_path/name, ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints'))
    (tmp_path/'docs').mkdir()
    for name in ('README.md', 'settings.ini', 'pyproject.toml', 'docs/platforms.json'):
        shutil.copy(ROOT/name, tmp_path/name)
    command = [sys.executable, '-m', 'coursehelpers.cli', 'prepare']
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    before, after = snapshot(ROOT), snapshot(tmp_path)
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert not changed, f'run `make prepare` and commit: {changed}'


def test_directives_are_known_and_stand_at_the_top():
    for path in SOURCES:
        for cell, source in cells(path):
            read, _ = parse_cell(dict(source=source))
            for name in re.findall(r'^#\s*\|\s*(\w+)', source, re.M):
                assert name in DIRECTIVES, f'{path.name}, cell {cell}: #|{name} is no directive'
                assert name in read, f'{path.name}, cell {cell}: #|{name} stands below code, where it does nothing'


def test_clean_variants_export_nothing():
    for path in (ROOT/'nbs/clean').glob('*.ipynb'):
        code = '\n'.join(source for _, source in cells(path))
        assert not re.search(r'^#\|\s*(export|default_exp|exercise|record|hide)', code, re.M), path.name


def test_cells_have_ids_of_their_own():
    for path in NOTEBOOKS:
        ids = [c['id'] for c in read_nb(path)['cells']]
        assert len(ids) == len(set(ids)), path.name


def imports(module):
    "The coursehelpers modules that `module` imports, at the top or inside a function."
    package = ['coursehelpers', *module.split('.')[:-1]]
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            base = '.'.join([*base, *filter(None, [node.module])])
            found = [base, *(f'{base}.{name.name}' for name in node.names)]
        else:
            continue
        yield from {name.removeprefix('coursehelpers.') for name in found} & set(MODULES)


MODULES = modules()
IMPORTS = {module: set(imports(module)) - {module} for module in MODULES}
GROUND = {m for m in MODULES if '.' not in m}
FOR_EVERYONE = {'settings', 'plots', 'results'}
MACHINERY = {'base', 'tables', 'images', 'nets', 'widgets', 'training'}
# a module of the machinery that opens the ground floor, and why
EXCEPTIONS = {
    ('widgets.fit', 'curves'): 'a widget may use the maths of the lesson it shows',
    ('widgets.neuron', 'celsius'): 'a widget may use the maths of the lesson it shows',
    ('widgets.products', 'matmul'): 'a widget may use the maths of the lesson it shows',
}


def door(module): return module.rpartition('.')[0]


def layers(graph):
    "The length of the longest way down from each node; a circle is an error."
    sorter = graphlib.TopologicalSorter(graph)
    depth = {}
    for node in sorter.static_order():
        depth[node] = 1 + max((depth[other] for other in graph[node]), default=0)
    return depth


def test_no_file_is_in_a_circle(): assert layers(IMPORTS)


def test_folders_stand_on_folders_below():
    "From the real imports: no circle of folders, and at most seven of them over one another."
    graph = {door(m): set() for m in MODULES if door(m)}
    for module, others in IMPORTS.items():
        if door(module):
            graph[door(module)] |= {door(o) for o in others if door(o)} - {door(module)}
    depth = layers(graph)
    assert max(depth.values()) <= 7 and depth['base'] == 1, depth


def test_machinery_does_not_open_the_ground_floor():
    lessons = GROUND - FOR_EVERYONE
    crossed = {(m, o) for m, others in IMPORTS.items() if door(m) in MACHINERY for o in others & lessons}
    assert crossed == set(EXCEPTIONS)
    assert not {(m, o) for m, others in IMPORTS.items() if door(m) == 'base' for o in others if door(o) != 'base'}


def test_only_exercises_opens_the_checks():
    openers = {m for m, others in IMPORTS.items() if 'checks' in map(door, others)}
    assert {m for m in openers if door(m) not in ('checks', 'author')} == {'exercises'}


def test_only_the_terminal_opens_the_authors_room():
    openers = {m for m, others in IMPORTS.items() if 'author' in map(door, others)}
    assert {m for m in openers if door(m) != 'author'} == {'cli'}


def test_only_the_terminal_opens_the_pages():
    openers = {m for m, others in IMPORTS.items() if 'app' in map(door, others)}
    assert {m for m in openers if door(m) != 'app'} == {'cli'}
    assert not {o for m in MODULES if door(m) == 'app' for o in IMPORTS[m] if door(o) in ('checks', 'author')}


def test_the_ground_floor_is_small(): assert len(GROUND) <= 23, sorted(GROUND)


def test_every_door_says_what_is_inside():
    for name in {door(m) for m in MODULES if door(m)}:
        words = ast.get_docstring(ast.parse((ROOT/'coursehelpers'/name/'__init__.py').read_text()))
        assert words and words.endswith('.'), name


def test_only_authors_know_nbdev():
    for name, path in MODULES.items():
        used = {m for m in AUTHORS_ONLY if re.search(rf'^\s*(from|import) {m}\b', path.read_text(), re.M)}
        assert not used or door(name) == 'author', f'{name} imports {used}'


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, '-m', 'ruff', 'check', '.'], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lessons_do_not_use_authoring():
    for path in (ROOT/'nbs/full').glob('*.ipynb'):
        assert 'coursehelpers.author' not in path.read_text(), path.name


def public(tree):
    "The public functions and classes at the top of a module."
    return [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith('_')]


def test_every_public_name_has_a_docstring():
    trees = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
    bare = [f'{name}.{n.name}' for name, tree in trees.items() for n in public(tree) if not ast.get_docstring(n)]
    assert not bare, bare


@pytest.mark.parametrize('path', [p for p in SOURCES if p.parent.name == 'full'], ids=lambda p: p.stem)
def test_full_lessons_are_light_and_every_figure_has_words(path):
    most = 600_000 if path.stem[:2] in WITH_PHOTOGRAPHS else 300_000
    assert path.stat().st_size <= most, f'{path.stat().st_size} bytes'
    outputs = [(c['id'], o) for c in read_nb(path)['cells'] for o in c.get('outputs', [])]
    assert outputs, 'no stored outputs: run `make run`'
    for cell, o in outputs:
        assert o['output_type'] != 'error', cell
        for kind in {'image/png', 'image/jpeg'} & o.get('data', {}).keys():
            assert o['metadata'][kind]['alt'].strip(), f'cell {cell}: a figure without alt text'


def test_nothing_of_a_machine_is_stored():
    "No home folder, no project folder, no pictures from outside the offline default in the repository's notebooks."
    for path in NOTEBOOKS:
        text = path.read_text()
        assert not [p for p in (str(ROOT), '/home/', '/root/', '/ipykernel_') if p in text], path.name


def test_no_lesson_takes_longer_than_75_minutes():
    "By the formula of `coursehelpers gaps`, which the metadata hold."
    lessons = {path.name: read_nb(path) for path in (ROOT / 'nbs/full').glob('*.ipynb')}
    minutes = {name: nb['metadata']['course']['minutes'] for name, nb in lessons.items()}
    assert minutes and max(minutes.values()) <= 75, minutes


def test_each_check_that_is_stored_said_correct():
    "The course's own answers, when the outputs of the full lessons were stored."
    said = {path.name: outcomes(read_nb(path)) for path in (ROOT / 'nbs/full').glob('*.ipynb')}
    refused = {f'{name} {e}': found for name, of in said.items() for e, found in of.items() if found[0] != 'correct'}
    assert any(said.values()) and not refused, refused
