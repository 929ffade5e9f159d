"""Every picture on a phone, on a laptop at 200 %, on a desk: text that can be read, handles that can be hit, parts in
their order; foreign numbers; 200 random moves without a kernel."""
import functools
import random

import numpy as np
import pytest
import torch
from torch import nn

from coursehelpers.base.samples import sample
from coursehelpers.celsius import scale, thermometer, too_hot
from coursehelpers.curves import mk_quad, noisy, quad
from coursehelpers.data import loaders
from coursehelpers.images.folders import folder
from coursehelpers.learner import Learner
from coursehelpers.plots import to_png
from coursehelpers.widgets import portable
from coursehelpers.widgets.cleaner import Cleaner
from coursehelpers.widgets.fit import build_relus, fit_by_hand, lr_explorer
from coursehelpers.widgets.neuron import one_neuron
from coursehelpers.widgets.photo import your_photo
from coursehelpers.widgets.products import see_product
from coursehelpers.widgets.valley import valley
from tests.browser import need_browser, open_static, press, static_page
from tests.test_browser_cleaner import make_set
from tests.test_browser_photo import Pug

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

SIZES = {'phone': (390, 844), 'zoomed': (640, 450), 'desk': (1280, 900)}
NAMES = ['fit', 'relus', 'rate', 'valley', 'neuron', 'squash', 'product', 'misfit', 'large', 'photo', 'cleaner']
LIVELY = NAMES[:-2] # these need no net behind them


@pytest.fixture(scope='module', autouse=True)
def drawn_once():
    "The pictures for places without scripts are tested elsewhere; drawing fifty of them takes long."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portable, '_png', lambda fig: 'iVBORw0KGgo=')
        yield


def cleaner(home):
    "A cleaner of twenty pictures."
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 5))
    return Cleaner(Learner(net, loaders(folder(make_set(home/'set')), 96, 8, 'cpu'), lr=.1), k=20)


@pytest.fixture(scope='module')
def addresses(tmp_path_factory):
    "Pages made by nbconvert with one of each picture, as `NAMES` says: {theme: address}."
    home, (x, y) = tmp_path_factory.mktemp('sizes'), noisy(mk_quad(3., 2., 1.))
    (c, f), (t, hot) = thermometer(), too_hot()
    pictures = [
        fit_by_hand(quad, x, y), build_relus(x, y, n=3), lr_explorer(quad, x, y), valley(20, 1),
        one_neuron(c, f, w=1, lr=.0001, at=5, xname='°C', yname='°F'),
        one_neuron(scale(t), hot, w=2.5, b=-1.25, lr=5, squash=True, xname='scaled °C', yname='too hot'),
        see_product(torch.arange(6.).view(2, 3), torch.arange(12.).view(3, 4), at=8),
        see_product(torch.ones(2, 3), torch.ones(2, 4)),
        see_product(torch.ones(8, 8), torch.full((8, 8), -12.5), at=100),
        your_photo(Pug(), sample('oxford-iiit-pet')/'images'/'pug_112.jpg'), cleaner(home)]
    return {theme: static_page(home, *pictures, theme=theme) for theme in ('light', 'dark')}


@pytest.fixture(scope='module')
def opened(browser, addresses):
    "The page at one of the sizes, or in the dark; each is opened once. The neurons show both passes."
    @functools.cache
    def at_size(size, theme='light'):
        width, height = SIZES[size]
        page = open_static(browser, addresses[theme], len(NAMES), width=width, height=height, reduced_motion='reduce')
        for name in ('neuron', 'squash'):
            for turn in ('1 forward', '2 backward'):
                press(picture(page, name), turn)
        frames(page)
        return page
    yield at_size


def picture(page, name): return page.locator('.ch').nth(NAMES.index(name))
def frames(page):
    "Until what has been resized is drawn."
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


MEASURE = '''root => {
    const box = e => e.getBoundingClientRect()
    const seen = e => box(e).width && box(e).height && getComputedStyle(e).visibility !== 'hidden'
    const scaled = e => e.getScreenCTM ? Math.hypot(e.getScreenCTM().a, e.getScreenCTM().b) : 1
    const pixels = e => parseFloat(getComputedStyle(e).fontSize) * scaled(e)
    const worded = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
    const told = e => e.matches('input:not([type=file]), select') || worded(e)
    const all = what => [...root.querySelectorAll(what)].filter(seen)
    const named = e => e.getAttribute('aria-label') || e.textContent.trim().slice(0, 30) || e.outerHTML.slice(0, 60)
    const hit = e => /checkbox|file/.test(e.type) && e.closest('label') || e
    const handles = all('button, input, select, [role=slider], .ch-tail, .cm-hit')
    const least = e => Math.min(box(hit(e)).width, box(hit(e)).height)
    const within = (e, o) => box(e).left >= box(o).left - 1 && box(e).right <= box(o).right + 1
        && box(e).top >= box(o).top - 1 && box(e).bottom <= box(o).bottom + 1
    return {
        small: all('*').filter(e => told(e) && pixels(e) < 10.99).map(e => [named(e), pixels(e)]),
        tight: handles.filter(e => least(e) < 23.99).map(e => [named(e), least(e)]),
        cut: all('svg text').filter(e => !within(e, e.ownerSVGElement)).map(named),
        handles: handles.length,
        overflow: root.scrollWidth - root.clientWidth,
    }
}'''


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('size', SIZES)
def test_text_is_read_and_handles_are_hit(opened, size, name):
    found = picture(opened(size), name).evaluate(MEASURE)
    assert found.pop('handles') > 0 and found.pop('overflow') <= 1
    assert not any(found.values()), found


@pytest.mark.parametrize('size', ['phone', 'zoomed'])
def test_order_in_one_column(opened, size):
    page = opened(size)
    at = picture(page, 'fit')
    sliders = at.get_by_role('slider')
    parts = [at.locator('svg').first, sliders.first, sliders.last, at.locator('.ch-pick')]
    tops = [part.bounding_box()['y'] for part in parts]
    assert tops == sorted(tops), 'curve, sliders, surface'
    last = parts[2].bounding_box()
    assert last['y'] + last['height'] - tops[0] <= SIZES['zoomed'][1], 'curve and sliders fit into one window'
    rate = picture(page, 'rate')
    slider, land, loss = (part.bounding_box()['y'] for part in (
        rate.get_by_role('slider'), rate.locator('svg').first, rate.locator('svg').last))
    assert land < slider < loss


def test_order_in_two_columns(opened):
    at = picture(opened('desk'), 'fit')
    curve, surface, slider = (part.bounding_box() for part in (
        at.locator('svg').first, at.locator('.ch-pick'), at.get_by_role('slider').first))
    assert curve['x'] < surface['x'] and abs(curve['y'] - surface['y']) < 2
    assert slider['y'] > curve['y'] + curve['height'] and slider['x'] < surface['x']


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('name', ['neuron', 'squash'])
def test_target_and_loss_are_in_sight(opened, size, name):
    at = picture(opened(size), name)
    scrolled = at.evaluate("e => [...e.querySelectorAll('*')].some(n => n.scrollWidth > n.clientWidth + 1 "
                           "&& getComputedStyle(n).overflowX !== 'visible' && n.tagName === 'DIV')")
    assert not scrolled and at.locator('svg').first.locator('circle').count() == 5


CONTRAST = '''(root, ground) => {
    const part = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4
    const light = ([r, g, b]) => .2126*part(r/255) + .7152*part(g/255) + .0722*part(b/255)
    const ratio = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05)
    const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number)
    const over = (top, low) => low.map((v, i) => v + ((top[i] ?? v) - v) * (top[3] ?? 1))
    const chain = e => e === root ? [e] : [...chain(e.parentElement), e]
    const faint = [] // what cannot be used, marks of a legend, and what brings its own ground are spared
    const spared = ':disabled, label:has(:disabled), option, .ch-key span, .ch-grip, .cc-mark'
    for (const e of root.querySelectorAll('*')) {
        const told = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
        if (!told || !e.getBoundingClientRect().width || e.closest(spared)) continue
        let below = ground, opacity = 1
        for (const one of chain(e)) {
            const style = getComputedStyle(one)
            if (style.backgroundColor.startsWith('rgb')) below = over(rgb(style.backgroundColor), below)
            opacity *= style.opacity
        }
        const style = getComputedStyle(e)
        const ink = rgb(e.ownerSVGElement ? style.fill : style.color)
        const seen = ratio(over([...ink.slice(0, 3), opacity * (ink[3] ?? 1)], below), below)
        if (seen < 4.5) faint.push([e.textContent.slice(0, 30), +seen.toFixed(2), style.color])
    }
    return faint
}'''


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('theme, ground', [('light', [255]*3), ('dark', [17]*3)], ids=['light', 'dark'])
def test_words_stand_out_in_light_and_dark(opened, name, theme, ground):
    assert picture(opened('desk', theme), name).evaluate(f'e => ({CONTRAST})(e, {ground})') == []


# Foreign numbers

def trained(x):
    "What a small trained module says of x, its graph still attached."
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 1))
    opt = torch.optim.SGD(net.parameters(), .01)
    for _ in range(5):
        opt.zero_grad()
        (net(x[:, None]) - x[:, None]**2).square().mean().backward()
        opt.step()
    return net(x[:, None]).squeeze(1)


GRID = torch.linspace(-2, 2, 9)
POINTS = {'list': ([1, 2, 4], [3, 1, 2]), 'numpy': (np.arange(5)[::-1], np.arange(5.)**2),
          'double': (GRID.double(), GRID.double()**3), 'module': (GRID, trained(GRID)), 'huge': (GRID*1e6, GRID**2*1e6),
          'tiny': (GRID*1e-6, GRID**2*1e-6), 'negative': (GRID - 50, -GRID**2 - 9), 'level': (GRID, GRID*0 + 7),
          'unsorted': ([3., -1, 2, 2], [1., 5, 2, 2])}


def takers(x, y):
    "Every picture that takes points, with these."
    return [fit_by_hand(quad, x, y), build_relus(x, y, n=2), lr_explorer(quad, x, y), one_neuron(x, y)]


@pytest.fixture(scope='module')
def foreign(browser, tmp_path_factory):
    "A page with every picture of every kind of points, and of matrices."
    pictures = [w for x, y in POINTS.values() for w in takers(x, y)]
    pictures += [see_product(nn.Linear(3, 2).weight, [[1e6], [-1e-6], [0]], at=3), see_product([[5]], np.ones((1, 8)))]
    return open_static(browser, static_page(tmp_path_factory.mktemp('foreign'), *pictures), len(pictures))


@pytest.mark.parametrize('kind', POINTS)
def test_foreign_numbers_are_drawn_and_move(foreign, kind):
    first = 4*list(POINTS).index(kind)
    for i in range(first, first + 4):
        at = foreign.locator('.ch').nth(i)
        at.get_by_role('slider').first.press('ArrowRight')
        for name in ('one gradient step', '1 forward', '10 steps on all'):
            if at.get_by_role('button', name=name).count(): press(at, name)
        drawn = at.inner_html()
        assert 'NaN' not in drawn and 'Infinity' not in drawn and 'undefined' not in drawn
        assert at.locator('svg').first.locator('text').count() >= 4
    assert not foreign.faults


def test_foreign_matrices_are_multiplied(foreign):
    for i in (-2, -1):
        at = foreign.locator('.ch').nth(foreign.locator('.ch').count() + i)
        at.get_by_role('slider').press('End')
        assert 'All done' in at.get_by_role('status').text_content() and 'NaN' not in at.inner_html()


@pytest.mark.long
@pytest.mark.parametrize('kind', POINTS)
def test_foreign_numbers_have_a_still_and_words(kind):
    for w in takers(*POINTS[kind]):
        assert w.picture().axes and 'nan' not in w.alt() and len(to_png(w.picture(), dpi=40)) > 500


@pytest.mark.parametrize('make', [fit_by_hand, lr_explorer, build_relus, one_neuron])
@pytest.mark.parametrize('x, y, says', [
    ([1.], [2.], 'at least 2'), ([1., 2.], [1., float('nan')], 'finite'), ([1., float('inf')], [1., 2.], 'finite'),
    ([1., 2.], [1.], 'same length'), ([[1., 2.]], [[1., 2.]], 'two lists'), (['a', 'b'], [1., 2.], 'numbers')],
    ids=['one', 'nan', 'inf', 'lengths', 'table', 'words'])
def test_what_cannot_be_drawn_is_said(make, x, y, says):
    with pytest.raises(ValueError, match=says):
        make(*([quad] if make in (fit_by_hand, lr_explorer) else []), x, y)


# Random moves without a kernel

def random_move(page, at, dice):
    "One move that a restless hand could make: a key, a button, a drag, a list, a typed number, another window."
    kinds = {'slider': at.get_by_role('slider'), 'button': at.locator('button:enabled'), 'svg': at.locator('svg'),
             'handle': at.locator('.ch-grip, .ch-tail, .cm-hit'), 'select': at.locator('select:enabled'),
             'box': at.locator('input[type=number]')}
    kind = dice.choice(['slider', 'slider', 'button', 'button', 'handle', 'svg', 'select', 'box', 'window'])
    size = dict(width=dice.randint(330, 1300), height=dice.randint(400, 900))
    if kind == 'window': return page.set_viewport_size(size)
    count = kinds[kind].count()
    if not count: return None
    one = kinds[kind].nth(dice.randrange(count))
    if kind == 'slider':
        one.focus()
        return page.keyboard.press(dice.choice(['ArrowLeft', 'ArrowRight', 'Home', 'End', 'PageUp', 'ArrowUp']))
    if kind == 'button': return one.dispatch_event('click')
    if kind == 'select': return one.evaluate('''(e, k) => {
        e.selectedIndex = k % e.options.length
        e.dispatchEvent(new Event('change', {bubbles: true}))
    }''', dice.randrange(20))
    if kind == 'box': return one.evaluate('''(e, v) => {
        e.value = v
        for (const name of ['input', 'change']) e.dispatchEvent(new Event(name, {bubbles: true}))
    }''', dice.choice(['', '0', '-3', '1e6', '1e-6', '7', '2.5']))
    return drag_about(page, one, dice)


def drag_about(page, one, dice):
    "From somewhere on an element to somewhere else, perhaps outside of it."
    one.scroll_into_view_if_needed()
    b = one.bounding_box()
    page.mouse.move(b['x'] + b['width']*dice.random(), b['y'] + b['height']*dice.random())
    page.mouse.down()
    page.mouse.move(b['x'] + b['width']*dice.uniform(-.2, 1.2), b['y'] + b['height']*dice.uniform(-.2, 1.2), steps=2)
    page.mouse.up()


ANSWERS = {'fit': 'one gradient step', 'relus': 'one gradient step', 'neuron': '1 forward', 'squash': '1 forward',
           'product': 'fresh numbers', 'misfit': 'fresh numbers', 'large': 'fresh numbers'}


def still_answers(page, name):
    "Does the picture do what it is asked, in numbers that are numbers?"
    at = picture(page, name)
    reset = at.get_by_role('button', name='reset')
    if reset.count(): press(at, 'reset')
    if name == 'valley':
        at.get_by_role('slider', name='learning rate').press('End')
        return 'explodes' in at.get_by_role('status').text_content()
    if name == 'rate':
        at.get_by_role('slider').press('Home')
        return 'too small' in at.get_by_role('status').text_content()
    press(at, ANSWERS[name])
    return at.get_by_role('status').text_content() and 'NaN' not in at.inner_html()


def test_a_few_random_moves_leave_all_alive(browser, addresses):
    page, dice = open_static(browser, addresses['light'], len(NAMES)), random.Random(3)
    for name in LIVELY * 4:
        random_move(page, picture(page, name), dice)
    frames(page)
    assert not page.faults and all(still_answers(page, name) for name in LIVELY)
    page.context.close()


@pytest.mark.long
@pytest.mark.parametrize('name', LIVELY)
def test_200_random_moves_leave_it_alive(browser, addresses, name):
    page, dice = open_static(browser, addresses['light'], len(NAMES)), random.Random(name)
    for _ in range(200):
        random_move(page, picture(page, name), dice)
    frames(page)
    assert not page.faults and still_answers(page, name)
    page.context.close()
