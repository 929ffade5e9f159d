"JupyterLab and Chromium for tests and the bench: start them, open a notebook, run its cells, ask its kernel."
import atexit
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars']
LAB_SETTINGS = {
    'apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False, 'doNotDisturbMode': True},
    'notebook-extension/tracker': {'windowingMode': 'none', 'autoStartDefaultKernel': True},
    'docmanager-extension/plugin': {'autosave': False},
}


def missing():
    "Why browser tests cannot run here; an empty string when they can."
    gone = [name for name in ('jupyterlab', 'playwright') if not find_spec(name)]
    if gone: return f'browser tests need the extra `dev`: no {" and no ".join(gone)}'
    return '' if CHROMIUM else 'browser tests need Chromium: run tests/programs.sh'


def need_browser():
    "Skip a test module where there is no browser; on CI that is a failure."
    import pytest
    reason = missing()
    if reason and os.environ.get('CI'): pytest.fail(reason, pytrace=False)
    if reason: pytest.skip(reason, allow_module_level=True)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@contextmanager
def lab(folder, dark=False, seconds=60):
    "JupyterLab serving `folder` with settings of its own and no token; gives its address and stops it afterwards."
    home = Path(tempfile.mkdtemp(prefix='lab-'))
    themes = {'apputils-extension/themes': {'theme': 'JupyterLab Dark'}} if dark else {}
    for name, values in {**LAB_SETTINGS, **themes}.items():
        path = home/'settings/@jupyterlab'/f'{name}.jupyterlab-settings'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    env = {**os.environ,
           'JUPYTER_CONFIG_DIR': str(home/'config'),
           'JUPYTER_RUNTIME_DIR': str(home/'runtime'),
           'IPYTHONDIR': str(home/'ipython'),
           'JUPYTERLAB_SETTINGS_DIR': str(home/'settings'), 'JUPYTERLAB_WORKSPACES_DIR': str(home/'workspaces')}
    command = ['-m', 'jupyterlab', '--allow-root', '--LabApp.expose_app_in_browser=True',
               f'--ServerApp.root_dir={folder}']
    try:
        with serving(command, env, folder, home/'log', seconds) as base:
            yield base
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def serving(command, env, folder, log, seconds=60, python=sys.executable):
    "A Python with this command, which starts JupyterLab, in `folder`: its address. It ends afterwards."
    port = free_port()
    options = ['--no-browser', '--ip=127.0.0.1', f'--port={port}', '--ServerApp.port_retries=0',
               '--IdentityProvider.token=']
    with open(log, 'w') as out:
        server = subprocess.Popen([python, *command, *options], env=env, cwd=folder, stdout=out, stderr=out,
                                  start_new_session=True)
    try:
        base = f'http://127.0.0.1:{port}'
        _wait_for(base, server, log, seconds)
        yield base
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired: server.kill()


def _wait_for(base, server, log, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urlopen(base + '/api', timeout=2).read()
        except OSError: time.sleep(.1)
    raise RuntimeError(f'JupyterLab did not start within {seconds} s:\n{log.read_text()[-3000:]}')


@functools.cache
def shared_lab():
    "The one JupyterLab of this process, for modules that need nothing special: its address and its folder."
    folder, stack = Path(tempfile.mkdtemp(prefix='labs-')), ExitStack()
    atexit.register(stack.close)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return stack.enter_context(lab(folder)), folder


_open = [] # the Chromium of this process, while there is one


@contextmanager
def chromium(*flags):
    "A headless Chromium (playwright, sync API). There is one at a time in a process: inside another, it is that one."
    if _open:
        yield _open[0]
        return
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
        _open.append(browser)
        try:
            yield browser
        finally:
            _open.clear()
            browser.close()


def new_page(browser, width=1180, height=900, **options):
    "A page that keeps its own errors in `page.faults` and answers requests for other machines with nothing."
    page = browser.new_context(viewport={'width': width, 'height': height}, **options).new_page()
    page.faults = []
    page.on('console', lambda m: m.type == 'error' and page.faults.append(m.text))
    page.on('pageerror', lambda e: page.faults.append(str(e)))
    page.route(lambda url: url.startswith('http') and '//127.0.0.1' not in url,
               lambda r: r.fulfill(status=200, body=''))
    page.set_default_timeout(20_000)
    return page


def write_notebook(path, *cells, kernel='python3'):
    "A notebook with these code cells at `path`, for the kernel of that name."
    cells = [dict(cell_type='code', id=f'c{i}', metadata={}, source=source, outputs=[], execution_count=None) for i,
             source in enumerate(cells)]
    spec = {'display_name': kernel, 'language': 'python', 'name': kernel}
    Path(path).write_text(json.dumps(dict(cells=cells, metadata={'kernelspec': spec}, nbformat=4, nbformat_minor=5)))


_READY = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def open_notebook(page, base, name):
    "Open the notebook `name` in JupyterLab, alone, and wait for its kernel."
    page.goto(f'{base}/doc/tree/{name}')
    page.wait_for_selector('.jp-Notebook .jp-Cell')
    page.wait_for_function(_READY, timeout=60_000)


def cell(page, i):
    "The i-th cell of the open notebook, as a locator."
    return page.locator('.jp-Notebook .jp-Cell').nth(i)


def run_cell(page, i, timeout=60):
    "Run the i-th cell as a reader does (click, Shift+Enter), wait until it is done, and give its locator."
    at = cell(page, i)
    if at.locator('.jp-Placeholder').count():  # its source is folded: a click would open it
        page.evaluate("""i => {
            const {content} = window.jupyterapp.shell.currentWidget
            content.activeCellIndex = i
            content.mode = 'command'
            content.activate()
        }""", i)
    else:
        at.locator('.cm-content').click()
    page.keyboard.press('Shift+Enter')
    done = """i => {
        const m = window.jupyterapp.shell.currentWidget.content.widgets[i].model
        return m.executionState === 'idle' && m.executionCount > 0
    }"""
    page.wait_for_function(done, arg=i, timeout=timeout * 1000)
    return at


def kernel(page, code):
    "What `code` prints in the open notebook's kernel; an exception there is a RuntimeError here."
    out = page.evaluate('''async code => {
        const {session} = window.jupyterapp.shell.currentWidget.sessionContext
        const future = session.kernel.requestExecute({code, store_history: false})
        let text = '', error = ''
        future.onIOPub = m => {
            if (m.header.msg_type === 'stream') text += m.content.text
            if (m.header.msg_type === 'error') error = m.content.traceback.join('\\n')
        }
        await future.done
        return {text, error}
    }''', code)
    if out['error']: raise RuntimeError(out['error'])
    return out['text'].strip()


@contextmanager
def in_lab(browser, name, cells, run):
    """A page with the shared JupyterLab on a notebook of these cells in the folder `name`, those in `run` run.
    Afterwards the page must have had no fault, and its kernel ends."""
    base, home = shared_lab()
    (home/name).mkdir(exist_ok=True)
    write_notebook(home/name/'pictures.ipynb', *cells)
    page = new_page(browser)
    open_notebook(page, base, f'{name}/pictures.ipynb')
    for i in run:
        run_cell(page, i)
    yield page
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.context.close()
    assert not page.faults, page.faults


def of(page, expression):
    "The value of an expression in the kernel, as JSON."
    return json.loads(kernel(page, f'import json; print(json.dumps({expression}, default=lambda t: t.tolist()))'))


def wait(true, seconds=8):
    "Until it is true; the last thing it was, if it never is."
    end = time.monotonic() + seconds
    while not (now := true()) and time.monotonic() < end:
        time.sleep(.05)
    assert now


def module(page, w, call):
    "Evaluate `call` (JavaScript, with the module of picture `w` as m) in the browser."
    return page.evaluate("""async ([text, call]) => {
        const m = await import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})))
        return eval(call)
    }""", [w._esm, call])


def press(at, name): at.get_by_role('button', name=name).click()
def slider(at, name): return at.get_by_role('slider', name=name, exact=True)
def box(at, name): return at.get_by_role('spinbutton', name=name, exact=True)
def number(at, name): return box(at, f'{name}, exact value')
def said(at): return at.get_by_role('status').text_content()
def score(at, i=0): return at.locator('.ch-score b').nth(i).text_content()


def letters_stay(page, targets):
    "Letters typed at these places of a picture must not reach JupyterLab, where some insert or delete a cell."
    cells = page.locator('.jp-Notebook .jp-Cell')
    count = cells.count()
    for target in targets:
        target.focus()
        for key in 'abdmxzdd':
            page.keyboard.press(key)
    assert cells.count() == count


def static_page(folder, *pictures, theme='light'):
    "The address of a page made by nbconvert, light or dark, from a notebook with these pictures as stored outputs."
    import nbformat
    from nbconvert import HTMLExporter
    nb = nbformat.v4.new_notebook()
    for p in pictures:
        data, meta = p._repr_mimebundle_()
        nb.cells.append(nbformat.v4.new_code_cell('w',
                                                  outputs=[nbformat.v4.new_output('display_data', data=data,
                                                                                  metadata=meta)]))
    path = Path(folder)/f'{theme}.html'
    path.write_text(HTMLExporter(theme=theme).from_notebook_node(nb)[0])
    return path.as_uri()


def open_static(browser, address, count, **options):
    "A page on that address, once its `count` pictures are alive."
    page = new_page(browser, **options)
    page.goto(address)
    wait(lambda: page.locator('.ch').count() == count)
    return page


def without_scripts(browser, address, count):
    "What the pictures of that page say in words where no script runs; each must be there as a PNG of some height."
    page = new_page(browser, java_script_enabled=False)
    page.goto(address)
    pictures = page.locator('.ch-out img').all()
    assert len(pictures) == count and page.locator('.ch').count() == 0
    assert all(png.bounding_box()['height'] > 100 for png in pictures)
    return [png.get_attribute('alt') for png in pictures]


def stays_within(page):
    "Is no picture wider than its place?"
    return all(at.evaluate('e => e.scrollWidth <= e.clientWidth + 1') for at in page.locator('.ch').all())
