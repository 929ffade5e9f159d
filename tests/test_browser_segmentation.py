"""Masks under a slider in real browsers: by mouse and keyboard in JupyterLab, on a page without a kernel, without
scripts; and a photograph of one's own, cut out."""
import io
import json

import pytest
import torch
from PIL import Image

from coursehelpers.widgets.masks import mask_slider
from tests.browser import (
    cell,
    in_lab,
    kernel,
    need_browser,
    open_static,
    static_page,
    stays_within,
    wait,
    without_scripts,
)

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

MASKS = '''import torch
from coursehelpers.widgets.masks import mask_slider
x = torch.full((2, 3, 60, 80), 120, dtype=torch.uint8)
people = torch.zeros(2, 60, 80, dtype=torch.uint8)
people[0, 10:50, 20:60] = 1
people[1, 30:, :] = 2
people[1, 29] = 255
w = mask_slider(x, {'by people': people, 'by the net': people.roll(4, 1)}, ['rest', 'cat', 'dog'], ['one', 'two'])
w'''
CUTOUT = '''from PIL import Image
from coursehelpers.widgets.photo import your_cutout
class Left:
    "Says pet of the left half of everything."
    dls = type('Dls', (), dict(vocab=['rest', 'pet']))()
    def predict(self, file):
        w, h = Image.open(file).size
        said = torch.zeros(h, w, dtype=torch.uint8)
        said[:, :w // 2] = 1
        return said
    def cutout(self, file):
        im = Image.open(file).convert('RGB')
        im.putalpha(Image.fromarray(255 * self.predict(file).numpy()))
        return im
c = your_cutout(Left())
c'''


@pytest.fixture(scope='module')
def page(browser):
    with in_lab(browser, 'masks', [MASKS, CUTOUT], [0, 1]) as page:
        yield page


@pytest.fixture
def at(page):
    return cell(page, 0).locator('.ch')


def state(page): return json.loads(kernel(page, 'import json; print(json.dumps([w.cut, w.place, w.layer]))'))


def test_by_keyboard(page, at):
    slider = at.locator('input[type=range]')
    slider.focus()
    before = state(page)[0]
    for _ in range(3):
        page.keyboard.press('ArrowRight')
    wait(lambda: state(page)[0] == before + 3)
    page.keyboard.press('Home')
    wait(lambda: state(page)[0] == 0)
    assert 'inset(0px 100% 0px 0px)' in at.locator('.cm-top').evaluate('e => getComputedStyle(e).clipPath')
    assert slider.get_attribute('aria-valuetext') == '0 percent mask'


def test_by_pointer_on_the_picture(page, at):
    box = at.locator('.cm-stage').bounding_box()
    page.mouse.move(box['x'] + box['width'] * .2, box['y'] + 20)
    page.mouse.down()
    page.mouse.move(box['x'] + box['width'] * .75, box['y'] + 25, steps=4)
    page.mouse.up()
    wait(lambda: 70 <= state(page)[0] <= 80)
    assert at.locator('input[type=range]').input_value() == str(int(state(page)[0]))


def test_another_picture_and_another_mask_are_said(page, at):
    at.get_by_label('picture', exact=True).select_option('two')
    at.get_by_label('mask', exact=True).select_option('by the net')
    wait(lambda: state(page)[1:] == [1, 1])
    assert 'dog' in at.get_by_role('status').text_content()
    assert at.locator('.cm-stage').get_attribute('aria-label').startswith('two, mask by the net: rest')
    assert at.locator('.cm-names').text_content() == 'catdognot judged'


def test_python_moves_it(page, at):
    kernel(page, 'w.cut, w.place, w.layer = 25, 0, 0')
    wait(lambda: at.locator('input[type=range]').input_value() == '25')
    assert at.locator('.cm-stage').get_attribute('aria-label').startswith('one, mask by people')
    assert stays_within(page)


def test_a_photograph_is_cut_out(page):
    out, box = io.BytesIO(), cell(page, 1).locator('.ch')
    Image.new('RGB', (300, 200), 'teal').save(out, 'JPEG')
    box.locator('input[type=file]').set_input_files(
        [dict(name='mine.jpg', mimeType='image/jpeg', buffer=out.getvalue())])
    wait(lambda: 'pet on 50 % of the pixels' in box.get_by_role('status').text_content(), seconds=60)
    assert box.locator('.cp-photo').get_attribute('src').startswith('data:image/png')
    assert json.loads(kernel(page, 'print(list(c.image.size))')) == [300, 200]


def static():
    x = torch.full((1, 3, 60, 80), 120, dtype=torch.uint8)
    mask = torch.zeros(1, 60, 80, dtype=torch.uint8)
    mask[:, 10:50, 20:60] = 1
    return mask_slider(x, {'by people': mask}, ['rest', 'cat'], ['one'])


def test_without_a_kernel(browser, tmp_path):
    page = open_static(browser, static_page(tmp_path, static()), 1)
    slider = page.locator('.ch input[type=range]')
    slider.focus()
    page.keyboard.press('End')
    assert slider.input_value() == '100'
    assert page.locator('.cm-stage').get_attribute('aria-label') == 'one, mask by people: rest 67%, cat 33%'
    assert stays_within(page)


def test_without_scripts(browser, tmp_path):
    words, = without_scripts(browser, static_page(tmp_path, static()), 1)
    assert words == 'one and a mask on 50 % of its width, by people: rest 67%, cat 33%.'
