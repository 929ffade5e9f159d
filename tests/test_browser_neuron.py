"The live neuron in real browsers: JupyterLab with its kernel, a page without one, a page without scripts."

import json

import pytest

from coursehelpers.celsius import scale, thermometer, too_hot
from coursehelpers.widgets.neuron import one_neuron, passes
from tests.browser import (
    box,
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
    score,
    slider,
    static_page,
    stays_within,
    wait,
    without_scripts,
)

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

CELLS = ['import json, torch\nfrom coursehelpers.celsius import *\nfrom coursehelpers.curves import mse\nfrom '
         'coursehelpers.widgets.neuron import one_neuron\nc, f = thermometer()\n'
         'n = one_neuron(c, f, w=1, lr=0.0001, at=5, w_range=(-1, 4))\nn',
         't, y = too_hot()\ns = one_neuron(scale(t), y, w=1, lr=1, squash=True)\ns']
ORACLE = '''def oracle(n, squash=False):
    w, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (n.w, n.b))
    x, y = n.example
    z = x*w + b
    ((torch.sigmoid(z) if squash else z) - y).square().backward()
    return [w.grad.item(), b.grad.item()]'''


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'neuron', CELLS, range(len(CELLS))) as page:
        kernel(page, ORACLE)
        yield page


def fresh(page, i, name, lr):
    "The picture of cell i, back at its start."
    kernel(page, f'{name}.lr = {lr}')
    at = cell(page, i).locator('.ch')
    press(at, 'reset')
    wait(lambda: of(page, f'{name}.w') == 1 and steps(at) == 0 and turn(at) == '1 forward')
    return at


@pytest.fixture
def line(page): return fresh(page, 0, 'n', .0001)
@pytest.fixture
def curve(page): return fresh(page, 1, 's', 1)


def steps(at): return int(score(at, 2))
def mean_loss(at): return score(at, 1)
def turn(at): return at.locator('[aria-current=step]').text_content()
def wires(at): return [t for t in at.locator('svg').first.locator('text').all_text_contents() if '=' in t]
def shown(v): return f'{v:#.4g}'.rstrip('.').replace('-', '−')


def pass_through(page, at, name):
    "Press forward and backward, and wait until the page has told the kernel and shown its last number."
    press(at, '1 forward')
    press(at, '2 backward')
    wait(lambda: turn(at) == '3 step' and any(t.startswith('dw =') for t in wires(at)))
    page.wait_for_timeout(150) # the kernel is told at most every 60 ms


# In JupyterLab

def test_numbers_flow_forward_then_back(page, line):
    assert wires(line) == [] and '?' in line.locator('svg').first.text_content()
    press(line, '1 forward')
    assert said(line).startswith('Forward: 1.000 × 37.00 = 37.00, plus 0.000 is 37.00.')
    wait(lambda: [t.split(' = ')[0] for t in wires(line)] == ['w·x', 'pred'])
    wait(lambda: '?' not in line.locator('svg').first.text_content())
    press(line, '2 backward')
    wait(lambda: {t.split(' = ')[0] for t in wires(line)} == {'w·x', 'pred', 'dpred', 'dwx', 'dw', 'db'})
    assert turn(line) == '3 step'


def test_gradients_shown_are_python_s(page, line):
    pass_through(page, line, 'n')
    dw, db = of(page, 'oracle(n)')
    assert [of(page, f'n.grads["{k}"]') for k in ('dw', 'db')] == pytest.approx([dw, db], abs=1e-10)
    assert {f'dw = {shown(dw)}', f'db = {shown(db)}'} <= set(wires(line))


def test_gradients_through_the_squash_are_python_s(page, curve):
    kernel(page, 's.at = 30; s.w = 2.5; s.b = -1.25')
    pass_through(page, curve, 's')
    dw, db = of(page, 'oracle(s, True)')
    assert [of(page, f's.grads["{k}"]') for k in ('dw', 'db')] == pytest.approx([dw, db], abs=1e-10)
    assert {f'dw = {shown(dw)}', f'db = {shown(db)}'} <= set(wires(curve))


def test_step_is_w_minus_lr_times_gradient(page, line):
    pass_through(page, line, 'n')
    dw, db = of(page, 'oracle(n)')
    press(line, '3 step')
    wait(lambda: of(page, 'n.w') != 1)
    assert of(page, '[n.w, n.b]') == pytest.approx([1 - .0001*dw, -.0001*db], rel=1e-12)
    assert steps(line) == 1 and turn(line) == '1 forward' and wires(line) == [], 'the old numbers are gone'
    assert mean_loss(line) == shown(of(page, 'mse(neuron(c, n.w, n.b), f).item()'))


def test_a_saturated_neuron_hardly_feels_its_loss(page, curve):
    kernel(page, 's.at = 0; s.b = 10.')
    pass_through(page, curve, 's')
    p = of(page, 's.values')
    assert p['loss'] > .999 and {'dpred = 2.000', f'db = {p["db"]:.3g}'} <= set(wires(curve))
    assert 'e' not in f'{p["db"]:.3g}'
    assert not [t for t in wires(curve) if '-' in t], 'a minus sign is a minus sign'


def test_the_wrong_order_is_told(page, line):
    press(line, '2 backward')
    assert 'First forward' in said(line)
    press(line, '3 step')
    assert 'First forward, then backward' in said(line)
    press(line, '1 forward')
    press(line, '3 step')
    assert 'First backward' in said(line) and of(page, 'n.w') == 1 and steps(line) == 0


def test_ten_steps_are_walk_down_s(page, line):
    press(line, '10 steps on all')
    wait(lambda: steps(line) == 10 and of(page, 'n.w') != 1)
    assert of(page,
              '[n.w, n.b]') == pytest.approx(of(page, 'walk_down(c, f, 0.0001, 10, 1., 0.)[-1].tolist()'), rel=1e-9)
    assert 'mean loss' in said(line)


def test_too_large_a_rate_is_told_and_nothing_breaks(page, line):
    box(line, 'learning rate').fill('0.01')
    box(line, 'learning rate').press('Enter')
    press(line, '10 steps on all')
    assert 'exploded' in said(line) or 'too large' in said(line)
    for _ in range(3):
        press(line, '10 steps on all')
    wait(lambda: 'exploded' in said(line))
    assert all(abs(v) < 1e13 for v in of(page, '[n.w, n.b]'))
    press(line, 'reset')
    wait(lambda: of(page, '[n.w, n.b]') == [1, 0] and steps(line) == 0)


def test_slider_by_mouse_and_keys(page, line):
    at = slider(line, 'w')
    at.scroll_into_view_if_needed()
    before, b = line.locator('.ch-curve').first.get_attribute('d'), at.bounding_box()
    page.mouse.move(b['x'] + 8 + (b['width'] - 16)*.4, b['y'] + b['height']/2)
    page.mouse.down()
    page.mouse.move(b['x'] + 8 + (b['width'] - 16)*.6, b['y'] + b['height']/2, steps=4)
    assert line.locator('.ch-curve').first.get_attribute('d') != before, 'the line follows while the mouse is down'
    page.mouse.up()
    wait(lambda: 1.8 <= of(page, 'n.w') <= 2.2)
    was = of(page, 'n.b')
    for _ in range(3):
        slider(line, 'b').press('ArrowRight')
    wait(lambda: of(page, 'n.b') > was)
    assert mean_loss(line) == shown(of(page, 'mse(neuron(c, n.w, n.b), f).item()'))


def test_the_whole_walk_by_keyboard(page, line):
    line.get_by_role('button', name='1 forward').focus()
    page.keyboard.press('Enter')
    for _ in range(2):
        page.keyboard.press('Tab')
        page.keyboard.press('Space')
    wait(lambda: steps(line) == 1)


def test_numbers_stay_live_while_a_slider_moves(page, line):
    pass_through(page, line, 'n')
    old = set(wires(line))
    slider(line, 'w').press('ArrowRight')
    wait(lambda: of(page, 'n.w') > 1)
    dw, _ = of(page, 'oracle(n)')
    assert set(wires(line)) != old and f'dw = {shown(dw)}' in wires(line)


def test_another_example(page, line):
    line.locator('select').select_option('2')
    wait(lambda: of(page, 'n.at') == 2 and of(page, 'n.example[0]') == 0)
    pass_through(page, line, 'n')
    assert 'dw = 0.000' in [t.replace('−', '') for t in wires(line)], 'at 0 °C nothing can be said about w'
    press(line, 'next example')
    wait(lambda: of(page, 'n.at') == 3 and turn(line) == '1 forward')


def test_python_moves_the_picture(page, line):
    kernel(page, 'n.w = 1.8; n.b = 32.')
    wait(lambda: box(line, 'w, exact value').input_value() == '1.8')
    assert mean_loss(line) == shown(of(page, 'mse(neuron(c, n.w, n.b), f).item()'))


@pytest.mark.parametrize('typed', ['', '-'])
def test_bad_numbers_are_refused(page, line, typed):
    rate = box(line, 'learning rate')
    rate.focus()
    page.keyboard.press('Control+a')
    page.keyboard.press('Delete')
    page.keyboard.type(typed)
    page.keyboard.press('Tab')
    assert rate.input_value() == '0.0001' and of(page, 'n.lr') == .0001


def test_letters_stay_in_the_picture(page, line):
    letters_stay(page, [slider(line, 'w'), box(line, 'b, exact value'), line.locator('select'),
                        line.get_by_role('button', name='1 forward')])


# The maths of the page against Python

def test_page_s_arithmetic(browser):
    page = new_page(browser)
    page.goto('about:blank')
    rows = [[x, y, w, b, squash] for x, y, w,
            b in ((37, .3, .1, -2.5), (-40, 1, .02, 3), (0, 0, 5, -1), (100, 1, -.03, .2)) for squash in (False, True)]
    found = module(page, one_neuron([0, 1], [0, 1]), f'{json.dumps(rows)}.map(r => m.passes(...r))')
    for row, got in zip(rows, found, strict=True):
        assert got == pytest.approx(passes(*row), rel=1e-12, abs=1e-14)
    assert not page.faults


# Without a kernel, without scripts

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    "A page made by nbconvert from a notebook with stored outputs: a line, its twin, and a curve."
    (c, f), (t, y) = thermometer(), too_hot()
    n = one_neuron(c, f, w=1, lr=.0001, at=5)
    return static_page(tmp_path_factory.mktemp('static'), n, n, one_neuron(scale(t), y, squash=True))


def test_static_page_is_alive(browser, static):
    page = open_static(browser, static, 3)
    first, twin, third = (page.locator('.ch').nth(i) for i in range(3))
    for name in ('1 forward', '2 backward', '3 step'):
        press(first, name)
    assert 'Step: w 1.000' in said(first) and said(twin) == '', 'two pictures on a page do not touch each other'
    press(third, '1 forward')
    assert 'squashed' in said(third)
    assert page.locator('.ch-out img').count() == 0 and not page.faults


def test_without_scripts_the_png_and_its_words(browser, static):
    assert all('Backward: dpred' in words for words in without_scripts(browser, static, 3))


@pytest.mark.parametrize('width', [360, 700])
def test_narrow_pages_do_not_overflow(browser, static, width):
    page = open_static(browser, static, 3, width=width)
    assert stays_within(page)


def test_no_motion_where_none_is_wanted(browser, static):
    page = open_static(browser, static, 3, reduced_motion='reduce')
    at = page.locator('.ch').first
    press(at, '1 forward')
    press(at, '2 backward')
    assert any(t.startswith('dw =') for t in wires(at)) and not page.faults


def test_words_for_those_who_do_not_see(browser, static):
    page = open_static(browser, static, 3)
    at = page.locator('.ch').first
    for name in ('1 forward', '2 backward'):
        press(at, name)
    labels = [svg.get_attribute('aria-label') for svg in at.locator('svg').all()]
    assert len(labels) == 3 and 'dw −4507' in labels[0] and 'example 6 is marked' in labels[1]
    assert 'Mean loss' in labels[2]
    assert at.get_by_role('status').get_attribute('aria-live') == 'polite'
    assert at.get_by_role('button', name='3 step').get_attribute('aria-current') == 'step'
