"Attention and the growing text in real browsers: JupyterLab with its kernel, a page without one, no scripts."
import pytest

from coursehelpers.widgets.attention import attention_view, packed
from coursehelpers.widgets.sampler import sampler
from tests.browser import (
    cell,
    in_lab,
    kernel,
    letters_stay,
    module,
    need_browser,
    new_page,
    of,
    open_static,
    press,
    said,
    slider,
    static_page,
    stays_within,
    wait,
    without_scripts,
)

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

SETUP = '''
import torch
from coursehelpers.widgets.attention import attention_view
from coursehelpers.widgets.sampler import sampler

TEXT = 'for x in <y>:\\n    print("$x$")\\n'
torch.manual_seed(0)
scores = 2 * torch.randn(2, 3, len(TEXT), len(TEXT))
weights = scores.masked_fill(torch.ones(len(TEXT), len(TEXT)).triu(1) > 0, -torch.inf).softmax(3)

class Characters:
    chars = 'ab <\\n$'
    def encode(self, text): return torch.tensor([self.chars.index(c) for c in text])
    def decode(self, ids): return ''.join(self.chars[i] for i in ids)

def after(ids): return torch.eye(6)[(ids[:, -1] + 1) % 6] * 3
'''
space = {}
exec(SETUP, space)
CELLS = [SETUP, 'a = attention_view(TEXT, weights, place=20)\na',
         's = sampler(after, Characters(), "a<", temperatures=(.2, 1., 3.), characters=40)\ns',
         'sampler(lambda ids: torch.eye(6)[ids[:, -1]] * 9, Characters(), "a ", temperatures=(.1,), characters=20)']


def looked(): return attention_view(space['TEXT'], space['weights'], place=20)
def grown(): return sampler(space['after'], space['Characters'](), 'a<', temperatures=(.2, 1., 3.), characters=40)


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'text', CELLS, range(len(CELLS))) as page:
        yield page


@pytest.fixture
def at(page):
    "Attention, as it was at the start."
    kernel(page, 'a.layer, a.head, a.place = 0, 0, 20')
    at = cell(page, 1).locator('.ch')
    wait(lambda: 'Layer 1, head 1' in said(at) and slider(at, 'character').input_value() == '20')
    return at


@pytest.fixture
def text(page):
    "The growing text, as it was at the start."
    kernel(page, 's.at, s.length = 1, 40')
    text = cell(page, 2).locator('.ch')
    wait(lambda: 'Temperature 1:' in said(text) and 'character 40' in said(text))
    return text


# In JupyterLab

def test_a_character_by_mouse_and_keys(page, at):
    at.locator('.cl-character').nth(5).hover()
    wait(lambda: of(page, 'a.place') == 5)
    slider(at, 'character').press('ArrowRight')
    wait(lambda: of(page, 'a.place') == 6)
    assert '“i”' in said(at) and at.locator('.cl-character.here').text_content() == 'i'
    assert slider(at, 'character').get_attribute('aria-valuetext') == '“i”, 7 of 31'
    assert at.locator('.cl-character.later').count() == 24


def test_heads_and_layers_by_keys(page, at):
    at.get_by_label('head').select_option(label='3')
    at.get_by_label('layer').select_option(label='2')
    wait(lambda: of(page, '[a.layer, a.head]') == [1, 2])
    share, back, c = of(page, 'a.looked()[0]')
    assert 'Layer 2, head 3' in said(at) and f'{100 * share:.0f} % on' in said(at)


def test_it_walks_and_stops(page, at):
    kernel(page, 'a.place = 2')
    press(at, 'walk')
    wait(lambda: of(page, 'a.place') > 4)
    press(at, 'stop')
    page.wait_for_timeout(600) # the last step may still be on its way to the kernel
    here = of(page, 'a.place')
    page.wait_for_timeout(600)
    assert of(page, 'a.place') == here and here < 30


def test_the_bars_are_the_shares(page, at):
    found = sorted(of(page, 'a.looked()'), key=lambda row: -row[1]) # by place
    bars = at.locator('.cl-character i').evaluate_all('all => all.map(e => parseFloat(e.style.height))')[:21]
    most = max(share for share, _, _ in found)
    assert bars == pytest.approx([15 * share / most for share, _, _ in found], abs=.01)


def test_temperature_and_length_by_keys(page, text):
    slider(text, 'temperature').press('ArrowLeft')
    wait(lambda: of(page, 's.at') == 0)
    slider(text, 'characters written').press('Home')
    wait(lambda: of(page, 's.length') == 1)
    assert slider(text, 'temperature').get_attribute('aria-valuetext') == '0.2'
    assert 'Temperature 0.2: character 1 is new line' in said(text)
    shown = text.locator('.cl-out').text_content()
    assert shown.startswith('a<') and shown.endswith('↵\n')


def test_it_writes(page, text):
    press(text, 'from the start')
    wait(lambda: of(page, 's.length') == 1)
    press(text, 'write')
    wait(lambda: of(page, 's.length') == 40)
    shown = text.locator('.cl-out').text_content()
    assert shown.replace('↵\n', '\n') == 'a<' + of(page, 's.text')
    assert text.locator('.cl-bar.drawn').count() == 1


def test_blanks_in_a_row_are_seen(page):
    assert cell(page, 3).locator('.cl-out').text_content() == 'a ' + 20 * '·'


def test_letters_stay_in_the_pictures(page, at, text):
    letters_stay(page, [slider(at, 'character'), at.get_by_label('head'), slider(text, 'temperature'),
                        text.locator('.cl-out')])


# The arithmetic of the page against Python

def test_page_s_shares(browser):
    page = new_page(browser)
    page.goto('about:blank')
    code, head = packed(space['weights'][1, 2]), space['weights'][1, 2]
    for place in (0, 1, 17, 30):
        got = module(page, looked(), f'm.shares({code!r}, {place})')
        assert got == pytest.approx(head[place, :place + 1].tolist(), abs=.03) and sum(got) == pytest.approx(1)
    assert not page.faults


# Without a kernel, without scripts

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    "A page made by nbconvert from a notebook with stored outputs."
    return static_page(tmp_path_factory.mktemp('static'), looked(), grown())


def test_static_page_is_alive(browser, static):
    page = open_static(browser, static, 2)
    at, text = (page.locator('.ch').nth(i) for i in range(2))
    slider(at, 'character').press('Home')
    assert 'at “f”: 100 % on “f” (itself)' in said(at)
    slider(text, 'temperature').press('End')
    assert 'Temperature 3:' in said(text)
    assert page.locator('.ch-out img').count() == 0 and not page.faults


def test_without_scripts_the_png_and_its_words(browser, static):
    looks, writes = without_scripts(browser, static, 2)
    assert 'head 1' in looks and 'temperature 1' in writes


@pytest.mark.parametrize('width', [360, 700])
def test_narrow_pages_do_not_overflow(browser, static, width):
    assert stays_within(open_static(browser, static, 2, width=width))


def test_words_for_those_who_do_not_see(browser, static):
    page = open_static(browser, static, 2)
    for at in page.locator('.ch').all():
        assert at.get_by_role('status').get_attribute('aria-live') == 'polite'
        names = at.locator('input, select').evaluate_all('all => all.map(e => e.getAttribute("aria-label"))')
        assert names and all(names)


def test_nothing_moves_where_motion_is_unwelcome(browser, static):
    page = open_static(browser, static, 2, reduced_motion='reduce')
    press(page.locator('.ch').nth(0), 'walk')
    assert 'at new line' in said(page.locator('.ch').nth(0))
