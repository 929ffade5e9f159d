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
    folded, code = (opened.locator(f'.jp-CodeCell:has({part})') for part in ('.jp-InputPlaceholder', '.cm-content'))
    for words in ('Set up the course', 'import math'): # cells come one after another
        wait(lambda words=words: folded.filter(has_text=words).count() == 1, 30)
    # the first code that one sees moves something
    wait(lambda: code.count() and 'fit_by_hand' in code.first.text_content(), 30)
    wait(lambda: code.first.bounding_box()['y'] < 600)
    assert opened.get_by_role('heading', name='Start here').bounding_box()['y'] < 200


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
    wait(lambda: notebook.locator('.cm-scroller').evaluate_all(too_wide) == 0) # lines wrap once the width is known
