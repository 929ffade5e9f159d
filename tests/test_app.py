"The app: what its page says, what the terminal says, the pieces, the files of a Space."
import ast
import json
import socket
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from coursehelpers.author.running import run_notebook
from coursehelpers.base.files import DataError
from coursehelpers.base.samples import sample
from coursehelpers.cli import app
from coursehelpers.deploy import Exported
from tests.browser import free_port
from tests.serving import Client, light_model, running, serving

pytest.importorskip('gradio')
from coursehelpers.app.served import page, write_app, write_space  # noqa: E402

ROOT = Path(__file__).parents[1]
PIECES = ROOT/'nbs/pieces'


@pytest.fixture(scope='module')
def model(tmp_path_factory): return light_model(tmp_path_factory.mktemp('model'))


@pytest.fixture(scope='module')
def served(model, tmp_path_factory):
    "The running app: its process, a client, its box."
    box = tmp_path_factory.mktemp('app')
    with serving(model, box) as (process, base, log):
        yield process, Client(base), box
    assert 'ELSEWHERE' not in log.read_text()
    assert not [path for path in (box/'tmp').rglob('*') if path.is_file()], 'the uploads are gone with the process'


def run(*args): return CliRunner().invoke(app, [str(arg) for arg in args])


# --- the app over HTTP


def test_it_names_a_photograph_as_the_model_does(served, model):
    picture = model.parent/'pictures/bright/0.png'
    said, parts = served[1].name(picture.read_bytes())
    want = Exported(model).predict(picture)
    assert parts == pytest.approx(want.parts, abs=1e-5)
    assert next(iter(want.parts)) in said and ('not sure' in said) == (want.label is None)


def test_what_is_no_photograph_is_said_in_our_words(served):
    said, parts = served[1].name(b'Dear diary', 'diary.jpg')
    assert 'diary.jpg: not a picture' in said and 'JPEG' in said and not parts


def test_what_is_too_large_is_not_read(served):
    code, said = served[1].name(bytes(26_500_000))
    assert code == 413 and '25 MB' in said
    response = served[1].http.post('/gradio_api/call/name', content=(b'[' for _ in range(3)))
    assert response.status_code == 411


@pytest.mark.parametrize('path', ['http://127.0.0.1:9/x.jpg', 'https://example.org/x.jpg', 'HTTP://example.org/x.jpg'])
def test_it_fetches_nothing_for_visitors(served, path):
    refused = served[1].http.get(f'/gradio_api/file={path}')
    assert refused.status_code == 403 and 'elsewhere' in refused.text
    said, why = served[1].answer(path)
    assert said is None and ('an address' in str(why) or path.startswith('HTTP'))


@pytest.mark.parametrize('path', ['/etc/passwd', '../../../../etc/passwd', '/proc/self/environ'])
def test_it_opens_only_what_was_uploaded(served, path):
    assert served[1].answer(path)[0] is None
    assert served[1].http.get(f'/gradio_api/file={path}').status_code in (403, 404)


def test_its_page_names_no_other_machine(served):
    http = served[1].http
    assert http.get('/').status_code == 200 and http.get('/manifest.json').json()['name'] == 'light'
    css = http.get('/theme.css').text
    assert 'system-ui' in css and '@import' not in css and '@font-face' not in css


def test_thirty_at_once(served, model):
    from concurrent.futures import ThreadPoolExecutor
    files = sorted((model.parent/'pictures').glob('*/*.png'))
    with ThreadPoolExecutor(30) as pool:
        found = [*pool.map(lambda i: served[1].name(files[i % 20].read_bytes(), f'{i}.png'), range(30))]
    there = Exported(model)
    for i, (said, parts) in enumerate(found):
        assert parts == pytest.approx(there.predict(files[i % 20]).parts, abs=1e-5), said


# --- the page


def kinds(blocks): return [type(block).__name__ for block in blocks.blocks.values()]


def test_examples_come_from_a_folder(model, tmp_path):
    there = Exported(model)
    assert 'Dataset' not in kinds(page(there)), 'pets are no examples for what knows none of them'
    assert 'Dataset' in kinds(page(there, model.parent/'pictures/dark'))
    (tmp_path/'notes.txt').write_text('x')
    with pytest.raises(DataError, match='notes.txt'):
        page(there, tmp_path)
    with pytest.raises(DataError, match='nowhere'):
        page(there, tmp_path/'nowhere')


def test_a_label_is_text_and_no_html(model):
    there = Exported(model)
    there.vocab = ['<b>bold</b>', '<script>alert(1)</script>']
    blocks = page(there)
    asked = next(f.fn for f in blocks.fns.values() if f.api_name == 'name')
    assert '&lt;' in asked(str(model.parent/'pictures/dark/0.png'))[0]


# --- the terminal


def test_a_port_in_use(model):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]
        done = run('app', model, '--port', port)
    assert done.exit_code == 2 and str(port) in done.output and f'--port {port + 1}' in done.output


@pytest.mark.parametrize('command', [['app'], ['name']])
def test_no_model(command, tmp_path):
    folder = [tmp_path] if command == ['name'] else []
    done = run(*command, tmp_path/'nowhere', *folder)
    assert done.exit_code == 1 and 'nowhere' in done.output and 'learn.export' in done.output
    assert 'Traceback' not in done.output


def test_no_gradio(model, monkeypatch):
    monkeypatch.delitem(sys.modules, 'coursehelpers.app.served', raising=False)
    monkeypatch.setitem(sys.modules, 'gradio', None)
    done = run('app', model)
    assert done.exit_code == 1 and 'gradio is not installed' in done.output and '[app]"' in done.output


def test_examples_that_are_none(model, tmp_path):
    done = run('app', model, '--examples', tmp_path/'nowhere')
    assert done.exit_code == 1 and 'nowhere' in done.output and 'Traceback' not in done.output


def test_a_folder_is_named(model, tmp_path):
    done = run('name', model, model.parent/'pictures', '--to', tmp_path/'names.csv')
    assert done.exit_code == 0 and str(tmp_path/'names.csv') in done.output
    assert len((tmp_path/'names.csv').read_text(encoding='utf-8-sig').splitlines()) == 21
    done = run('name', model, tmp_path/'nowhere')
    assert done.exit_code == 1 and 'no files' in done.output


# --- the pieces and the Space


@pytest.fixture(scope='module')
def pieces(tmp_path_factory):
    "The two pieces in a learner's folder, run in real kernels on the pets: their folder."
    home = tmp_path_factory.mktemp('pieces')
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')
        for name in ('train', 'app'):
            (home/f'{name}.ipynb').write_bytes((PIECES/f'{name}.ipynb').read_bytes())
            run_notebook(home/f'{name}.ipynb', timeout=200)
    return home


@pytest.mark.long
def test_the_pieces_make_a_model_and_a_program(pieces):
    assert len(Exported(pieces/'model').vocab) == 37
    program = (pieces/'app.py').read_text()
    ast.parse(program)
    assert 15 <= sum(bool(line.strip()) for line in program.splitlines()) <= 30 and '#|' not in program


@pytest.mark.long
def test_the_program_answers(pieces, tmp_path):
    program = 'import runpy; runpy.run_path("app.py", run_name="__main__")'
    with running(tmp_path, program, cwd=pieces, GRADIO_SERVER_PORT=str(free_port())) as (_, base, log):
        pug = sample('oxford-iiit-pet')/'images/pug_112.jpg'
        said, parts = Client(base).name(pug.read_bytes(), api='answer')
        assert parts == pytest.approx(Exported(pieces/'model').predict(pug).parts, abs=1e-5), said
        assert 'not a picture' in Client(base).name(b'x', 'x.jpg', api='answer')[0]
    assert 'ELSEWHERE' not in log.read_text()


def test_the_pieces_keep_no_outputs_and_no_machine():
    for path in PIECES.glob('*.ipynb'):
        cells = [cell for cell in json.loads(path.read_text())['cells'] if cell['cell_type'] == 'code']
        assert len(cells) <= 7 and not any(cell['outputs'] or cell['execution_count'] for cell in cells)


def test_a_space_is_whole(model, tmp_path):
    done = run('app', model, '--space', tmp_path/'space')
    assert done.exit_code == 0 and 'hf upload' in done.output, done.output
    home = tmp_path/'space'
    assert (home/'app.py').read_text() == write_app(PIECES/'app.ipynb', tmp_path/'app.py').read_text()
    assert Exported(home/'model').vocab == ['bright', 'dark']
    head = (home/'README.md').read_text().split('---\n')[1]
    assert {'sdk: gradio', 'app_file: app.py', 'license: other', 'title: "light"'} <= set(head.splitlines())
    needed = (home/'requirements.txt').read_text()
    assert 'download.pytorch.org/whl/cpu' in needed and 'coursehelpers @ https://' in needed and '+cpu' not in needed
    with pytest.raises(DataError, match='already'):
        write_space(Exported(model), home)


def test_a_picture_reaches_the_model_as_it_came(served, model, tmp_path):
    "gradio itself would turn it upright and change its colours."
    note = Image.Exif()
    note[0x0112] = 6
    Image.linear_gradient('L').convert('CMYK').save(tmp_path/'press.jpg', exif=note)
    said, parts = served[1].name((tmp_path/'press.jpg').read_bytes(), 'press.jpg')
    assert parts == pytest.approx(Exported(model).predict(tmp_path/'press.jpg').parts, abs=1e-5), said
