"The package installs with pip alone, beside what a platform brings, and gives the learner a copy of the lessons."
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from coursehelpers import __version__

ROOT = Path(__file__).parents[1]
FREEZE = ROOT.parent/'shared/peers/colab-pip-freeze.txt'


def canonical(name): return re.sub(r'[-_.]+', '-', name).lower()


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    "The package's wheel."
    folder = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob('*.whl'))


def resolve(python, constraints, *options):
    "What an installer would choose for the package on a Python of that version: {name: version}."
    command = [sys.executable, '-m', 'uv', 'pip', 'compile', '-q', '--no-header', '--no-annotate', '--no-build',
               '--python-version', python, '-c', constraints, *options, ROOT/'pyproject.toml']
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(pin(line) for line in done.stdout.splitlines() if '==' in line)


def pin(line):
    "name==version as (name, version), without a build's local part."
    name, version = line.split(';')[0].strip().split('==')
    return canonical(name), version.split('+')[0]


def test_the_wheel_is_whole(wheel):
    "Settings, widgets' JavaScript, exercises, results and the sample travel with it; at most 25 MB."
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.stat().st_size < 25e6
    assert not [name for name in names if 'checkpoints/' in name or name.endswith(('.lock', 'ruff.toml'))], 'strays'
    needed = 'settings.ini', 'constraints.txt', 'exercises.json', 'results.json'
    assert {f'coursehelpers/{name}' for name in needed} <= names
    kinds = {'.js', '.css', '.json', '.xlsx', '.jpg', '.png', '.csv', '.safetensors', '.md', '.txt'}
    lessons = {p.relative_to(ROOT/'nbs').as_posix() for p in (ROOT/'nbs').glob('[fcp]*/*.ipynb')} # full, clean, pieces
    assert lessons and {f'coursehelpers/lessons/{name}' for name in lessons} <= names
    shipped = {p.relative_to(ROOT).as_posix() for p in (ROOT/'coursehelpers').rglob('*') if p.suffix in kinds}
    assert shipped and shipped <= names


def test_the_wheel_alone_finds_its_settings(wheel, tmp_path):
    "As on Colab: no checkout in sight, the shipped settings, the data root below the working folder."
    command = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', tmp_path/'site', wheel]
    subprocess.run(command, check=True, capture_output=True)
    code = ('import coursehelpers as c; print(c.__file__)\n'
            'from coursehelpers.settings import settings as s; print(s().course.repo, s().data.root)')
    (tmp_path/'here').mkdir()
    env = {'PYTHONPATH': str(tmp_path/'site'), 'PATH': '/usr/bin:/bin'}
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path/'here', env=env, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(str(tmp_path)), done.stderr
    assert lines[1] == f'coursehelpers/coursehelpers {tmp_path/"here/data"}'


class Learner:
    "Someone with the wheel and the `lab` extra, in a folder with a space and letters that are not English."
    def __init__(self, wheel, home):
        self.site, self.here = home/'site', home/'kürs mit leer ñ'
        self.package, self.copy = self.site/'coursehelpers', self.here/'deep-learning'
        self.program = home/'program.py'
        zipfile.ZipFile(wheel).extractall(self.site) # what pip does with a wheel that is all Python, ten times as fast
        self.here.mkdir()
        self.program.write_text(LAB_ALONE)

    def __call__(self, *args, folder=None):
        env = dict(os.environ, PYTHONPATH=str(self.site), COURSEHELPERS_RUN_PROGRESS=str(self.here/'progress.json'),
                   COURSEHELPERS_RUN_PROFILE='smoke')
        return subprocess.run([sys.executable, self.program, *map(str, args)], cwd=folder or self.here, env=env,
                              capture_output=True, text=True)

    def upgrade(self, version, **changes):
        "Another version is installed, in which these cells are new: {lesson: source}."
        (self.package/'__init__.py').write_text(f'__version__ = "{version}"\n')
        for name, source in changes.items():
            add_cell(self.package/f'lessons/full/{name}.ipynb', source)


LAB_ALONE = '''
import sys
for name in ('nbdev', 'fastcore', 'execnb'): # what the `lab` extra does not bring
    sys.modules[name] = None
from coursehelpers.cli import app
app(sys.argv[1:])
'''
LESSONS = {p.stem.partition('_')[0]: p.stem for p in (ROOT/'nbs/full').glob('*.ipynb')}


def add_cell(path, source):
    nb = json.loads(path.read_text(encoding='utf-8'))
    nb['cells'].append(dict(cell_type='code', id='added', metadata={}, source=source, outputs=[], execution_count=None))
    path.write_text(json.dumps(nb), encoding='utf-8')


@pytest.fixture
def learner(wheel, tmp_path): return Learner(wheel, tmp_path)


def test_a_copy_without_a_clone(learner):
    "Everything is there, links between full and clean hold, the settings are the copy's, and a second `get` is quiet."
    done = learner('get')
    assert done.returncode == 0 and str(learner.copy) in done.stdout, done.stderr
    for path in learner.copy.glob('*/*.ipynb'):
        links = re.findall(r'\]\((\.\./[^)#]+)\)', path.read_text(encoding='utf-8'))
        assert links and all((path.parent/link).exists() for link in links), path.name
    assert {p.stem for p in learner.copy.glob('full/*')} == set(LESSONS.values())
    code = 'from coursehelpers.settings import settings as s; print(s().path, s().data.root)'
    env, command = dict(os.environ, PYTHONPATH=str(learner.site)), [sys.executable, '-c', code]
    said = subprocess.run(command, cwd=learner.copy/'full', env=env, capture_output=True, text=True)
    assert said.stdout.strip() == f'{learner.copy/"settings.ini"} {learner.copy/"data"}'
    assert 'new in' not in learner('get', folder=learner.copy/'clean').stdout
    assert {p.name for p in learner.here.iterdir()} == {'deep-learning'}


def test_an_upgrade_loses_nothing(learner):
    "Untouched: renewed. Changed by the learner: stays. Changed by both: two files. A new lesson: brought."
    learner('get')
    full = learner.copy/'full'
    mine, both, untouched = (full/f'{LESSONS[n]}.ipynb' for n in ('02', '03', '04'))
    for path in (mine, both):
        add_cell(path, 'what I wrote')
    learner.upgrade('99.0', **{LESSONS[n]: 'new in the course' for n in ('03', '04')})
    for variant in ('full', 'clean'):
        folder = learner.package/'lessons'/variant
        shutil.copy(folder/f'{LESSONS["00"]}.ipynb', folder/'18_new.ipynb')
    said = learner('get').stdout
    beside = both.with_name(f'{both.stem}_99.0.ipynb')
    assert f'the new one is full/{beside.name}' in said and 'full/18_new.ipynb' in said and mine.name not in said
    words = {path: path.read_text(encoding='utf-8') for path in (mine, both, beside, untouched)}
    assert ['what I wrote' in text for text in words.values()] == [True, True, False, False]
    assert ['new in the course' in text for text in words.values()] == [False, False, True, True]
    assert 'new' not in learner('get').stdout.replace(str(learner.copy), '')
    assert words == {path: path.read_text(encoding='utf-8') for path in words}
    done = learner('run', '03x', folder=full) # the second file is no lesson of its own
    assert done.returncode == 2 and beside.stem not in done.stderr


KILL = '''
import os, sys
from pathlib import Path
from coursehelpers.base import delivery
whole, left = os.replace, [int(sys.argv[2])]
def replace(*args):
    left[0] -= 1
    if left[0] < 0: os._exit(9)
    whole(*args)
os.replace = replace
delivery.deliver(Path(sys.argv[1]))
'''


def test_killed_halfway_it_is_whole(learner):
    "At the first file, in the middle, twice in one upgrade: no half file, and the next call ends it."
    env = dict(os.environ, PYTHONPATH=str(learner.site))
    for version, stops in (('0.1.0', (0, 1, 9, 19)), ('0.2.0', (1, 1))):
        learner.upgrade(version, **dict.fromkeys((LESSONS['03'], LESSONS['04']), f'of {version}'))
        for stop in stops:
            command = [sys.executable, '-c', KILL, learner.copy, str(stop)]
            assert subprocess.run(command, env=env, cwd=learner.here).returncode == 9
            assert all(json.loads(p.read_text(encoding='utf-8')) for p in learner.copy.glob('*/*.ipynb'))
        add_cell(learner.copy/f'full/{LESSONS["04"]}.ipynb', 'mine') # between the crash and the next call
        assert learner('get').returncode == 0
        assert f'of {version}' in (learner.copy/f'full/{LESSONS["03"]}.ipynb').read_text(encoding='utf-8')
        assert 'mine' in (learner.copy/f'full/{LESSONS["04"]}.ipynb').read_text(encoding='utf-8')


def test_a_package_that_is_not_whole_says_so(learner):
    (learner.package/f'lessons/full/{LESSONS["03"]}.ipynb').unlink()
    done = learner('get')
    assert done.returncode == 1 and 'not whole' in done.stderr and '--force-reinstall' in done.stderr
    (learner.package/'exercises.py').unlink()
    done = learner('progress')
    assert done.returncode == 1 and 'coursehelpers.exercises is missing' in done.stderr
    assert 'Traceback' not in done.stderr and '--force-reinstall' in done.stderr


def test_an_older_package_touches_nothing(learner):
    "It stands first on the path, before the one of a newer copy or a newer clone."
    learner('get')
    manifest = learner.copy/'.coursehelpers.json'
    manifest.write_text(manifest.read_text().replace('"version": "', '"version": "9'))
    for args in (['get'], ['check', '03'], ['run', '03']):
        done = learner(*args, folder=learner.copy/'full')
        assert done.returncode == 1 and str(learner.package) in done.stderr and f'9{__version__}' in done.stderr
    clone = learner.here/'clone'
    (clone/'nbs/full').mkdir(parents=True)
    (clone/'coursehelpers').mkdir()
    (clone/'coursehelpers/__init__.py').write_text('__version__ = "90.1.0"\n')
    done = learner('get', folder=clone)
    assert done.returncode == 1 and 'make lab' in done.stderr and not (clone/'deep-learning').exists()


def test_a_place_that_is_no_place_says_so(learner):
    (learner.here/'taken').mkdir()
    (learner.here/'taken/thesis.doc').touch()
    (learner.here/'file').touch()
    for place, words in (('taken', 'new or empty'), ('file', 'may write'), ('file/below', 'may write')):
        done = learner('get', place)
        assert done.returncode == 1 and words in done.stderr and 'Traceback' not in done.stderr, done.stderr
    assert [p.name for p in (learner.here/'taken').iterdir()] == ['thesis.doc']


@pytest.mark.long
def test_lessons_run_and_are_checked_in_the_copy(learner):
    "With the `lab` extra alone, from any folder inside; nothing that runs changes a file there."
    learner('get')
    before = {p: p.read_bytes() for p in learner.copy.rglob('*.ipynb')}
    done = learner('run', '00', folder=learner.copy/'clean')
    assert done.returncode == 0 and '00_start_here: ran in' in done.stdout, done.stdout + done.stderr
    done = learner('check', '00', folder=learner.copy)
    assert done.returncode == 0 and 'not attempted' in done.stdout, done.stdout + done.stderr
    assert 'lesson 00' in learner('progress').stdout
    assert before == {p: p.read_bytes() for p in learner.copy.rglob('*.ipynb')}


def test_the_readme_names_the_address_of_this_version():
    from coursehelpers.settings import source_address
    assert f'pip install "{source_address("lab")}"' in (ROOT/'README.md').read_text(encoding='utf-8')


@pytest.mark.long
@pytest.mark.skipif(not FREEZE.exists(), reason="Colab's published versions are not beside this checkout")
def test_resolves_under_colabs_versions(tmp_path):
    "On Python 3.13 with Colab's freeze as constraints: what Colab has keeps its version, and nothing is missing there."
    freeze = dict(pin(line) for line in FREEZE.read_text().splitlines() if '==' in line)
    # the CUDA libraries go with the build of torch: Colab's comes from elsewhere and brings its own
    ours = {n: v for n, v in freeze.items() if not n.startswith(('nvidia', 'cuda', 'triton'))}
    (tmp_path/'constraints.txt').write_text('\n'.join(f'{n}=={v}' for n, v in ours.items()))
    found = resolve('3.13', tmp_path/'constraints.txt')
    assert {n: v for n, v in found.items() if n in ours} == {n: v for n, v in ours.items() if n in found}
    # IPython 7.34 names jedi, and Colab leaves it out on purpose: adding it changes nothing.
    # torchmetrics is small and brings one helper of its own
    expected = {'jedi', 'torchmetrics', 'lightning-utilities'}
    missing = {n for n in found if n not in freeze and not n.startswith(('nvidia', 'cuda', 'triton'))} - expected
    assert not missing, f'Colab would have to add {missing}'


@pytest.mark.long
@pytest.mark.parametrize('python', ['3.10', '3.11', '3.12', '3.13', '3.14'])
def test_resolves_under_our_own_constraints(python):
    lines = map(Requirement, (ROOT/'constraints.txt').read_text().splitlines())
    here = [p for p in lines if not p.marker or p.marker.evaluate(dict(python_version=python))]
    pins = {p.name: str(p.specifier)[2:] for p in here}
    found = resolve(python, ROOT/'constraints.txt', '--extra', 'dev')
    assert {n: v for n, v in found.items() if n in pins} == {n: v for n, v in pins.items() if n in found}
    assert {'torch', 'timm', 'jupyterlab', 'anywidget'} <= set(found)


def test_constraints_are_plain_pins():
    for line in (ROOT/'constraints.txt').read_text().splitlines():
        assert re.fullmatch(r'[a-z0-9-]+==[0-9.]+(; python_version (<|>=) "3[.][0-9]+")?', line), line
