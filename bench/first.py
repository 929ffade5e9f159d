"""The first minute: from JupyterLab's address to the learner's own photograph named, in lesson 01.

A new user opens the lesson, chooses Run > Run All Cells, and gives the photograph: seconds, clicks, typed characters.
The goal is what people know from Teachable Machine: under a minute, three clicks, nothing typed."""
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from coursehelpers.base.samples import sample
from tests.browser import chromium, lab, missing, new_page

ROUNDS = 3
CLICKS = 3  # Run, Run All Cells, and the button for the photograph; the file itself is chosen in the system's window
FULL = Path(__file__).parents[1]/'nbs'/'full'


def seconds(browser, lesson):
    "From the address to the answer, with a new server, kernel and cache."
    photo = sample('oxford-iiit-pet')/'images'/'pug_112.jpg'
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(FULL, Path(folder)/'full')
        with lab(folder) as base:
            page, start = new_page(browser), time.perf_counter()
            page.goto(f'{base}/lab/tree/full/{lesson}')
            page.wait_for_selector('.jp-Notebook .jp-Cell', timeout=60_000)
            page.get_by_text('| Idle').wait_for(timeout=60_000)  # before that, JupyterLab runs nothing
            page.get_by_role('menuitem', name='Run', exact=True).click()
            page.get_by_role('menuitem', name='Run All Cells', exact=True).click()
            heading = page.get_by_role('heading', name='Your own photograph')
            while not heading.count():  # JupyterLab makes only the cells that can be seen
                page.mouse.move(640, 400)
                page.mouse.wheel(0, 300)
                page.wait_for_timeout(200)
            heading.scroll_into_view_if_needed()
            choose = page.locator('.cp-zone input:not([disabled])').first
            choose.wait_for(state='attached', timeout=120_000)
            choose.set_input_files(photo)
            page.locator('.cp-bar').first.wait_for(timeout=120_000)
            took = time.perf_counter() - start
            page.context.close()
    return took


def run() -> list[dict]:
    "One row."
    if missing(): sys.exit(missing())
    lesson = next(FULL.glob('01_*.ipynb')).name
    with chromium() as browser:
        took = [seconds(browser, lesson) for _ in range(ROUNDS)]
    note = (f'{CLICKS} clicks, nothing typed; {ROUNDS} rounds, {min(took):.0f} to {max(took):.0f} s, '
            'each with a new server and kernel')
    return [dict(what='lesson 01, from its address to your photograph named', note=note, unit='s',
                 ours=statistics.median(took), theirs=None, target='under 60 s', ok=max(took) < 60)]
