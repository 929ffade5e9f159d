"""The picture of a matrix product in real browsers: JupyterLab with its kernel, a page without one,
a page without scripts."""
import json
import re

import pytest
import torch

from coursehelpers.widgets.products import see_product
from tests.browser import (
    box,
    cell,
    in_lab,
    kernel,
    letters_stay,
    module,
    need_browser,
    of,
    open_static,
    press,
    run_cell,
    said,
    slider,
    static_page,
    stays_within,
    wait,
    without_scripts,
)

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

CELLS = ['import json, torch\nfrom coursehelpers.widgets.products import see_product\nA, B = torch.tensor([[2., 0, 1], '
         '[1, 3, 5]]), torch.tensor([[4., 1], [2, 6], [3, 2]])\nw = see_product(A, B)\nw',
         'print(w.at, w.total)', 'e = see_product(torch.ones(2, 3), torch.ones(4, 2))\ne']


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'products', CELLS, (0, 2)) as page:
        yield page


@pytest.fixture
def seen(page):
    "The picture of cell 0, back at its start."
    at = cell(page, 0).locator('.ch')
    press(at, re.compile('play|stop')) if at.get_by_role('button', name='stop').count() else None
    page.wait_for_timeout(150)
    kernel(page, 'w.at = 0; w.a = A; w.b = B')
    wait(lambda: '0 of 12 multiplications done' in said(at))
    return at


def scrub(at): return slider(at, 'multiplications done')
def picture(at): return at.locator('svg')
def numbers(at): return at.locator('svg .cm-n').all_text_contents()
def result(at): return numbers(at)[-4:]


def told(page, at, step):
    "Wait until page and kernel are both at `step`, and say the same."
    wait(lambda: of(page, 'w.at') == step)
    assert said(at) == of(page, 'w.words')


# In JupyterLab

def test_step_and_back_by_button(page, seen):
    press(seen, 'step')
    assert said(seen) == 'Row 0 meets column 0: 2·4 + … = 8 so far' and result(seen) == ['8', '·', '·', '·']
    told(page, seen, 1)
    for _ in range(3):
        press(seen, 'step')
    told(page, seen, 4)
    assert of(page, 'w.cell') == [0, 1] and result(seen)[:2] == [str(int(of(page, '(A @ B)[0, 0].item()'))), '2']
    press(seen, 'back')
    told(page, seen, 3)
    assert 'Done.' in said(seen)


def test_keys_on_the_picture(page, seen):
    picture(seen).focus()
    for key in ('ArrowRight', 'ArrowRight', 'ArrowLeft', 'ArrowDown', 'ArrowDown', 'ArrowUp'):
        page.keyboard.press(key)
    told(page, seen, 3)
    page.keyboard.press('End')
    told(page, seen, 12)
    assert result(seen) == [f'{v:.0f}' for row in of(page, 'A @ B') for v in row] and 'All done' in said(seen)
    page.keyboard.press('ArrowRight')
    told(page, seen, 12)
    page.keyboard.press('Home')
    told(page, seen, 0)
    assert seen.get_by_role('button', name='back').is_disabled()


def test_scrub_by_mouse(page, seen):
    at = scrub(seen)
    at.scroll_into_view_if_needed()
    b = at.bounding_box()
    per_step, y = (b['width'] - 16) / 12, b['y'] + b['height'] / 2
    page.mouse.move(b['x'] + 8, y)
    page.mouse.down()
    page.mouse.move(b['x'] + 8 + 7 * per_step, y, steps=5)
    assert 'Row 1 meets column 0: 1·4' in said(seen), 'the picture follows while the mouse is down'
    page.mouse.up()
    told(page, seen, 7)


def test_scrub_by_keys(page, seen):
    at = scrub(seen)
    at.focus()
    for key in ('ArrowRight', 'ArrowRight', 'ArrowLeft'):
        page.keyboard.press(key)
    told(page, seen, 1)
    assert at.get_attribute('aria-valuetext') == '1 of 12'
    page.keyboard.press('End')
    told(page, seen, 12)


def test_play_runs_and_stops(page, seen):
    press(seen, 'play')
    assert seen.get_by_role('status').get_attribute('aria-live') == 'off', 'no flood of words while it plays'
    wait(lambda: of(page, 'w.at') >= 2)
    press(seen, 'stop')
    page.wait_for_timeout(200)
    stopped = of(page, 'w.at')
    page.wait_for_timeout(400)
    assert of(page, 'w.at') == stopped < 12 and seen.get_by_role('status').get_attribute('aria-live') == 'polite'
    press(seen, 'play')
    told(page, seen, 12)
    assert seen.get_by_role('button', name='play').count() == 1
    picture(seen).focus()
    page.keyboard.press(' ')
    assert seen.get_by_role('button', name='stop').count() == 1, 'from the end it begins anew'
    page.keyboard.press(' ')
    assert seen.get_by_role('button', name='play').count() == 1
    scrub(seen).focus()
    page.keyboard.press(' ')
    assert seen.get_by_role('button', name='stop').count() == 1
    page.keyboard.press('End')
    assert seen.get_by_role('button', name='play').count() == 1, 'a move by hand ends the play'


def test_a_click_on_a_cell(page, seen):
    seen.locator('.cm-hit').nth(6 + 6 + 2).click() # a has six cells, b has six; the third of the result
    told(page, seen, 9)
    seen.locator('.cm-hit').nth(1).click()
    page.keyboard.type('7')
    page.keyboard.press('Enter')
    wait(lambda: of(page, 'w.a') == [[2, 7, 1], [1, 3, 5]])
    press(seen, 'step')
    told(page, seen, 10)


def test_change_a_number_by_keys_alone(page, seen):
    kernel(page, 'w.at = 4')
    wait(lambda: 'column 1' in said(seen))
    seen.get_by_role('combobox', name='number to change').select_option(label='b[0, 1]')
    box(seen, 'its value').fill('-2.5')
    box(seen, 'its value').press('Enter')
    wait(lambda: of(page, 'w.b')[0] == [4, -2.5])
    assert said(seen) == 'Row 0 meets column 1: 2·(−2.5) + … = −5 so far' == of(page, 'w.words')
    box(seen, 'its value').fill('123456')
    box(seen, 'its value').press('Enter')
    assert 'kept −2.5' in said(seen) and of(page, 'w.b')[0] == [4, -2.5]


def test_shapes_by_their_boxes(page, seen):
    kernel(page, 'w.at = 12')
    wait(lambda: 'All done' in said(seen))
    box(seen, 'rows of a').fill('1')
    wait(lambda: of(page, 'w.a') == [[2, 0, 1]] and of(page, 'w.at') == 6)
    box(seen, 'columns of b').fill('4')
    wait(lambda: of(page, 'list(w.b.shape)') == [3, 4])
    assert [row[:2] for row in of(page, 'w.b')] == [[4, 1], [2, 6], [3, 2]], 'the numbers that were there stay'
    for bad in ('9', '0', '2.5'):
        box(seen, 'rows of a').fill(bad)
        box(seen, 'rows of a').press('Enter')
        assert 'whole number from 1 to 8: kept 1' in said(seen) and box(seen, 'rows of a').input_value() == '1'
    box(seen, 'columns of a').fill('8')
    assert 'a row of a has 8, a column of b 3' in said(seen)
    box(seen, 'rows of b').fill('8')
    wait(lambda: of(page, 'w.fits') and of(page, 'w.steps') == 32)
    picture(seen).focus()
    page.keyboard.press('End')
    told(page, seen, 32)
    before = of(page, 'w.a')
    press(seen, 'fresh numbers')
    wait(lambda: of(page, 'w.a') != before)
    assert all(v == int(v) and 0 <= v <= 9 for row in of(page, 'w.a') for v in row)


def test_shape_errors_are_visible_and_can_be_mended(page):
    at = cell(page, 2).locator('.ch')
    assert '(2, 3) @ (4, 2) does not fit' in said(at) and 'a row of a has 3, a column of b 4' in said(at)
    assert at.locator('.cm-left').count() == 1 and at.locator('.cm-left').is_visible()
    assert at.get_by_text('no a @ b').is_visible()
    assert at.get_by_role('button', name='step').is_disabled() and scrub(at).is_disabled()
    b = at.locator('.cm-left').bounding_box()
    row = at.locator('.cm-hit').nth(6 + 3 * 2).bounding_box()
    assert abs(b['x'] - row['x']) < 2 and abs(b['y'] - row['y']) < 2, 'the last number of the first column of b'
    box(at, 'rows of b').fill('3')
    wait(lambda: of(page, 'e.fits'))
    press(at, 'step')
    wait(lambda: of(page, 'e.at') == 1)
    assert at.locator('.cm-left').count() == 0
    kernel(page, 'e.at = 0; e.b = torch.ones(2, 5)')
    wait(lambda: at.locator('.cm-left').count() == 1 and 'a column of b 2' in said(at))
    kernel(page, 'e.b = torch.ones(4, 2)')


def test_python_moves_it(page, seen):
    kernel(page, 'w.at = 8')
    wait(lambda: said(seen) == of(page, 'w.words'))
    kernel(page, 'w.a = [[5.], [6.]]; w.b = [[2.]]; w.at = 2')
    wait(lambda: said(seen) == 'Row 1 meets column 0: 6·2 = 12. All done.')
    assert numbers(seen) == ['5', '6', '2', '10', '12']
    assert picture(seen).get_attribute('aria-label') == of(page, 'w.alt()')


def test_a_cell_prints_what_was_stepped(page, seen):
    for _ in range(2):
        press(seen, 'step')
    told(page, seen, 2)
    out = run_cell(page, 1)
    assert out.locator('.jp-OutputArea-output').text_content().split() == ['2', '8.0']


def test_letters_stay_in_the_picture(page, seen):
    letters_stay(page, [picture(seen), scrub(seen), box(seen, 'rows of a'), seen.get_by_role('button', name='step'),
                        seen.get_by_role('combobox', name='number to change')])


# The maths of the page against Python

def test_page_says_what_python_says(plain):  # noqa: F811
    torch.manual_seed(0)
    for n, k, m in ((1, 1, 1), (2, 3, 4), (8, 8, 8), (5, 2, 1)):
        a, b = torch.randint(-99, 100, (n, k)) / 2, torch.randint(-99, 100, (k, m)).float()
        w = see_product(a, b)
        rounds = sorted({*torch.randint(0, w.steps + 1, (12,)).tolist(), 0, w.steps})
        got = module(plain, w,
                     f'(([a, b]) => {json.dumps(rounds)}.map(at => [m.tell(a, b, at), m.sofar(a, b, '
                     f'at)]))({json.dumps([a.tolist(), b.tolist()])})')
        for at, (told, sums) in zip(rounds, got):
            w.at = at
            assert told == w.words
            assert torch.equal(torch.tensor([[float('nan') if v is None else v for v in row] for row in sums],
                                            dtype=torch.float64).nan_to_num(1e9), w.product.nan_to_num(1e9))
    for shapes in (((2, 3), (4, 2)), ((1, 5), (3, 1)), ((1, 1), (2, 1))):
        w = see_product(*map(torch.ones, shapes))
        assert module(plain, w, f'm.tell({json.dumps(w.a.tolist())}, {json.dumps(w.b.tolist())}, 0)') == w.words


# Without a kernel, without scripts

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    """A page made by nbconvert from a notebook with stored outputs:
    one picture twice, and one of shapes that do not fit."""
    w = see_product(torch.tensor([[2., 0, 1], [1, 3, 5]]), torch.tensor([[4., 1], [2, 6], [3, 2]]), at=2)
    return static_page(tmp_path_factory.mktemp('static'), w, w, see_product(torch.ones(8, 8), torch.ones(5, 8)))


def test_static_page_is_alive(browser, static):
    page = open_static(browser, static, 3)
    first, twin, misfit = (page.locator('.ch').nth(i) for i in range(3))
    was = said(twin)
    press(first, 'step')
    assert said(first) == 'Row 0 meets column 0: 2·4 + 0·2 + 1·3 = 11. Done.'
    assert said(twin) == was, 'two pictures on a page do not touch each other'
    scrub(twin).press('End')
    assert 'All done' in said(twin)
    assert 'a row of a has 8, a column of b 5' in said(misfit) and misfit.locator('.cm-left').count() == 3
    assert page.locator('.ch-out img').count() == 0 and not page.faults


def test_without_scripts_the_png_and_its_words(browser, static):
    expected = '= 8 so far', '= 8 so far', 'does not fit'
    for words, part in zip(without_scripts(browser, static, 3), expected, strict=True):
        assert part in words


@pytest.mark.parametrize('width', [360, 700])
def test_narrow_pages_do_not_overflow(browser, static, width):
    page = open_static(browser, static, 3, width=width)
    assert stays_within(page)


def test_no_motion_where_none_is_wanted(browser, static):
    page = open_static(browser, static, 3, reduced_motion='reduce')
    at = page.locator('.ch').first
    press(at, 'play')
    assert 'All done' in said(at) and at.get_by_role('button', name='play').count() == 1
    assert not page.faults
