"""The app in a real browser: a photograph given and named, what is none, an example, by keyboard; not a request to
another machine. And the widget beside it, which shows the same model in JupyterLab."""

import pytest

from coursehelpers.base.samples import sample
from coursehelpers.deploy import Exported
from tests.browser import cell, in_lab, need_browser, new_page, wait
from tests.serving import pets_model, serving

need_browser()
pytest.importorskip('gradio')
pytestmark = pytest.mark.xdist_group('browser')
PUG = sample('oxford-iiit-pet')/'images'/'pug_112.jpg'


@pytest.fixture(scope='module')
def model(tmp_path_factory): return pets_model(tmp_path_factory.mktemp('model'))


@pytest.fixture(scope='module')
def base(model, tmp_path_factory):
    with serving(model, tmp_path_factory.mktemp('app')) as (_, base, log):
        yield base
    assert 'ELSEWHERE' not in log.read_text()


def opened(browser, base, **options):
    "A page on the app, which keeps the addresses that it asks for."
    page = new_page(browser, **options)
    page.asked = []
    page.on('request', lambda request: page.asked.append(request.url))
    page.goto(base)
    page.get_by_text('Choose a photograph').wait_for()
    return page


@pytest.fixture
def page(browser, base):
    page = opened(browser, base)
    yield page
    page.context.close()
    elsewhere = [url for url in page.asked if not url.startswith((base, 'data:', 'blob:'))]
    assert page.asked and not elsewhere, elsewhere
    assert not page.faults, page.faults


def said(page): return page.locator('[aria-live=polite]').first.inner_text()


def give(page, *files): page.locator('input[type=file]').first.set_input_files(list(files))


def test_a_photograph_is_named(page, model):
    want = Exported(model).predict(PUG)
    give(page, PUG)
    wait(lambda: next(iter(want.parts)) in said(page))
    for label, part in want.parts.items():
        assert page.get_by_text(label).count() and page.get_by_text(f'{part:.0%}').count()


def test_what_is_no_photograph_is_said(page):
    give(page, dict(name='diary.jpg', mimeType='image/jpeg', buffer=b'Dear diary'))
    wait(lambda: 'diary.jpg: not a picture' in said(page))
    give_again(page)
    wait(lambda: 'pug' in said(page))


def give_again(page):
    "Remove what is there, and give the pug."
    page.get_by_label('Remove Image').click()
    wait(lambda: 'Choose a photograph' in said(page))
    give(page, PUG)


@pytest.mark.long
def test_too_large_is_said(browser, base):
    page = opened(browser, base)
    give(page, dict(name='large.jpg', mimeType='image/jpeg', buffer=bytes(26_500_000)))
    page.get_by_text('maximum allowed size of 25').first.wait_for()
    page.context.close()


def test_an_example_is_named(page):
    page.locator('.gallery-item').nth(1).click()
    wait(lambda: 'pug' in said(page))


def test_by_keyboard(page):
    choosers = []
    page.on('filechooser', lambda chooser: choosers.append(chooser))
    page.get_by_label('Drop an image file here to upload').focus()
    for _ in range(5): # on a busy machine Chromium opens nothing at times: whoever sees nothing presses again
        page.keyboard.press('Enter')
        page.wait_for_timeout(2000)
        if choosers: break
    choosers[0].set_files(PUG)
    wait(lambda: 'pug' in said(page))


@pytest.mark.parametrize('dark', ['light', 'dark'])
def test_a_phone_scrolls_one_way(browser, base, dark):
    page = opened(browser, base, width=390, height=844, color_scheme=dark)
    give(page, PUG)
    wait(lambda: 'pug' in said(page))
    assert page.evaluate('document.documentElement.scrollWidth') <= 390
    page.context.close()


def test_the_widget_shows_the_same_model_in_jupyterlab(browser, model):
    want = Exported(model).predict(PUG)
    code = ('from coursehelpers.deploy import Exported\nfrom coursehelpers.widgets.photo import your_photo\n'
            f'your_photo(Exported({str(model)!r}))')
    with in_lab(browser, 'exported', [code], [0]) as page:
        at = cell(page, 0).locator('.ch')
        for name, data, words in (('pug.jpg', PUG.read_bytes(), next(iter(want.parts))),
                                  ('diary.jpg', b'Dear diary', 'not a picture')):
            file = dict(name=name, mimeType='image/jpeg', buffer=data)
            at.locator('input[type=file]').set_input_files([file])
            wait(lambda name=name, words=words: name in (told := at.get_by_role('status').text_content())
                 and words in told, seconds=30)
