"The pictures in real browsers: JupyterLab with its kernel, a page without one, a page without scripts."
import json
import re

import pytest
import torch

from coursehelpers.curves import mae, mk_quad, mse, noisy, quad, sum_of_relus
from coursehelpers.widgets.fit import build_relus, fit_by_hand, lr_explorer
from tests.browser import (
    cell,
    in_lab,
    kernel,
    letters_stay,
    module,
    need_browser,
    number,
    of,
    open_static,
    press,
    run_cell,
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

CELLS = ['import json, torch\nfrom coursehelpers.curves import mae, mk_quad, mse, noisy, quad, sum_of_relus\n'
         'from coursehelpers.widgets.fit import build_relus, fit_by_hand, lr_explorer\nx, y = noisy(mk_quad(3., 2., '
         '1.))\nw = fit_by_hand(quad, x, y)\nw',
         'print(w.params)', 'r = build_relus(x, y, n=2)\nr', 'e = lr_explorer(quad, x, y)\ne',
         'from coursehelpers.plots import figure, show\nfig, ax = figure(5, 3)\nshow(fig, "Nothing yet.")']


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'fits', CELLS, (0, 2, 3, 4)) as page:
        yield page


def reset(page, i, code):
    "Run `code` in the kernel, press reset in cell i, and give its picture."
    kernel(page, code)
    at = cell(page, i).locator('.ch')
    at.get_by_role('button', name='reset').click()
    return at


@pytest.fixture
def fit(page):
    "The picture of cell 0, back at its start."
    at = reset(page, 0, 'w.lr = .05')
    wait(lambda: of(page, 'w.params') == [1, 1, 1] and moves(at) == 0)
    return at


@pytest.fixture
def relus(page):
    "The picture of cell 2, back at its start."
    at = reset(page, 2, 'r.lr = .01')
    wait(lambda: of(page,
                    "r.params.shape == (2, 2) and torch.allclose(r.params, torch.tensor(r.data['start']['params']))"))
    return at


def curve(at): return at.locator('.ch-curve').first.get_attribute('d')
def moves(at): return int(score(at, 3))
def steps(at): return int(score(at, 4))


def drag(page, locator, dx, dy=0):
    "Drag the middle of an element with the mouse, in pixels."
    locator.scroll_into_view_if_needed()
    b = locator.bounding_box()
    x, y = b['x'] + b['width']/2, b['y'] + b['height']/2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx/2, y + dy/2)
    page.mouse.move(x + dx, y + dy)
    page.mouse.up()


# In JupyterLab

def test_slider_by_mouse_moves_curve_and_kernel(page, fit):
    before, at = curve(fit), slider(fit, 'b')
    at.scroll_into_view_if_needed()
    b = at.bounding_box()
    x0, y0, per_unit = b['x'] + 8 + (b['width'] - 16)*.6, b['y'] + b['height']/2, (b['width'] - 16)/10
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x0 + per_unit, y0, steps=4)
    assert curve(fit) != before, 'the picture follows while the mouse is down'
    page.mouse.up()
    wait(lambda: moves(fit) == 1 and of(page, 'w.params') != [1, 1, 1])
    a, b, c = of(page, 'w.params')
    assert (a, c) == (1, 1) and 1.8 <= b <= 2.2
    assert number(fit, 'b').input_value() == f'{b:.4g}'


def test_arrow_keys_reach_the_kernel_as_one_settled_move(page, fit):
    before = curve(fit)
    for _ in range(5):
        slider(fit, 'a').press('ArrowRight')
    for _ in range(2):
        slider(fit, 'a').press('ArrowUp')
    assert curve(fit) != before
    wait(lambda: moves(fit) == 1)
    wait(lambda: of(page, 'w.params')[0] == pytest.approx(1.7))
    assert score(fit) == f"{of(page, 'mse(quad(*w.params, x), y)'):#.4g}"
    assert score(fit, 1) == f"{of(page, 'mae(quad(*w.params, x), y)'):#.4g}"
    assert re.match(r'MSE .* after 1 move\.', said(fit))


def test_a_cell_prints_what_the_slider_set(page, fit):
    slider(fit, 'c').press('ArrowLeft')
    wait(lambda: moves(fit) == 1)
    out = run_cell(page, 1)
    assert '0.9' in out.locator('.jp-OutputArea-output').text_content()


def test_number_box(page, fit):
    number(fit, 'a').fill('2.345')
    number(fit, 'a').press('Enter')
    wait(lambda: of(page, 'w.params')[0] == pytest.approx(2.345))
    number(fit, 'a').fill('12')
    number(fit, 'a').press('Enter')
    assert slider(fit, 'a').input_value() == '5'
    assert number(fit, 'a').input_value() == '12', 'the slider stops, the box tells'


@pytest.mark.parametrize('typed', ['', '1e999', '-', '1e7'])
def test_bad_numbers_are_refused_in_words(page, fit, typed):
    box = number(fit, 'b')
    box.focus()
    page.keyboard.press('Control+a')
    page.keyboard.press('Delete')
    page.keyboard.type(typed)
    box.press('Enter')
    page.keyboard.press('Tab')
    assert box.input_value() == '1'
    wait(lambda: 'kept 1' in said(fit) or typed == '')
    assert of(page, 'w.params') == [1, 1, 1]


def test_letters_stay_in_the_picture(page, fit, relus):
    letters_stay(page, [number(fit, 'a'), slider(fit, 'a'), fit.locator('select'),
                        fit.get_by_role('button', name='reset'), relus.locator('.ch-grip').first])
    number(fit, 'a').fill('1')


def test_gradient_step_is_python_s(page, fit):
    kernel(page,
           'p = w.params.requires_grad_(); loss = mse(quad(*p, x), y); loss.backward(); want = (p - '
           'w.lr*p.grad).detach()')
    press(fit, 'one gradient step')
    wait(lambda: steps(fit) == 1)
    wait(lambda: of(page, 'w.params') == pytest.approx(of(page, 'want'), rel=1e-6))


def test_descend_reaches_least_squares_and_stops_when_asked(page, fit):
    press(fit, 'descend')
    press(fit, 'stop')
    wait(lambda: steps(fit) > 0)
    early = of(page, 'w.mse')
    press(fit, 'descend')
    wait(lambda: fit.get_by_role('button', name='descend').count() == 1, 15)
    wait(lambda: of(page, 'w.mse') < early)
    floor = of(page, "w.data['floor']")
    wait(lambda: of(page, 'w.mse') == pytest.approx(floor, rel=1e-5))
    assert score(fit, 2) == score(fit)


def test_too_large_a_rate_is_told_and_nothing_breaks(page, fit):
    box = fit.get_by_role('spinbutton', name='learning rate')
    box.fill('1.5')
    box.press('Enter')
    press(fit, 'one gradient step')
    assert 'went up' in said(fit)
    press(fit, 'descend')
    wait(lambda: 'exploded' in said(fit))
    assert all(abs(v) < 1e12 for v in of(page, 'w.params'))
    press(fit, 'reset')
    wait(lambda: of(page, 'w.params') == [1, 1, 1])


def test_surface_moves_two_parameters(page, fit):
    fit.locator('select').select_option(label='a, c')
    surface = fit.locator('.ch-pick')
    drag(page, surface, 40, -30)
    wait(lambda: moves(fit) == 1 and of(page, 'w.params') != [1, 1, 1])
    a, b, c = of(page, 'w.params')
    assert b == 1 and (a, c) != (1, 1)
    spot = fit.locator('.ch-here').bounding_box()
    box = surface.bounding_box()
    assert abs(spot['x'] + spot['width']/2 - (box['x'] + box['width']/2 + 40)) < 6, 'the mark is where the mouse let go'
    fit.locator('select').select_option(label='a, b')


def test_best_and_python_s_own_moves(page, fit):
    kernel(page, 'w.params = [3., 2., 1.]')
    wait(lambda: number(fit, 'a').input_value() == '3')
    good = score(fit)
    kernel(page, 'w.params = [-4., 0., 0.]')
    wait(lambda: score(fit) != good and score(fit, 2) == good and score(fit, 3) == '2')
    press(fit, 'back to best')
    wait(lambda: of(page, 'w.params') == [3, 2, 1])


@pytest.mark.parametrize('key, end', [('Home', -5), ('End', 5)])
def test_sliders_at_their_ends(page, fit, key, end):
    for name in 'abc':
        slider(fit, name).press(key)
    wait(lambda: of(page, 'w.params') == [end] * 3)
    assert of(page, 'w.mse') == pytest.approx(of(page, 'mse(quad(*w.params, x), y)'), rel=1e-5)


def test_corner_by_mouse(page, relus):
    before, start = curve(relus), of(page, 'r.params')
    drag(page, relus.locator('.ch-grip').nth(1), 60, 25)
    assert curve(relus) != before
    wait(lambda: of(page, 'r.params')[1][1] > start[1][1] + .1)
    height = kernel(page, 'print(sum_of_relus(r.params, r.bias, r.params[:1, 1]).item())')
    assert float(height) == pytest.approx(of(page, 'r.bias'), abs=1e-5), 'the first corner stays'
    assert of(page, 'r.mse') == pytest.approx(of(page, 'mse(sum_of_relus(r.params, r.bias, x), y)'), rel=1e-4)


def test_corner_by_keys(page, relus):
    (w0, k0), step = of(page, 'r.params')[1], of(page, "r.data['step']")
    grip = relus.locator('.ch-grip').nth(1)
    for key in ('ArrowRight', 'ArrowRight', 'ArrowDown'):
        grip.press(key)
    wait(lambda: of(page, 'r.params')[1] == pytest.approx([w0 - step[0], k0 + 2*step[1]], abs=1e-4))


def test_add_remove_descend(page, relus):
    page.wait_for_timeout(600) # a word about the keys of the test before comes when they have rested
    start = curve(relus)
    press(relus, 'add a ReLU')
    wait(lambda: of(page, 'len(r.params)') == 3)
    ws, ks = zip(*of(page, 'r.params'))
    assert list(ks) == sorted(ks), 'corners are numbered from left to right'
    assert f'Corner {ws.index(0) + 1} is new' in said(relus)
    for _ in range(20):
        relus.get_by_role('button', name='add a ReLU').click(force=True)
    wait(lambda: of(page, 'len(r.params)') == 20)
    before = of(page, 'r.mse')
    press(relus, 'one gradient step')
    wait(lambda: score(relus, 2) == '1')
    press(relus, 'descend')
    assert said(relus) == 'Descending …' # no score of an earlier place
    wait(lambda: of(page, 'r.mse') < before/2)
    press(relus, 'stop')
    press(relus, 'reset')
    wait(lambda: curve(relus) == start)


def test_tail_changes_the_last_slope(page, relus):
    before = of(page, 'r.params')
    drag(page, relus.locator('.ch-tail'), 0, 60)
    wait(lambda: of(page, 'r.params')[1][0] < before[1][0])
    assert of(page, 'r.params')[0] == pytest.approx(before[0])


def test_learning_rate_slider(page):
    at = cell(page, 3).locator('.ch')
    words = at.get_by_role('status')
    valleys = set()
    for key, says in (('Home', 'too small'), ('End', 'too large')):
        slider(at, 'learning rate').press(key)
        wait(lambda says=says: says in words.text_content())
        valleys.add(tuple(at.locator('.ch-ring').evaluate_all('rings => rings.map(r => r.getAttribute("rx"))')))
    assert len(valleys) == 1, 'the valley moves, or is lost, when the steps explode'
    box = number(at, 'learning rate')
    box.fill('0.1')
    box.press('Enter')
    assert 'about right' in words.text_content()
    wait(lambda: of(page, 'e.lr') == pytest.approx(.1) and len(of(page, 'e.walk[1]')) == 41)
    last = f"{of(page, 'e.walk[1][-1]'):#.4g}"
    assert f'to {last}.' in words.text_content()


def test_figures_are_sharp_on_a_sharp_screen(page):
    shown = cell(page, 4).locator('.jp-RenderedImage img').evaluate('e => [e.naturalWidth, e.naturalHeight, e.width, '
                                                                    'e.height]')
    assert shown == [900, 540, 450, 270]


# The maths of the page against exported Python and autograd

def cubic(a, b, c, d, x): return a*x**3 + b*x**2 + c*x + d
def waves(p, q, x): return p*torch.sin(x) + q*torch.sin(2*x) + 3


@pytest.mark.parametrize('f, n', [(quad, 3), (cubic, 4), (waves, 2)])
def test_page_s_losses_and_gradient(plain, f, n):
    x, y = (v.double() for v in noisy(mk_quad(3., 2., 1.)))
    w = fit_by_hand(f, x, y)
    rows = (torch.randn(8, n, dtype=torch.float64)*3).requires_grad_()
    ours = module(plain, w,
                  f'{json.dumps(rows.tolist())}.map(w => '
                  f'{{ const l = m.linear({json.dumps(w.data)}); return [l.mse(w), l.mae(w), l.grad(w)] }})')
    for row, (got_mse, got_mae, got_grad) in zip(rows, ours, strict=True):
        preds, target = f(*row, x), y
        loss = mse(preds, target)
        grad = torch.autograd.grad(loss, row)[0].tolist()
        assert got_mse == pytest.approx(loss.item(), rel=1e-9)
        assert got_mae == pytest.approx(mae(preds, target).item(), rel=1e-9)
        assert got_grad == pytest.approx(grad, rel=1e-9, abs=1e-9*max(map(abs, grad)))


def test_page_s_relus_and_gradient(plain):
    w = build_relus(*noisy(mk_quad(3., 2., 1.)))
    x, y = (torch.tensor(w.data[name], dtype=torch.float64) for name in 'xy')
    params, bias = torch.randn(6, 2, dtype=torch.float64,
                               requires_grad=True), torch.randn((), dtype=torch.float64, requires_grad=True)
    loss = mse(sum_of_relus(params, bias, x), y)
    loss.backward()
    call = f'(r => [r.mse(...p), r.grad(...p)])(m.relus({x.tolist()}, {y.tolist()}))'.replace('...p',
                                                                                              f'{params.tolist()}, '
                                                                                              f'{bias.item()}')
    got, grad = module(plain, w, call)
    assert got == pytest.approx(loss.item(), rel=1e-9) and grad['bias'] == pytest.approx(bias.grad.item(), rel=1e-9)
    assert torch.allclose(torch.tensor(grad['params'], dtype=torch.float64), params.grad, rtol=1e-9, atol=1e-12)


def test_bending_keeps_the_other_corners(plain):
    params, bias, x = torch.tensor([[1., 0.], [-2., 1.], [3., 2.]],
                                   dtype=torch.float64), 1., torch.tensor([-1., 0., 2., 3.], dtype=torch.float64)
    for i, k, h in ((1, 1.5, 4.), (0, -.5, 2.), (2, 2.5, -3.)):
        out = module(plain, build_relus(x, x), f'm.bend({params.tolist()}, {bias}, {i}, {k}, {h}, 0.01)')
        new, b = torch.tensor(out['params'], dtype=torch.float64), out['bias']
        others = params[[j for j in range(3) if j != i], 1]
        assert torch.allclose(sum_of_relus(new, b, others), sum_of_relus(params, bias, others))
        assert sum_of_relus(new, b, torch.tensor([k], dtype=torch.float64)).item() == pytest.approx(h)
        assert new[:, 0].sum().item() == pytest.approx(params[:, 0].sum().item()), 'the slope at the right end stays'


# Without a kernel, without scripts

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    "A page made by nbconvert from a notebook with stored outputs: two of the same picture and two others."
    x, y = noisy(mk_quad(3., 2., 1.))
    w = fit_by_hand(quad, x, y)
    pictures = [w, w, build_relus(x, y, n=3), lr_explorer(quad, x, y)]
    return static_page(tmp_path_factory.mktemp('static'), *pictures)


def test_static_page_is_alive(browser, static):
    page = open_static(browser, static, 4)
    first, twin, relus, rates = (page.locator('.ch').nth(i) for i in range(4))
    before = curve(first)
    slider(first, 'a').press('ArrowRight')
    assert curve(first) != before and curve(twin) == before, 'two pictures on a page do not touch each other'
    press(twin, 'descend')
    wait(lambda: float(score(twin)) < 3)
    before = curve(relus)
    relus.locator('.ch-grip').first.press('ArrowDown')
    assert curve(relus) != before
    slider(rates, 'learning rate').press('End')
    assert 'too large' in said(rates)
    assert page.locator('.ch-out img').count() == 0 and not page.faults


def test_without_scripts_the_png_and_its_words(browser, static):
    assert all(len(words) > 30 for words in without_scripts(browser, static, 4))


@pytest.mark.parametrize('width', [360, 700])
def test_narrow_pages_do_not_overflow(browser, static, width):
    page = open_static(browser, static, 4, width=width)
    assert stays_within(page)


def test_no_motion_where_none_is_wanted(browser, static):
    page = open_static(browser, static, 4, reduced_motion='reduce')
    at = page.locator('.ch').first
    press(at, 'descend')
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    assert float(score(at)) < 3 and at.get_by_role('button', name='descend').count() == 1
    assert not page.faults
