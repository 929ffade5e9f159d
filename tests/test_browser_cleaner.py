"""The cleaner in real browsers: by mouse and by keys in JupyterLab, alive without a kernel, a PNG without scripts;
and no picture is ever touched."""
import hashlib
import json
import re

import numpy as np
import pytest
from PIL import Image
from torch import nn

from coursehelpers.data import loaders
from coursehelpers.images.folders import folder
from coursehelpers.learner import Learner
from coursehelpers.widgets.cleaner import Cleaner
from tests.browser import cell, in_lab, kernel, need_browser, new_page, run_cell, said, shared_lab, static_page, wait

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

LABELS = ['birman', 'great pyrenees', 'great dane', 'pug', 'Ärmelhund']
CODE = '''import torch
from coursehelpers.data import loaders
from coursehelpers.images.folders import folder
from coursehelpers.widgets.cleaner import Cleaner, cleaned
p = folder('set')
class Guess:
    dls = loaders(p, 96, 8, 'cpu')
    def get_preds(self, batches):
        y = torch.cat([yb for _, yb in batches])
        return torch.eye(5)[y.roll(1)] * 3, y
w = Cleaner(Guess(), k=15)
w'''


def make_set(home):
    "Five labels of twenty pictures."
    g = np.random.default_rng(0)
    for label in LABELS:
        (home/label).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(g.integers(0, 255, (6, 9 - i % 5, 3),
                                       'uint8')).resize((180, 90 + 20 * (i % 5))).save(home/label/f'photo {i:02}.jpg')
    return home


def seals(home):
    "The name, bytes, and date of every picture."
    return {str(f): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime_ns) for f in home.rglob('*.jpg')}


@pytest.fixture(scope='module')
def page(browser):
    "The open notebook with the cleaner in its first cell; afterwards every picture is as it was."
    home = shared_lab()[1]/'cleaner'
    make_set(home/'set')
    before = seals(home/'set')
    with in_lab(browser, 'cleaner', [CODE, 'cleaned(p)'], [0]) as page:
        page.home = home
        yield page
    assert seals(home/'set') == before, 'a picture was touched'


@pytest.fixture
def at(page):
    "The cleaner, nothing chosen."
    kernel(page, 'w.choices = {}')
    at = cell(page, 0).locator('.ch')
    wait(lambda: at.locator('.cc-card.changed, .cc-card.aside').count() == 0 and not table(page))
    return at


def table(page):
    "The corrections on the disk: {file: (was, now)}."
    file = page.home/'set'/'cleaning.csv'
    lines = [line.split(',') for line in file.read_text().splitlines()[1:]] if file.exists() else []
    return {name: (was, now) for name, was, now, _ in lines}


def card(at, i): return at.locator('.cc-card').nth(i)
def item(page, i): return json.loads(kernel(page, f"import json; print(json.dumps(w.data['items'][{i}]))"))
def focused(page):
    return page.evaluate("() => document.activeElement.getAttribute('aria-label') || document.activeElement.className")


def test_relabelled_by_mouse(page, at):
    it = item(page, 1)
    other = next(label for label in LABELS if label != it['label'])
    card(at, 1).locator('select').select_option(other)
    wait(lambda: table(page) == {it['name']: (it['label'], other)})
    assert other in card(at, 1).locator('.cc-mark').text_content()
    assert f'now {other}' in card(at, 1).get_attribute('aria-label')
    wait(lambda: 'Written to cleaning.csv' in said(at))
    out = run_cell(page, 1)
    told = out.locator('.jp-OutputArea-output').first.text_content()
    assert '1 relabelled and 0 set aside, as cleaning.csv says' in told


def test_set_aside_by_mouse_and_taken_back(page, at):
    it, button = item(page, 2), card(at, 2).get_by_role('button')
    button.click()
    wait(lambda: table(page) == {it['name']: (it['label'], '')})
    assert button.get_attribute('aria-pressed') == 'true'
    assert card(at, 2).locator('.cc-mark').text_content() == '✕ set aside'
    button.click()
    wait(lambda: table(page) == {})


def test_keys_move_set_aside_undo(page, at):
    card(at, 0).locator('.cc-picture').click()
    for key in ('ArrowRight', 'ArrowRight', 'ArrowLeft'):
        page.keyboard.press(key)
    assert focused(page).startswith(f'2 of 15: {item(page, 1)["name"]}')
    page.keyboard.press('ArrowDown')
    columns = at.evaluate("e => getComputedStyle(e.querySelector('.cc-grid')).gridTemplateColumns.split(' ').length")
    assert focused(page).startswith(f'{2 + columns} of 15')
    page.keyboard.press('ArrowUp')
    page.keyboard.press('Delete')
    one, two = item(page, 1), item(page, 2)
    wait(lambda: table(page) == {one['name']: (one['label'], '')})
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Delete')
    wait(lambda: len(table(page)) == 2)
    page.keyboard.press('Enter')
    wait(lambda: two['name'] not in table(page))
    for _ in range(2):
        page.keyboard.press('Control+z')
    wait(lambda: two['name'] in table(page) or len(table(page)) == 1)
    page.keyboard.press('Control+z')
    wait(lambda: table(page) == {})
    assert focused(page).startswith('2 of 15')


def test_letters_spell_a_label_and_insert_no_cell(page, at):
    cells = page.locator('.jp-Notebook .jp-Cell').count()
    page.evaluate('() => window.jupyterapp.shell.currentWidget.content.mode = "command"')
    at.locator('.cc-grid').scroll_into_view_if_needed()
    i = next(i for i in range(12) if item(page, i)['label'] not in ('birman', 'Ärmelhund'))
    card(at, i).locator('.cc-picture').click()
    it = item(page, i)
    page.keyboard.type('b') # in JupyterLab: a new cell below
    wait(lambda: table(page) == {it['name']: (it['label'], 'birman')})
    page.keyboard.type('a') # and above
    wait(lambda: table(page) == {it['name']: (it['label'], 'Ärmelhund')})
    page.keyboard.type('great d')
    wait(lambda: it['label'] == 'great dane' or table(page) == {it['name']: (it['label'], 'great dane')})

    def refused():
        page.keyboard.type('dd') # would delete the cell
        return 'No label begins with' in said(at)

    wait(refused) # the answer to the label before may still come in
    page.keyboard.type('g') # two of them: the first after a while
    assert 'g…' in card(at, i).locator('.cc-hint').text_content()
    page.keyboard.press('Escape')
    assert card(at, i).locator('.cc-hint').text_content() == ''
    page.keyboard.type('mxz')
    assert page.locator('.jp-Notebook .jp-Cell').count() == cells
    assert page.evaluate("() => [...window.jupyterapp.shell.currentWidget.content.widgets].every(c => c.model.type === "
                         "'code')")


def test_letters_in_the_list_of_labels_insert_no_cell(page, at):
    cells = page.locator('.jp-Notebook .jp-Cell').count()
    card(at, 3).locator('select').focus()
    for key in 'abdd':
        page.keyboard.press(key)
    assert page.locator('.jp-Notebook .jp-Cell').count() == cells


def test_an_ambiguous_start_is_settled_by_waiting(page, at):
    i = next(i for i in range(12) if not item(page, i)['label'].startswith('great'))
    it = item(page, i)
    card(at, i).locator('.cc-picture').click()
    page.keyboard.type('g')
    wait(lambda: table(page) == {it['name']: (it['label'], 'great dane')})


def test_the_last_one_is_a_key_away(page, at):
    card(at, 0).locator('.cc-picture').click()
    page.keyboard.press('End')
    assert focused(page).startswith('15 of 15')
    page.keyboard.press('Delete')
    last = item(page, 14)
    wait(lambda: table(page) == {last['name']: (last['label'], '')})
    page.keyboard.press('Home')
    page.keyboard.press('Control+z')
    wait(lambda: table(page) == {} and focused(page).startswith('15 of 15'))


def test_what_python_chooses_is_seen(page, at):
    it = item(page, 0)
    card(at, 0).locator('select').select_option(next(label for label in LABELS if label != it['label']))
    wait(lambda: len(table(page)) == 1)
    assert at.get_by_role('button', name='undo').is_enabled()
    kernel(page, f"w.choices = {{'{it['row']}': ''}}")
    wait(lambda: 'set aside' in card(at,
                                     0).get_attribute('aria-label') and table(page) == {it['name']: (it['label'], '')})
    assert at.get_by_role('button', name='undo').is_disabled(), 'undo is for the choices made on the page'


def test_one_picture_is_reached_by_the_tab_key(page, at):
    stops = at.locator('.cc-card[tabindex="0"], .cc-card select[tabindex="0"], .cc-card button[tabindex="0"]')
    assert stops.count() == 3
    card(at, 4).locator('.cc-picture').click()
    page.keyboard.press('Tab')
    assert focused(page) == f'label of {item(page, 4)["name"]}'
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != 'none'


# Without a kernel

@pytest.fixture(scope='module')
def static(tmp_path_factory):
    home = tmp_path_factory.mktemp('still')
    net = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 5))
    w = Cleaner(Learner(net, loaders(folder(make_set(home/'set')), 96, 8, 'cpu'), lr=.1), k=20)
    one, two, *_ = [item for item in w.data['items'] if item['label'] != 'pug']
    w.choices = {str(one['row']): 'pug', str(two['row']): ''}
    return static_page(home, w)


@pytest.mark.parametrize('width', [360, 590, 1180]) # 590: a laptop at 200 %
def test_a_still_page_shows_pictures_and_says_that_it_keeps_nothing(browser, static, width):
    page = new_page(browser, width=width)
    page.goto(static)
    wait(lambda: page.locator('.cc-card img').count() == 20)
    at = page.locator('.ch')
    assert 'run the cell' in said(at) and at.locator('select:enabled').count() == 0
    assert at.locator('.cc-card.changed').count() == 1 and at.locator('.cc-card.aside').count() == 1
    card(at, 0).locator('.cc-picture').click()
    for key in ('ArrowRight', 'Delete', 'p', 'End'):
        page.keyboard.press(key)
    assert focused(page).startswith('20 of 20') and at.locator('.cc-card.aside').count() == 1
    assert at.evaluate('e => e.scrollWidth <= e.clientWidth + 1') and not page.faults


def test_without_scripts_a_picture_and_its_words(browser, static):
    page = new_page(browser, java_script_enabled=False)
    page.goto(static)
    picture = page.locator('.ch-out img')
    assert picture.bounding_box()['height'] > 150
    assert re.match(r'20 pictures to look at, first: .* 1 relabelled, 1 set aside', picture.get_attribute('alt'))
