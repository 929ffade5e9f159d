"The progress of a fit as people see it: in a real JupyterLab, a table, a picture that moves, a bar that goes away."

import shutil
from pathlib import Path

import pytest

from tests import browser

ROOT = Path(__file__).parents[1]
SETUP = '''
import torch, time
from torch import nn
from coursehelpers.data import load, loaders
from coursehelpers.learner import Callback, Learner, ProgressTable
class Slow(Callback):
    def after_batch(self, learn): time.sleep(.02)
ProgressTable.wait = .3
torch.manual_seed(0)
dls = loaders(load('digits'), batch_size=64, device='cpu', augment=False)
learn = Learner(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), dls, lr=.01)
'''
ANOTHER_PICTURE = '''([old]) => {
    const img = document.querySelectorAll(".jp-RenderedImage img")
    return img.length === 1 && img[0].src !== old
}'''
NINE_LINES = '''() => {
    const parts = [...document.querySelectorAll(".jp-OutputArea-output pre")]
    return parts.map(p => p.innerText).join("").trim().split("\\n").length >= 9
}'''


@pytest.mark.long
def test_a_fit_in_jupyterlab(tmp_path):
    browser.need_browser()
    shutil.copy(ROOT / 'settings.ini', tmp_path)
    browser.write_notebook(tmp_path / 'fit.ipynb', SETUP, 'learn.fit(8, callbacks=[Slow()])')
    with browser.lab(tmp_path) as base, browser.chromium() as chromium:
        page = browser.new_page(chromium)
        browser.open_notebook(page, base, 'fit.ipynb')
        browser.run_cell(page, 0)
        browser.cell(page, 1).click()
        page.keyboard.press('Shift+Enter')
        picture = browser.cell(page, 1).locator('.jp-RenderedImage img')
        picture.wait_for(timeout=30_000)
        first = picture.get_attribute('src')
        page.wait_for_function(ANOTHER_PICTURE, arg=[first], timeout=30_000)
        table = browser.cell(page, 1).locator('.jp-OutputArea-output pre')
        page.wait_for_function(NINE_LINES, timeout=60_000)
        browser.kernel(page, 'print(len(learn.history))')  # the cell is done
        lines = ''.join(table.all_inner_texts()).splitlines()
        assert lines[0].split() == ['epoch', 'train_loss', 'valid_loss', 'error_rate', 'seconds'] and len(lines) == 9
        assert picture.count() == 1
        assert (
            not page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').count()
            and not page.faults
        )
