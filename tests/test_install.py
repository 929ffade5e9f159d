"The package installs with pip alone, and beside what a platform brings without changing it."
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
    import zipfile
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wheel.stat().st_size < 25e6
    needed = 'settings.ini', 'constraints.txt', 'exercises.json', 'results.json'
    assert {f'coursehelpers/{name}' for name in needed} <= names
    kinds = {'.js', '.css', '.json', '.xlsx', '.jpg', '.png', '.csv', '.safetensors', '.md', '.txt'}
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
