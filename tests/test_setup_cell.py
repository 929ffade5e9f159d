"A lesson's first cell, as it stands, on fake platforms: it installs the course, or one sentence says what to do."
import ast
import http.server
import io
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from coursehelpers import __version__
from coursehelpers.author.launch import setup_cell
from coursehelpers.settings import source_address

ROOT = Path(__file__).parents[1]
NOWHERE = 'http://127.0.0.1:9/course.zip' # nobody listens there
CONFLICT = '''The conflict is caused by:
    The user requested (constraint) torch==2.1.1
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io'''
NO_INDEX = 'ERROR: Could not find a version that satisfies the requirement hatchling>=1.24 (from versions: none)'

# the course is hidden until pip has "installed" it; sys.executable is a script that only notes how it was called
RUN = '''
import importlib.metadata, os, sys
from IPython.core.interactiveshell import InteractiveShell
installed = os.path.abspath('installed')
class Hidden:
    def find_spec(name, path=None, target=None):
        if name == 'coursehelpers' and not os.path.exists(installed):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden)
sys.executable = os.path.abspath('python')
{before}
done = InteractiveShell.instance().run_cell({cell!r})
print('went on' if done.success else 'stopped')
'''
PIP = '''#!/bin/sh
echo "$@" >> "{folder}/calls"
for file; do case "$file" in */kept.txt) cp "$file" "{folder}/kept";; esac; done
cat "{folder}/says" && exit 1
touch "{folder}/installed"
'''


def zipped(*paths):
    "An archive as GitHub makes it: everything below one folder."
    made = io.BytesIO()
    with zipfile.ZipFile(made, 'w') as archive:
        for path in paths:
            archive.write(ROOT/path, f'coursehelpers-{__version__}/{path}')
    return made.getvalue()


@pytest.fixture(scope='module')
def server():
    "Serves /course.zip and /login; all else is 404. Gives its address."
    archive = zipped('coursehelpers/__init__.py', 'coursehelpers/base/__init__.py', 'coursehelpers/base/ready.py')
    answers = {'/course.zip': archive, '/login': b'<html>Log in to the Wi-Fi'}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header('Content-Length', str(len(body or b'')))
            self.end_headers()
            self.wfile.write(body or b'')

        def log_message(self, *args): pass

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


class Platform:
    "A folder with a fake Python in it; `run` runs the cell there and gives what it printed."
    def __init__(self, folder):
        self.folder = folder
        script = folder/'python'
        script.write_text(PIP.format(folder=folder))
        script.chmod(0o755)

    def run(self, address, says=None, before='', at='.', **env):
        "`says` is what a pip that fails prints, `before` code that runs before the cell, `at` the notebook's folder."
        if says is not None: (self.folder/'says').write_text(says)
        cell = setup_cell().replace(source_address().partition(' @ ')[2], address)
        code = RUN.format(before=f'{before}\nos.chdir({at!r})', cell=cell)
        env = {**os.environ, 'HOME': str(self.folder/'home'), 'PYTHONPATH': str(ROOT), **env}
        done = subprocess.run([sys.executable, '-c', code], cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    def read(self, name):
        "The lines of a file that the fake Python wrote; none without it."
        path = self.folder/name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def platform(tmp_path): return Platform(tmp_path)


def test_it_does_nothing_where_the_course_is(platform):
    (platform.folder/'installed').touch()
    assert platform.run(NOWHERE) == 'went on'
    assert platform.read('calls') == []


def test_it_installs_an_archive_and_keeps_every_version(platform, server):
    from importlib.metadata import version

    from packaging.requirements import Requirement
    assert platform.run(f'{server}/course.zip').endswith('The course is installed.\nwent on')
    (call,) = platform.read('calls')
    assert call.startswith('-m pip install') and call.endswith(f'/coursehelpers-{__version__}') and ' -e ' not in call
    kept = {r.name: str(r.specifier) for r in map(Requirement, platform.read('kept'))}
    assert len(kept) > 50 and 'coursehelpers' not in kept
    for name in ('torch', 'numpy', 'ipywidgets', 'torchvision'):
        assert kept[name] == f'=={version(name)}'


def test_in_a_checkout_it_installs_the_checkout(platform):
    for path in ('coursehelpers/__init__.py', 'coursehelpers/base/ready.py'):
        copy = platform.folder/path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT/path).read_bytes())
    (platform.folder/'nbs/full').mkdir(parents=True)
    (platform.folder/'.git').mkdir()
    assert platform.run(NOWHERE, at='nbs/full').endswith('went on')
    (call,) = platform.read('calls')
    assert call.endswith(f' -e {platform.folder}')


def stops(said, *words):
    "The run stopped with one sentence that has these words, and nothing that looks like a traceback."
    assert said.endswith('stopped'), said
    assert all(word in said for word in words), said
    assert 'Traceback' not in said and '---' not in said and len(said.splitlines()) <= 4, said


@pytest.mark.parametrize('page, words', [
    (None, 'Settings, Internet on'),
    ('/login', 'log in to the network first'),
    ('/gone.zip', '/gone.zip cannot be fetched: HTTP Error 404'),
])
def test_what_cannot_be_fetched(platform, server, page, words):
    stops(platform.run(NOWHERE if page is None else server + page), words)
    assert platform.read('calls') == []


@pytest.mark.parametrize('says, words', [
    ('/env/bin/python: No module named pip', 'uv pip install --python'),
    (NO_INDEX, 'Settings, switch Internet on'),
    ('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device', 'The disk is full'),
    ('Building\nERROR: the moon is not right\nsome hint', 'ERROR: the moon is not right'),
])
def test_what_pip_says_becomes_a_remedy(platform, server, says, words):
    stops(platform.run(f'{server}/course.zip', says=says), words)


@pytest.mark.parametrize('version', [(3, 9, 2), (3, 15, 0)])
def test_a_python_that_the_course_is_not_made_for(platform, server, version):
    said = platform.run(f'{server}/course.zip', before=f'sys.version_info = {version}')
    stops(said, 'needs Python 3.10 to 3.14', f'runs Python 3.{version[1]}:')
    assert platform.read('calls') == []


def test_a_half_installed_course_is_completed_or_says_what_lacks(platform, server):
    (platform.folder/'installed').touch()
    lacks = "importlib.metadata.requires = lambda name: ['no-such-package>=1']"
    stops(platform.run(f'{server}/course.zip', before=lacks), 'needs no-such-package', 'restart the kernel')
    assert len(platform.read('calls')) == 1
    stops(platform.run(NOWHERE, before=lacks), 'cannot be fetched')


@pytest.mark.parametrize('sign, words', [
    ('COLAB_RELEASE_TAG', 'Runtime version'),
    ('KAGGLE_KERNEL_RUN_TYPE', 'Always use latest environment'),
])
def test_older_packages_where_no_kernel_can_be_chosen(platform, server, sign, words):
    stops(platform.run(f'{server}/course.zip', says=CONFLICT, **{sign: 'x'}), '(torch==2.1.1)', words)
    assert len(platform.read('calls')) == 1


@pytest.mark.parametrize('says, why', [
    (CONFLICT, 'older packages than the course needs (torch==2.1.1)'),
    ('error: externally-managed-environment', 'belongs to the system'),
    ('ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied', 'cannot be written'),
    ('ERROR: Could not install packages due to an OSError: [Errno 30] Read-only file system', 'cannot be written'),
])
def test_a_kernel_of_its_own(platform, server, says, why):
    own = platform.folder/'home/.coursehelpers/kernel'
    names = 'anywidget', '@jupyter-widgets/jupyterlab-manager'
    for name in names:
        (own/'share/jupyter/labextensions'/name).mkdir(parents=True)
    (own/'bin').mkdir()
    (own/'bin/python').symlink_to(platform.folder/'python')
    # pip fails beside the platform's packages, and not in the environment of its own
    script = platform.folder/'python'
    well = 'case "$*" in *--python*|*ipykernel*) exit 0;; esac'
    script.write_text(script.read_text().replace('cat ', f'{well}\ncat '))
    data = platform.folder/'jupyter'
    env = dict(JUPYTER_DATA_DIR=str(data), JUPYTER_PATH='')
    before = 'import jupyter_core.paths as paths; paths.jupyter_path = lambda *parts: []'
    stops(platform.run(f'{server}/course.zip', says=says, before=before, **env), why, 'Kernel, Change Kernel')
    _, packages, kernel = platform.read('calls')
    assert f'--python {own}/bin/python' in packages and packages.endswith('[lab]')
    assert '-m ipykernel install --user --name=coursehelpers' in kernel
    assert all((data/'labextensions'/name).is_dir() for name in names)


def test_no_kernel_of_its_own_where_the_home_cannot_be_written(platform, server):
    (platform.folder/'home').write_text('a file in the place of a folder')
    stops(platform.run(f'{server}/course.zip', says=CONFLICT), 'no kernel could be made in', 'Not a directory')


def test_a_python_too_old_for_the_course_can_read_why():
    modules = 'coursehelpers/base/ready.py', 'coursehelpers/__init__.py'
    for source in (setup_cell(), *((ROOT/path).read_text() for path in modules)):
        ast.parse(source, feature_version=(3, 7))
