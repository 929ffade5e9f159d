"The first minute: `coursehelpers lab` opened by somebody whose home has never seen a JupyterLab."
import os

import pytest

from tests.browser import need_browser, new_page, serving, wait

need_browser()
pytestmark = pytest.mark.xdist_group('browser')


@pytest.fixture(scope='module')
def opened(browser, tmp_path_factory):
    "The page that the command opens, 1280 pixels wide, once lesson 00 can be read."
    home = tmp_path_factory.mktemp('home')
    env = {name: value for name, value in os.environ.items() if not name.startswith(('JUPYTER', 'IPYTHON', 'XDG'))}
    command = ['-m', 'coursehelpers.cli', 'lab', str(home/'my course')]
    with serving(command, {**env, 'HOME': str(home)}, os.getcwd(), home/'log') as base:
        page = new_page(browser, width=1280)
        page.goto(base)
        wait(lambda: page.get_by_role('heading', name='Start here').count(), 60)
        yield page
        page.evaluate("() => window.jupyterapp?.shell.currentWidget.sessionContext.shutdown()")
        page.context.close()


def in_sight(page, selector): return [at for at in page.locator(selector).all() if at.is_visible()]


def test_the_title_stands_on_top_and_what_prepares_is_folded(opened):
    assert opened.get_by_role('heading', name='Start here').bounding_box()['y'] < 200
    folded = opened.locator('.jp-CodeCell:has(.jp-InputPlaceholder)').all_text_contents()
    assert any('Set up the course' in text for text in folded) and any('import math' in text for text in folded)
    first = opened.locator('.jp-CodeCell:has(.cm-content)').first
    assert 'fit_by_hand' in first.text_content(), 'the first code that one sees moves something'
    assert first.bounding_box()['y'] < 600


def test_nobody_is_asked_anything(opened):
    opened.wait_for_timeout(3000) # the question about news comes late
    assert not in_sight(opened, '.jp-Dialog') and not in_sight(opened, '.Toastify__toast')


def test_the_kernel_comes_by_itself(opened):
    wait(lambda: 'Python 3' in opened.locator('.jp-Toolbar-kernelName').first.text_content(), 30)


@pytest.mark.parametrize('lesson', ['00_start_here', '08_learner'])
def test_no_code_runs_off_the_edge(opened, lesson):
    opened.set_viewport_size({'width': 1024, 'height': 768}) # with the list of lessons beside it
    opened.get_by_role('listitem').filter(has_text=f'{lesson}.ipynb').first.dblclick()
    notebook = opened.locator('.jp-NotebookPanel:not(.lm-mod-hidden)')
    wait(lambda: notebook.locator('.jp-CodeCell .cm-content').count() > 3, 30)
    too_wide = 'all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length'
    assert notebook.locator('.cm-scroller').evaluate_all(too_wide) == 0
