"What tests share: a cache of the run's own, an empty data root, a day without a network, one browser a worker."
import gc
import os
import shutil
import socket
import tempfile

import pytest

if os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1') != '1':
    # processes side by side get a thread each, their kernels too: with more they wait for one another
    os.environ.setdefault('OMP_NUM_THREADS', '1')

import coursehelpers  # noqa: F401, before torch: threads of several processes at once then do not wait by spinning
from tests.browser import chromium, new_page

SLOWEST_FIRST = ('test_notebooks', 'browser', 'test_sections', 'test_exercises', 'office', 'site', 'test_zoo',
                 'test_vision', 'test_cli', 'test_oom', 'test_cleaner', 'test_bad_input', 'test_resume')


def group(item):
    "The tests that share what is slow to build: those of one file, unless a mark says otherwise. One worker runs them."
    mark = item.get_closest_marker('xdist_group')
    return mark.args[0] if mark else item.path.stem


def rank(item):
    "Its place in the run: what takes long goes first, so that no worker is left with it at the end."
    return next((i for i, name in enumerate(SLOWEST_FIRST) if group(item).startswith(name)), len(SLOWEST_FIRST))


def pytest_xdist_auto_num_workers():
    "Two more than there are cores: a browser, a kernel or a server is waited for most of the time."
    return os.cpu_count() + 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    "Group the tests for xdist, the slowest groups first."
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
    items.sort(key=rank)


def pytest_collection_finish():
    "What was imported stays to the end: the garbage collector need not go through it again and again."
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(session, exitstatus):
    "A full disk breaks tests in a hundred ways: say so, once."
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if exitstatus and free < 2 and not hasattr(session.config, 'workerinput'):
        print(f'\nOnly {free:.1f} GB are free where temporary files lie: make room before you look for another cause.')


@pytest.fixture(autouse=True, scope='session')
def own_cache(tmp_path_factory):
    "A cache of this run's own."
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield


@pytest.fixture(scope='session')
def browser():
    "A headless Chromium."
    with chromium() as b:
        yield b


@pytest.fixture(scope='session')
def plain(browser):
    "An empty page; it must have had no fault."
    page = new_page(browser)
    page.goto('about:blank')
    yield page
    assert not page.faults


@pytest.fixture
def root(tmp_path, monkeypatch):
    "An empty data root, with its weights folder."
    (tmp_path/'root'/'weights').mkdir(parents=True)
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'root'))
    return tmp_path/'root'


@pytest.fixture
def no_network(monkeypatch):
    "No name resolves and no connection opens."
    def closed(*args, **kwargs):
        raise OSError('network is unreachable')
    monkeypatch.setattr(socket, 'getaddrinfo', closed)
    monkeypatch.setattr(socket.socket, 'connect', closed)
