"""The static page in a real browser: the picture takes the same road as in Python, the answer is torch's, each failure
is a sentence, and nothing leaves the machine. ONNX Runtime Web itself is used where it lies in the data folder."""
import base64
import hashlib
import http.server
import io
import json
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from coursehelpers.app import page as maker
from coursehelpers.app.page import write_page
from coursehelpers.base.files import DataError
from coursehelpers.cli import app
from coursehelpers.data import load, loaders
from coursehelpers.deploy import Exported
from coursehelpers.images.seen import seen
from coursehelpers.settings import settings
from coursehelpers.vision import vision_learner
from tests.browser import need_browser, new_page, wait
from tests.serving import light_model

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

# stands in for ONNX Runtime Web: a net that says how bright a picture is
STUB = '''export const env = {wasm: {}}
export class Tensor { constructor(kind, data) { this.data = data } }
export const InferenceSession = {
  async create() { return {inputNames: ['x'], outputNames: ['y'], run: async ({x}) => ({y: {data: scores(x.data)}})} }
}
function scores(data) {
  const mean = data.reduce((sum, v) => sum + v, 0) / data.length
  return new Float32Array([mean, -mean])
}
'''


@pytest.fixture(scope='module')
def light(tmp_path_factory):
    "An exported model that tells bright pictures from dark ones."
    box = tmp_path_factory.mktemp('light')
    light_model(box)
    (box/'light'/'model.onnx').write_bytes(b'the stub does not look at it')
    facts = json.loads((box/'light'/'model.json').read_text())
    facts['files']['model.onnx'] = dict(bytes=28, sha256=hashlib.sha256(b'the stub does not look at it').hexdigest())
    (box/'light'/'model.json').write_text(json.dumps(facts))
    return Exported(box/'light')


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def web(tmp_path_factory):
    "(address, folder) of a web server on this machine."
    home = tmp_path_factory.mktemp('web')
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), lambda *a: Quiet(*a, directory=str(home))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', home
        server.shutdown()


@pytest.fixture
def package(web, root, monkeypatch):
    "The stub in the place of ONNX Runtime Web, delivered by the web server; its folder there."
    address, home = web
    (home/maker._version).mkdir(exist_ok=True)
    stubs = dict(zip(maker._taken, (STUB, 'wasm')))
    for name, text in stubs.items():
        (home/maker._version/maker._taken[name][0]).write_text(text)
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in stubs.items()}
    monkeypatch.setattr(maker, '_taken', {name: (theirs, sums[name]) for name, (theirs, _) in maker._taken.items()})
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', address)
    monkeypatch.setattr(maker, '_address', 'http://127.0.0.1:9/gone')
    return f'{address}/{maker._version}'


@pytest.fixture
def site(web, light, package, tmp_path_factory):
    "(address, folder) of a page below a path of the server."
    address, home = web
    place = write_page(light, home/'some'/'place'/tmp_path_factory.mktemp('page').name)
    return f'{address}/some/place/{place.name}/', place


def opened(browser, address, said='Ready.', **options):
    "A page on that address, once it says so; `page.asked` holds every request."
    page = new_page(browser, **dict(width=390, height=844) | options)
    page.asked = []
    page.on('request', lambda r: page.asked.append(r.url))
    page.goto(address)
    wait(lambda: said in status(page), 60)
    return page


def status(page): return page.get_by_role('status').text_content()


def as_file(im, name, kind='PNG', **options):
    out = io.BytesIO()
    im.save(out, kind, **options)
    return dict(name=name, mimeType='', buffer=out.getvalue())


def grey(light, name='grey.png'): return as_file(Image.new('RGB', (60, 40), (light,) * 3), name)


def choose(page, file, said):
    "What the page says of this file: it holds these words."
    page.get_by_label('Choose a photograph').set_input_files([file])
    wait(lambda: said in status(page), 60)
    return status(page)


# The road of a picture

def stripes(width, height, mode='RGB'):
    "A picture with something at every scale, the same each time."
    v = np.random.default_rng(0).integers(0, 256, (height, width, 4), 'uint8')
    v[:, :, 0] = np.linspace(0, 255, width)
    v[:, :, 1] = 255 * (np.arange(height)[:, None] // 3 % 2)
    v[:, :, 3] = np.where(np.arange(width) % 7 < 3, 255, 40)
    return Image.fromarray(v).convert(mode)


def numbers(page, file, size):
    "The bytes (size, size, 3) that the page would show to its net."
    text = page.evaluate('''async ([data, name, size]) => {
        const {decoded, seen} = await import('./look.js')
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
        const picture = await decoded(new File([bytes], name))
        const one = 1 / 255
        const found = seen(picture, {size, mean: [0, 0, 0], std: [one, one, one]})
        return Array.from(found, v => String.fromCharCode(Math.round(v))).join('')
    }''', [base64.b64encode(file['buffer']).decode(), file['name'], size])
    return np.array([ord(c) for c in text]).reshape(3, size, size)


def off(page, file, size=48):
    "How far the page's bytes are from those that Python sees, each of them."
    want = seen([io.BytesIO(file['buffer'])], size, [0, 0, 0], [1 / 255] * 3)[0].round().numpy()
    return np.abs(numbers(page, file, size) - want)


@pytest.fixture(scope='module')
def road(browser, web):
    "A page beside look.js."
    address, home = web
    (home/'road').mkdir()
    (home/'road'/'look.js').write_text((Path(maker.__file__).parent/'look.js').read_text())
    (home/'road'/'index.html').write_text('<!doctype html><title>road</title>')
    page = new_page(browser)
    page.goto(f'{address}/road/')
    yield page
    assert not page.faults


SIZES = [(300, 200), (201, 333), (999, 80), (7, 640), (3, 2), (1, 1), (48, 48), (72, 72)]


@pytest.mark.parametrize('width, height', SIZES)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P'])
def test_every_byte_is_pythons(road, width, height, mode):
    assert off(road, as_file(stripes(width, height, mode), 'a.png')).max() == 0


def test_every_byte_is_pythons_at_the_size_of_the_pets(road):
    assert off(road, as_file(stripes(640, 471), 'a.png'), 192).max() == 0


def test_what_is_transparent_is_white(road):
    found = off(road, as_file(stripes(300, 200, 'RGBA'), 'a.png'))
    assert found.max() <= 1, 'browsers keep colours multiplied by their opacity'
    clear = Image.new('RGBA', (60, 60), (0, 0, 0, 0))
    assert numbers(road, as_file(clear, 'a.png'), 48).min() == 255


@pytest.mark.parametrize('orientation', range(1, 9))
def test_upright_as_the_camera_noted(road, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner = Image.new('RGB', (320, 200), 'black')
    corner.paste('white', (0, 0, 200, 70))
    for kind in ('JPEG', 'PNG'): # what a WebP notes of this Chromium passes over
        assert off(road, as_file(corner, 'a', kind, exif=exif)).max() <= (12 if kind == 'JPEG' else 0), kind


def profile(primaries, gamma):
    "An ICC profile (version 2) of these primaries, XYZ relative to D50, as phones and cameras write it."
    def xyz(v): return b'XYZ ' + bytes(4) + b''.join(struct.pack('>i', round(x * 65536)) for x in v)
    curve = b'curv' + bytes(4) + struct.pack('>IH', 1, round(gamma * 256)) + bytes(2)
    words = b'desc' + bytes(4) + struct.pack('>I', 5) + b'wide\0' + bytes(78)
    white = .9642, 1, .8249
    tags = {b'desc': words + bytes(-len(words) % 4), b'cprt': b'text' + bytes(4) + b'none', b'wtpt': xyz(white),
            **{name + b'XYZ': xyz(v) for name, v in zip((b'r', b'g', b'b'), primaries)},
            **{name + b'TRC': curve for name in (b'r', b'g', b'b')}}
    table, data, start = b'', b'', 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack('>II', start + len(data), len(value))
        data += value
    body = struct.pack('>I', len(tags)) + table + data
    head = struct.pack('>III', 128 + len(body), 0, 0x02400000) + b'mntrRGB XYZ ' + bytes(12) + b'acsp' + bytes(28)
    return head + xyz(white)[8:] + bytes(48) + body


PROFILES = {
    'Display P3': profile(((.5151, .2412, -.0011), (.2920, .6922, .0419), (.1571, .0666, .7841)), 2.2),
    'Adobe RGB': profile(((.6097, .3111, .0195), (.2053, .6257, .0609), (.1492, .0632, .7446)), 2.2)}


@pytest.mark.parametrize('name', PROFILES)
@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
def test_colours_are_taken_as_they_are_stored(road, name, kind):
    flat = Image.new('RGB', (80, 80), (30, 200, 60))
    assert off(road, as_file(flat, 'a', kind, icc_profile=PROFILES[name])).max() <= 1
    shown = road.evaluate('''async data => {
        const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
        const brush = document.createElement('canvas').getContext('2d')
        brush.drawImage(await createImageBitmap(new Blob([bytes])), 0, 0)
        return [...brush.getImageData(20, 20, 1, 1).data]
    }''', base64.b64encode(as_file(flat, 'a', kind, icc_profile=PROFILES[name])['buffer']).decode())
    assert abs(shown[0] - 30) > 5, 'else the browser knows no such profile, and this test shows nothing'


def test_a_jpeg_is_reduced_as_pil_opens_it(road):
    noise = Image.effect_noise((1200, 896), 90).convert('RGB')
    assert off(road, as_file(noise, 'a.jpg', 'JPEG')).max() <= 3


def test_a_picture_too_large_for_pil_to_read_whole(road):
    flat = Image.effect_noise((700, 610), 90).resize((7000, 6100), 0)
    assert off(road, as_file(flat, 'a.png', compress_level=1)).max() <= 1


# The page

def test_an_answer_and_no_request_to_anyone_else(browser, site):
    page = opened(browser, site[0])
    assert choose(page, grey(240, 'day.png'), 'bright, ').endswith('%')
    assert page.get_by_role('listitem').count() == 2 and page.get_by_role('img', name='day.png').is_visible()
    assert choose(page, grey(20), 'dark, ')
    assert all(url.startswith(site[0]) for url in page.asked), page.asked
    names = {url.removeprefix(site[0]).partition('?')[0] for url in page.asked}
    assert names == {'', 'page.css', 'page.js', 'look.js', 'onnxruntime.js', 'onnxruntime.wasm', 'model.onnx'}
    assert page.evaluate('document.body.scrollWidth <= innerWidth') and not page.faults


def test_the_browser_itself_keeps_photographs_here(browser, site):
    "The page's own policy: nothing can be sent to another address, not even by a script of the page."
    page = opened(browser, site[0])
    failed = page.evaluate("fetch('http://127.0.0.1:9/', {method: 'POST', body: 'photograph'}).catch(e => e.message)")
    assert 'Failed' in failed and any('Content Security Policy' in fault for fault in page.faults)


def changed(place, **facts):
    "The page with other facts."
    html = (place/'index.html').read_text()
    before, start, rest = html.partition('"application/json">')
    old, end, after = rest.partition('</script>')
    (place/'index.html').write_text(before + start + json.dumps(json.loads(old) | facts) + end + after)


def test_not_sure_and_temperature(browser, site):
    address, place = site
    changed(place, threshold=.9, temperature=1e3)
    page = opened(browser, address)
    assert choose(page, grey(240), 'I am not sure. The likeliest: bright, 5')
    assert [bar.locator('.part').text_content() for bar in page.get_by_role('listitem').all()] == ['50%', '50%']


BAD = [(b'', 'is empty'), (b'hello', 'is not a picture'), (b'<!doctype html><p>404', 'web page'), (b'%PDF-1.7', 'PDF'),
       (b'PK\3\4zip', 'zip'), (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'drawing'), (b'II*\0tiff', 'TIFF'),
       (b'\0\0\0\x18ftypheic' + bytes(100), 'HEIC'), (b'\xff\xd8\xff' + bytes(50), 'damaged'),
       (b'\x89PNG\r\n\x1a\n' + bytes(50), 'damaged'), (bytes(5000), 'is not a picture')]


def test_what_is_no_photograph_is_said(browser, site):
    page = opened(browser, site[0])
    for data, words in BAD:
        choose(page, grey(240, 'before.png'), 'bright')
        told = choose(page, dict(name='mine.jpg', mimeType='image/jpeg', buffer=data), words)
        assert told.startswith('mine.jpg ') and page.locator('#found').is_hidden()
    assert page.locator('#said').get_attribute('class') == 'loud' and not page.faults


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'GIF'])
def test_a_photograph_that_was_cut_off(browser, site, kind):
    page = opened(browser, site[0])
    file = as_file(stripes(300, 200), 'cut.jpg', kind)
    choose(page, file, '%')
    choose(page, file | dict(buffer=file['buffer'][:len(file['buffer']) * 9 // 10]), 'cut.jpg is damaged')


def claims(width, height):
    "A PNG that says it is so large."
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    head = chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
    return b'\x89PNG\r\n\x1a\n' + head + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')


def test_too_large(browser, site, tmp_path):
    page = opened(browser, site[0])
    bomb = dict(name='bomb.png', mimeType='image/png', buffer=claims(50_000, 50_000))
    assert choose(page, bomb, 'larger than this browser can open')
    (tmp_path/'film.jpg').write_bytes(bytes(50_000_001))
    assert choose(page, tmp_path/'film.jpg', 'film.jpg is larger than 50 MB')
    assert choose(page, grey(240), 'bright'), 'the page is well'


@pytest.mark.parametrize('name', ['onnxruntime.js', 'onnxruntime.wasm', 'model.onnx'])
def test_a_file_that_is_not_there(browser, site, name):
    (site[1]/name).unlink()
    page = opened(browser, site[0], f'{name} did not load')
    told = choose(page, grey(240), 'did not load')
    assert told.startswith(name) and page.locator('#said').get_attribute('class') == 'loud'


def test_a_file_that_is_another(browser, site):
    (site[1]/'model.onnx').write_bytes(b'version https://git-lfs')
    opened(browser, site[0], 'model.onnx has 23 bytes where 28 belong')


def test_a_net_that_does_not_start(browser, site):
    (site[1]/'onnxruntime.js').write_text(STUB.replace("return {input", "throw new Error('no SIMD'); return {input"))
    opened(browser, site[0], 'The net cannot run in this browser (no SIMD)')


def test_without_webassembly(browser, site):
    page = new_page(browser)
    page.add_init_script('delete globalThis.WebAssembly')
    page.goto(site[0])
    wait(lambda: 'WebAssembly' in status(page))


@pytest.mark.parametrize('how', ['file', 'no scripts'])
def test_a_page_that_cannot_start_says_why(browser, site, how):
    page = new_page(browser, java_script_enabled=how == 'file')
    page.goto((site[1]/'index.html').as_uri() if how == 'file' else site[0])
    wait(lambda: page.get_by_text('python -m http.server').is_visible())
    assert 'opened as a file it cannot load its net' in status(page)


def test_dropped_and_pasted(browser, site):
    page = opened(browser, site[0])
    for kind, word in (('drop', 'bright'), ('paste', 'dark')):
        page.evaluate('''async ([kind, light]) => {
            const canvas = document.createElement('canvas')
            const brush = canvas.getContext('2d')
            brush.fillStyle = light
            brush.fillRect(0, 0, 300, 150)
            const data = new DataTransfer()
            data.items.add(new File([await new Promise(done => canvas.toBlob(done))], `${kind}.png`))
            const options = {bubbles: true, cancelable: true}
            const events = kind === 'paste' ? [new ClipboardEvent(kind, {...options, clipboardData: data})]
                : ['dragover', 'drop'].map(name => new DragEvent(name, {...options, dataTransfer: data}))
            for (const event of events) document.body.dispatchEvent(event)
        }''', [kind, '#eee' if word == 'bright' else '#111'])
        wait(lambda: status(page).startswith(word))  # noqa: B023, called at once
        assert page.get_by_role('img', name=f'{kind}.png').is_visible()
    page.evaluate("document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: new DataTransfer()}))")
    assert status(page).startswith('dark'), 'text that is pasted is no photograph'


def test_the_last_one_counts(browser, site):
    page = opened(browser, site[0])
    page.evaluate('''async () => {
        const made = (width, light) => {
            const canvas = Object.assign(document.createElement('canvas'), {width, height: width})
            const brush = canvas.getContext('2d')
            brush.fillStyle = light
            brush.fillRect(0, 0, width, width)
            return new Promise(done => canvas.toBlob(blob => done(new File([blob], light))))
        }
        const files = [await made(3000, '#fff'), await made(30, '#000')]
        for (const file of files) {
            const data = new DataTransfer()
            data.items.add(file)
            document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true}))
        }
    }''')
    wait(lambda: status(page).startswith('dark'))
    page.wait_for_timeout(700)
    assert status(page).startswith('dark') and page.get_by_role('img').get_attribute('aria-label') == '#000'


def test_chosen_before_the_net_is_there(browser, site):
    page = new_page(browser)
    held = []
    page.route('**/model.onnx?*', lambda route: held.append(route))
    page.goto(site[0])
    choose(page, grey(240, 'early.png'), 'Looking at early.png')
    wait(lambda: page.get_by_role('img', name='early.png').is_visible() and held)
    held[0].continue_()
    wait(lambda: status(page).startswith('bright'))


def test_by_keyboard(browser, site):
    page = opened(browser, site[0], width=1280)
    page.keyboard.press('Tab')
    assert page.evaluate("document.activeElement.matches('input[type=file]')")
    choosers = []
    page.on('filechooser', lambda chooser: choosers.append(chooser))
    for _ in range(5): # on a busy machine Chromium opens nothing at times: whoever sees nothing presses again
        page.keyboard.press('Space')
        page.wait_for_timeout(2000)
        if choosers: break
    choosers[0].set_files([grey(240, 'keys.png')])
    wait(lambda: status(page).startswith('bright'))


def test_a_phone_has_a_camera(browser, site):
    phone = opened(browser, site[0], is_mobile=True, has_touch=True)
    assert phone.get_by_label('Take one').get_attribute('capture') == 'environment'
    assert phone.get_by_text('Take one').is_visible() and phone.get_by_text('or drop one here').is_hidden()
    desk = opened(browser, site[0], width=1280)
    assert desk.get_by_text('Take one').is_hidden() and desk.get_by_text('or drop one here').is_visible()


@pytest.mark.parametrize('width', [320, 1280])
def test_long_names_stay_within(browser, site, width):
    address, place = site
    changed(place, vocab=['Donaudampfschifffahrtsgesellschaftskapitän' * 3, 'x'])
    page = opened(browser, address, width=width)
    choose(page, grey(240), 'Donau')
    assert page.evaluate('document.documentElement.scrollWidth <= innerWidth')


# Making it

def test_a_page_is_renewed_and_nothing_else_is_touched(light, package, tmp_path):
    (tmp_path/'page'/'.git').mkdir(parents=True)
    (tmp_path/'page'/'.git'/'config').write_text('mine')
    for _ in range(2):
        assert write_page(light, tmp_path/'page') == tmp_path/'page'
    assert (tmp_path/'page'/'.git'/'config').read_text() == 'mine'
    (tmp_path/'page'/'thesis.txt').write_text('years')
    for place in (tmp_path/'page', light.folder):
        with pytest.raises(DataError, match='holds (thesis.txt|README.md), which is no part of a page'):
            write_page(light, place)
    assert Exported(light.folder).vocab == light.vocab
    with pytest.raises(DataError, match='thesis.txt is a file'):
        write_page(light, tmp_path/'page'/'thesis.txt')


def test_from_the_terminal(light, package, tmp_path):
    done = CliRunner().invoke(app, ['app', str(light.folder), '--page', str(tmp_path/'page')])
    assert done.exit_code == 0 and 'http.server' in done.output
    assert {path.name for path in (tmp_path/'page').iterdir()} >= {'index.html', 'model.onnx', 'onnxruntime.wasm'}


def test_fetched_once(light, package, root, tmp_path, monkeypatch):
    write_page(light, tmp_path/'first')
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', 'http://127.0.0.1:9')
    write_page(light, tmp_path/'second')
    (root/maker._version/'ort-wasm-simd-threaded.wasm').write_bytes(b'cut off')
    with pytest.raises(DataError, match='sha256 is wrong(.|\n)*refused(.|\n)*bring its dist/ort-wasm'):
        write_page(light, tmp_path/'third')
    assert not (tmp_path/'third').exists()


def test_other_bytes_are_refused(light, package, tmp_path, monkeypatch):
    monkeypatch.setattr(maker, '_taken', {name: (theirs, '0' * 64) for name, (theirs, _) in maker._taken.items()})
    with pytest.raises(DataError, match='sha256 is wrong'):
        write_page(light, tmp_path/'page')


def test_without_a_network(light, root, no_network, tmp_path):
    with pytest.raises(DataError, match=f'(?s)unreachable.*bring its dist/ort.wasm.* and put it into {root}'):
        write_page(light, tmp_path/'page')
    assert not (tmp_path/'page').exists()


# The real thing

@pytest.fixture(scope='module')
def pets(tmp_path_factory):
    "(exported model of 37 breeds, the 111 photographs that it did not learn from)."
    home = settings().data.root/maker._version
    if not home.exists():
        pytest.skip(f'no {home}: it holds two files of dist/ in the package onnxruntime-web')
    found = load('pets', full=False)
    torch.manual_seed(0)
    learn = vision_learner(loaders(found, 192, 32, 'cpu', keep='memory'))
    learn.fine_tune(0, quiet=True)
    home = tmp_path_factory.mktemp('pets')
    learn.export(home/'pets')
    return Exported(home/'pets'), [found.x[i] for i in found.valid]


@pytest.fixture(scope='module')
def pets_page(browser, web, pets):
    address, home = web
    write_page(pets[0], home/'pets')
    page = opened(browser, f'{address}/pets/')
    yield page
    assert not page.faults and all(url.startswith(address) for url in page.asked)


def answers(page, file):
    "{label: percent} that the page says of a file."
    page.get_by_label('Choose a photograph').set_input_files([file])
    wait(lambda: page.locator('#said').get_attribute('class') == 'answer', 60)
    rows = [bar.locator('span').all_text_contents() for bar in page.get_by_role('listitem').all()]
    return {label: float(part.removesuffix('%')) for label, part, *_ in rows}


def as_stored(file, i): return dict(name=file.name, mimeType='', buffer=file.read_bytes())


def enlarged(file, i):
    "Twelve megapixels."
    im = Image.open(file).convert('RGB')
    scale = (12e6 / im.width / im.height) ** .5
    size = round(im.width * scale), round(im.height * scale)
    return as_file(im.resize(size, Image.Resampling.BICUBIC), 'a', 'JPEG')


def turned(file, i):
    "Noted as lying on another side: 2 to 8 in turns."
    exif = Image.Exif()
    exif[0x0112] = 2 + i % 7
    return as_file(Image.open(file).convert('RGB'), 'a', 'JPEG', exif=exif)


def coloured(file, i):
    "In the colours of a phone or of a camera."
    return as_file(Image.open(file).convert('RGB'), 'a', 'JPEG', icc_profile=[*PROFILES.values()][i % 2])


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize('kind, close', [(as_stored, .6), (enlarged, 10), (turned, .6), (coloured, .6)])
def test_the_same_answers_as_torch(pets, pets_page, kind, close):
    "The label on each of the 111 photographs, and its percentage; exactly where both decode all of a JPEG."
    model, files = pets
    for i, path in enumerate(files):
        file = kind(path, i)
        found, want = answers(pets_page, file), model.predict(file['buffer'])
        (label, percent), (wanted, part) = next(iter(found.items())), next(iter(want.parts.items()))
        assert label == wanted and abs(percent - 100 * part) < close, path.name
        assert kind is enlarged or ('not sure' in status(pets_page)) == (want.label is None), path.name
