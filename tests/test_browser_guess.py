"A guess in a real browser: typed without the mouse, kept, still there on a second run, shown beside the outcome."
import json

import pytest

from tests.browser import cell, in_lab, need_browser, run_cell, wait

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

START = '''import os
os.environ['COURSEHELPERS_RUN_PROGRESS'] = {path!r}
from coursehelpers.widgets.guess import guess, outcome'''


def test_a_guess_is_typed_and_kept(browser, tmp_path):
    path = tmp_path/'progress.json'
    cells = [START.format(path=str(path)), "guess('how far')", "outcome('how far', 2.5, 'm')"]
    with in_lab(browser, 'guess', cells, [0, 1, 2]) as page:
        count = page.locator('.jp-Cell').count()
        assert not cell(page, 2).locator('.jp-OutputArea-output').count()
        box = cell(page, 1).locator('input')
        box.click()
        page.keyboard.type('3 abd')  # each of these letters is a command of the notebook
        page.keyboard.press('Enter')
        wait(path.exists)
        assert json.loads(path.read_text())['guesses'] == {'how far': {'said': '3 abd'}}
        assert page.locator('.jp-Cell').count() == count
        run_cell(page, 1)
        assert cell(page, 1).locator('input').input_value() == '3 abd'
        run_cell(page, 2)
        assert cell(page, 2).locator('.jp-OutputArea-output').inner_text().strip() == 'You guessed: 3 abd. It is: 2.5 m'
        page.screenshot(path=str(tmp_path/'guess.png'))
