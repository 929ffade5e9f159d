"The doctor: each thing that stops a learner has a line of its own, with what to do on this platform."
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError

import pytest
from typer.testing import CliRunner

from coursehelpers import cli
from coursehelpers import doctor as module
from coursehelpers.doctor import doctor, examine

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def nobody_outside(monkeypatch):
    "The page that the doctor asks for is at a port at which nobody listens."
    monkeypatch.setattr(module, '_asked', 'http://127.0.0.1:9/')


def advice(look):
    "What a look advises, in one text."
    return '\n'.join(row[2] for row in module._rows(look))


def in_a_process(code):
    "A Python in which some packages cannot be imported."
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)


# --- all of it

def test_a_healthy_machine_has_nothing_to_do(capsys):
    rows = doctor()
    assert not [a for *_, a in rows if a]
    assert capsys.readouterr().out.count('✓') == len(rows) > 15


def test_a_wrong_setting_is_said_and_the_other_lines_go_on(monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'big')
    rows = [*examine()]
    wrong = [a for *_, a in rows if a]
    assert wrong and all('COURSEHELPERS_RUN_PROFILE' in a for a in wrong) and len(rows) > 15


def test_the_command_says_with_its_exit_code_whether_something_needs_doing(monkeypatch):
    for found, code in (('', 0), ('do this', 1)):
        monkeypatch.setattr(module, '_looks', [lambda found=found: ('python', '3', found)])
        done = CliRunner().invoke(cli.app, ['doctor', '--json'])
        assert done.exit_code == CliRunner().invoke(cli.app, ['doctor']).exit_code == code
        assert json.loads(done.stdout) == [dict(what='python', found='3', advice=found)]


def test_it_speaks_before_torch_is_imported_and_needs_nothing_but_python():
    code = ("import sys; from coursehelpers.doctor import examine\n"
            "assert not {'torch', 'filelock', 'typer', 'packaging', 'IPython'} & set(sys.modules), set(sys.modules)\n"
            "for what, *_ in examine():\n"
            "    if what == 'torch loads': break\n"
            "    print(what, 'torch' in sys.modules)")
    said = in_a_process(code).stdout.splitlines()
    assert len(said) > 12 and all(line.endswith('False') for line in said)


def test_where_packages_are_missing_the_command_becomes_the_doctor():
    gone = 'import sys; sys.modules.update(dict.fromkeys(["typer", "filelock", "torch", "packaging"]))\n'
    done = in_a_process(gone + 'from coursehelpers.doctor import main; main()')
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert '! packaging' in done.stdout and 'pip install packaging' in done.stdout
    assert '! torch loads' in done.stdout and 'pip install filelock' in done.stdout


@pytest.mark.parametrize('encoding', ['cp1252', 'cp437', 'ascii'])
def test_a_pipe_that_knows_no_tick(encoding):
    env = dict(os.environ, PYTHONIOENCODING=encoding)
    code = ("from coursehelpers import doctor; doctor._looks[1:] = []; doctor.doctor()\n"
            "import sys; sys.argv = ['coursehelpers', 'progress']; doctor.main()")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, env=env, cwd=ROOT)
    assert done.returncode == 0 and done.stdout[0] in b'+\xfb', done.stderr


# --- Python and packages

@pytest.mark.parametrize('version, said', [((3, 9), '3.10 or newer'), ((3, 15), 'newer than 3.14'), ((3, 14), '')])
def test_a_python_outside_the_range(monkeypatch, version, said):
    monkeypatch.setattr(sys, 'version_info', (*version, 1))
    assert said in module._python()[2] and bool(said) == bool(module._python()[2])


def test_a_mac_with_an_intel_processor(monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'darwin')
    monkeypatch.setattr(module.platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(module.importlib.util, 'find_spec', lambda name: None)
    assert 'Intel' in module._python()[2]


def test_a_package_that_is_missing_or_too_old(monkeypatch):
    versions = dict(torch='2.1.1', timm=None)
    real = metadata.version

    def version(name):
        if name not in versions: return real(name)
        if versions[name] is None: raise metadata.PackageNotFoundError(name)
        return versions[name]
    monkeypatch.setattr(metadata, 'version', version)
    rows = {what: (found, a) for what, found, a in module._packages()}
    assert rows['timm'][0] == 'missing' and 'pip install "timm>=1.0.20"' in rows['timm'][1]
    assert rows['torch'][0].startswith('2.1.1, tested with 2.') and '>=2.5 is needed' in rows['torch'][1]


def test_in_a_notebook_the_remedy_is_for_a_notebook(monkeypatch):
    monkeypatch.setattr(module, '_in_kernel', lambda: True)
    assert module._install('timm') == '%pip install timm, then Kernel, Restart Kernel'
    monkeypatch.setenv('COLAB_RELEASE_TAG', 'x')
    assert module.where() == 'Colab' and 'Runtime, Restart session' in module._install('timm')
    monkeypatch.setattr(module.importlib.util, 'find_spec', lambda name: None) # uv makes environments without pip
    assert module._install('timm').startswith('!uv pip install --python ')


def test_another_coursehelpers_than_the_one_of_this_folder(monkeypatch, tmp_path):
    (tmp_path/'nbs/full').mkdir(parents=True)
    (tmp_path/'coursehelpers').mkdir()
    (tmp_path/'coursehelpers/__init__.py').touch()
    monkeypatch.chdir(tmp_path/'nbs/full')
    assert 'not the one of this folder' in module._course()[2] and f'-e {tmp_path}' in module._course()[2]


def test_an_installation_that_was_cut_off(monkeypatch, tmp_path):
    import coursehelpers
    gone = SimpleNamespace(parts=('coursehelpers', 'a.py'), locate=lambda: tmp_path/'a.py')
    for files, version, said in ((None, coursehelpers.__version__, ''), ([gone], '9', '1 files are missing'),
                                 ([], '0.0.1', 'remains of 0.0.1')):
        dist = SimpleNamespace(files=files, version=version)
        monkeypatch.setattr(metadata, 'distribution', lambda name, dist=dist: dist)
        assert said in module._course()[1] and bool(said) == bool(module._course()[2])


@pytest.mark.parametrize('error, system, said', [
    (OSError('[WinError 126] Error loading "fbgemm.dll"'), 'Windows', 'Visual C++'),
    (RuntimeError('operator torchvision::nms does not exist'), 'Linux', 'of one build'),
    (AttributeError("module 'torch' has no attribute 'Tensor'"), 'Linux', 'of one build')])
def test_a_broken_torch(monkeypatch, error, system, said):
    class Broken:
        def find_spec(self, name, *args):
            if name == 'torchvision': raise error
    monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    monkeypatch.setattr(module.platform, 'system', lambda: system)
    what, found, remedy = module._torch()
    assert str(error) == found and said in remedy


# --- the machine

def test_a_device_that_is_there_and_does_not_compute(monkeypatch):
    import torch

    from coursehelpers import settings
    monkeypatch.setattr(settings, 'device', lambda: torch.device('cuda:99'))
    assert advice(module._device)


def test_little_memory_and_a_container_with_a_limit(monkeypatch):
    import psutil
    monkeypatch.setattr(psutil, 'virtual_memory', lambda: SimpleNamespace(total=64e9, available=30e9))
    monkeypatch.setattr(module, '_limit', lambda: 1_500_000_000)
    assert module._memory()[1].startswith('2 GB, 1.5') and 'Shut Down' in module._memory()[2]


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda path: SimpleNamespace(free=1e9))
    assert 'make room' in module._disk()[2]


def test_data_that_are_not_as_they_came(monkeypatch, tmp_path):
    from coursehelpers.base import files, samples
    (tmp_path/'samples').mkdir()
    (tmp_path/'samples/checksums.txt').write_text('00  a.csv\n')
    (tmp_path/'samples/a.csv').touch()
    for where in (files, samples):
        monkeypatch.setattr(where, 'shipped', lambda name: tmp_path/name)
    samples.sample.cache_clear()
    assert 'checksum is wrong' in advice(module._data)


@pytest.mark.parametrize('system, said', [('Linux', 'set HOME'), ('Windows', 'set USERPROFILE')])
def test_a_home_that_cannot_be_written(monkeypatch, system, said):
    def refused(dir): raise OSError(30, 'Read-only file system', str(dir))
    monkeypatch.setattr(module.tempfile, 'TemporaryFile', refused)
    monkeypatch.setattr(module.platform, 'system', lambda: system)
    assert 'Read-only' in module._home()[1] and said in module._home()[2]
    assert 'COURSEHELPERS_RUN_PROGRESS' in module._progress()[2]


# --- the network

class _Answers(BaseHTTPRequestHandler):
    "A server that answers as it is told: (status, content type)."
    told = 200, 'text/html'

    def do_GET(self):
        self.send_response(self.told[0])
        self.send_header('Content-Type', self.told[1])
        self.end_headers()

    def log_message(self, *args): pass


@pytest.fixture
def other_side(monkeypatch):
    "A server on this machine in the place of that page's."
    server = HTTPServer(('127.0.0.1', 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(module, '_asked', f'http://127.0.0.1:{server.server_port}/')
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('told, found, said', [
    ((200, module._form), 'there', ''),
    ((200, 'text/html'), 'something else answers', 'log in'),
    ((407, 'text/html'), '', 'HTTPS_PROXY'),
    ((503, 'text/html'), 'not reached', '')])
def test_what_the_other_side_may_answer(monkeypatch, other_side, told, found, said):
    monkeypatch.setattr(_Answers, 'told', told)
    _, what, remedy = module._network()
    assert found in what and said in remedy and bool(said) == bool(remedy)


def test_no_network_is_a_fault_on_kaggle_only(monkeypatch):
    assert module._network()[1:] == ('not reached; every lesson works without', '')
    monkeypatch.setenv('KAGGLE_KERNEL_RUN_TYPE', 'Interactive')
    assert 'internet' in module._network()[2]


@pytest.mark.parametrize('error, said', [
    (OSError('Tunnel connection failed: 407 Proxy Authentication Required'), 'HTTPS_PROXY'),
    (HTTPError('http://a', 407, 'Proxy Authentication Required', {}, None), 'HTTPS_PROXY'),
    (OSError('[SSL: CERTIFICATE_VERIFY_FAILED] self-signed'), 'SSL_CERT_FILE'),
    (ValueError('Port could not be cast'), 'correct HTTPS_PROXY')])
def test_what_a_proxy_does(error, said): assert said in module._no_network(error)[1]


# --- kernel and page

def test_a_lab_of_another_environment(monkeypatch, tmp_path):
    import psutil
    for folder in ('bin', 'share/jupyter/lab'):
        (tmp_path/folder).mkdir(parents=True)
    (tmp_path/'bin/python').touch()
    starter = SimpleNamespace(cmdline=lambda: [f'{tmp_path}/bin/python', '-m', 'jupyterlab'])
    monkeypatch.setattr(psutil.Process, 'parent', lambda self: starter)
    monkeypatch.setenv('JUPYTER_DATA_DIR', str(tmp_path/'none'))
    _, found, remedy = module._page()
    assert 'cannot draw widgets' in found and f'{tmp_path}/bin/python -m pip install anywidget' in remedy
    for name in module._drawers:
        (tmp_path/'share/jupyter/labextensions'/name).mkdir(parents=True)
    assert not module._page()[2]
    monkeypatch.setattr(psutil.Process, 'parent', lambda self: None)
    assert not module._page()[2]


def test_a_kernel_that_another_project_left(monkeypatch, tmp_path):
    kernel = tmp_path/'kernels/python3'
    kernel.mkdir(parents=True)
    (kernel/'kernel.json').write_text(json.dumps(dict(argv=['/gone/bin/python', '-m', 'x'], display_name='Python 3')))
    monkeypatch.setenv('JUPYTER_PATH', str(tmp_path))
    monkeypatch.setenv('JUPYTER_PREFER_ENV_PATH', '0')
    assert module._python_3()[1:] == ('Python 3 starts /gone/bin/python', f'remove the folder {kernel}, which another '
                                      'project left')


def test_in_a_real_kernel():
    from coursehelpers.author.running import run_nb
    code = ('from coursehelpers import doctor as d; d._asked = "http://127.0.0.1:9/"; d._looks = [d._kernel]\n'
            'rows = d.doctor()')
    cell = dict(cell_type='code', id='c', metadata={}, source=code, outputs=[], execution_count=None)
    outputs = run_nb(dict(cells=[cell], metadata={}, nbformat=4, nbformat_minor=5), ROOT)['cells'][0]['outputs']
    assert outputs[0]['text'].startswith('✓ kernel'), outputs
    assert 'application/vnd.jupyter.widget-view+json' in outputs[1]['data']
    assert outputs[1]['data']['text/plain'].startswith('! page')
