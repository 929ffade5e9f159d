"The valley in real browsers: JupyterLab with its kernel, a page without one, a page without scripts."

import json

import pytest

from coursehelpers.widgets.valley import rolled, valley
from tests.browser import (
    cell,
    in_lab,
    kernel,
    letters_stay,
    module,
    need_browser,
    new_page,
    number,
    of,
    open_static,
    press,
    said,
    score,
    slider,
    static_page,
    stays_within,
    wait,
    without_scripts,
)

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

CELLS = ['import json\nfrom coursehelpers.widgets.valley import valley\nv = valley(20, 1)\nv']


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'valley', CELLS, range(len(CELLS))) as page:
        yield page


@pytest.fixture
def at(page):
    "The picture, back at its start."
    at = cell(page, 0).locator('.ch')
    press(at, 'reset')
    wait(lambda: of(page, '[v.lr, v.momentum, v.start.tolist()[0]]') == [.005, 0, -8])
    return at


def put(box, value):
    box.fill(value)
    box.press('Enter')


# In JupyterLab

def test_the_limit_is_felt(page, at):
    for lr, word in (('0.03', 'down one side'), ('0.09', 'from side to side'), ('0.11', 'explodes')):
        put(number(at, 'learning rate'), lr)
        assert word in said(at)
    wait(lambda: of(page, 'v.lr') == .11)


def test_momentum_by_keys_and_box(page, at):
    put(number(at, 'learning rate'), '0.1')
    slider(at, 'momentum').press('ArrowRight')
    wait(lambda: of(page, 'v.momentum') == .01)
    put(number(at, 'momentum'), '0.6')
    wait(lambda: of(page, 'v.momentum') == .6)
    assert 'explodes' not in said(at) and 'momentum 0.6' in said(at)


@pytest.mark.parametrize('name, typed, kept', [('learning rate', '0', .005), ('momentum', '1', 0),
                                               ('momentum', '-0.1', 0), ('learning rate', '', .005)])
def test_bad_numbers_are_refused(page, at, name, typed, kept):
    put(number(at, name), typed)
    assert float(number(at, name).input_value()) == kept and 'must be' in said(at)
    assert of(page, '[v.lr, v.momentum]') == [.005, 0]


def test_the_start_by_keys_and_mouse(page, at):
    slider(at, 'start').press('ArrowRight')
    wait(lambda: of(page, 'v.start.tolist()[0]') == -7.75)
    slider(at, 'start').scroll_into_view_if_needed()
    b = slider(at, 'start').bounding_box()
    page.mouse.move(b['x'] + b['width']/2, b['y'] + b['height']/2)
    page.mouse.down()
    page.mouse.move(b['x'] + b['width']/2 + 60, b['y'] + b['height']/2 + 20, steps=4)
    page.mouse.up()
    wait(lambda: of(page, 'v.start.tolist()[0]') > -7)
    assert of(page, 'v.start.tolist()[1]') < 3


def test_python_moves_the_picture(page, at):
    kernel(page, 'v.lr = .095; v.momentum = .25; v.start = [5., 1.]')
    wait(lambda: 'lr 0.095, momentum 0.25' in said(at))
    assert slider(at, 'start').get_attribute('aria-valuetext') == '5 along, 1 across'


def test_letters_stay_in_the_picture(page, at):
    letters_stay(page, [slider(at, 'learning rate'), slider(at, 'start'), number(at, 'momentum')])


# The maths of the page against Python

def test_page_s_arithmetic(browser):
    page = new_page(browser)
    page.goto('about:blank')
    rows = [[[1, 20], [-8, 1.5], lr, momentum, 40] for lr in (.01, .095, .15) for momentum in (0, .6, .95)]
    for row, got in zip(rows, module(page, valley(20, 1), f'{json.dumps(rows)}.map(r => m.roll(...r))'), strict=True):
        path, losses = rolled(*row)
        assert got['losses'] == pytest.approx(losses.tolist(), rel=1e-9)
        assert sum(got['path'], []) == pytest.approx(path.flatten().tolist(), rel=1e-9, abs=1e-12)
    assert not page.faults


# Without a kernel, without scripts

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    "A page made by nbconvert from a notebook with stored outputs."
    w = valley(20, 1)
    return static_page(tmp_path_factory.mktemp('static'), w, w, valley(3, 3, lr=.3, momentum=.5))


def test_static_page_is_alive(browser, static):
    page = open_static(browser, static, 3)
    first, twin, round_one = (page.locator('.ch').nth(i) for i in range(3))
    before = said(twin)
    slider(first, 'learning rate').press('End')
    assert 'explodes' in said(first) and said(twin) == before, 'two pictures on a page do not touch each other'
    assert score(round_one) == '40' and 'momentum 0.5' in said(round_one)
    assert page.locator('.ch-out img').count() == 0 and not page.faults


def test_without_scripts_the_png_and_its_words(browser, static):
    assert all('learning rate' in words for words in without_scripts(browser, static, 3))


@pytest.mark.parametrize('width', [360, 700])
def test_narrow_pages_do_not_overflow(browser, static, width):
    assert stays_within(open_static(browser, static, 3, width=width))


def test_words_for_those_who_do_not_see(browser, static):
    page = open_static(browser, static, 3)
    at = page.locator('.ch').first
    labels = [svg.get_attribute('aria-label') for svg in at.locator('svg').all()]
    assert len(labels) == 2 and all('lr 0.005, momentum 0' in label for label in labels)
    assert at.get_by_role('status').get_attribute('aria-live') == 'polite'
    assert slider(at, 'start').get_attribute('aria-valuetext') == '−8 along, 3 across'
