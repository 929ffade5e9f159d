"""Slider to screen in real JupyterLab: the picture drawn in the page against `interact` with inline pyplot,
same points, same curve; and the picture of a matrix product against the first."""
import statistics
import sys
import tempfile
from pathlib import Path

from tests.browser import cell, chromium, lab, missing, new_page, open_notebook, run_cell, write_notebook

MOVES, BLOCKS = 40, 4
OURS = '''from coursehelpers.curves import mk_quad, mse, noisy, quad
from coursehelpers.widgets.fit import fit_by_hand
x, y = noisy(mk_quad(3., 2., 1.))
fit_by_hand(quad, x, y)'''
THEIRS = '''%matplotlib inline
import matplotlib.pyplot as plt, torch
from ipywidgets import interact
xs = torch.linspace(-2.16, 2.16, 81)
@interact(a=(-5., 5.), b=(-5., 5.), c=(-5., 5.))
def plot(a=1., b=1., c=1.):
    plt.figure(figsize=(4.4, 3.4))
    plt.scatter(x, y)
    plt.plot(xs, quad(a, b, c, xs))
    plt.ylim(-3, 20)
    plt.title(f'MSE {mse(quad(a, b, c, x), y):.2f}')
    plt.show()'''
SEEN = '''from coursehelpers.widgets.products import see_product
see_product(torch.randint(-9, 10, (8, 8)), torch.randint(-9, 10, (8, 8)))'''
LESSON = 'see_product(torch.tensor([[2., 0, 1], [1, 3, 5]]), torch.tensor([[4., 1], [2, 6], [3, 2]]))'

# All: from the event on the slider until the frame after the picture in the page has changed was handed over.
FRAME = '''async (root, i) => {
    const frame = () => new Promise(r => requestAnimationFrame(() => {
        const c = new MessageChannel()
        c.port1.onmessage = r
        c.port2.postMessage(0)
    }))
'''
DRAWN = FRAME + '''
    const slider = root.querySelector('input[type=range]'), curve = root.querySelector('.ch-curve')
    const changed = new Promise(r => new MutationObserver(r).observe(curve, {attributes: true}))
    slider.value = 1 + (i % 10 + 1) / 10 * (i % 20 < 10 ? 1 : -1)
    const start = performance.now()
    slider.dispatchEvent(new Event('input', {bubbles: true}))
    await changed; await frame()
    return performance.now() - start }'''
STEPPED = FRAME + '''
    const slider = root.querySelector('input[type=range]'), said = root.querySelector('[role=status]')
    const what = {childList: true, characterData: true, subtree: true}
    const changed = new Promise(r => new MutationObserver(r).observe(said, what))
    slider.value = slider.max > 100 ? 100 + 7 * (i % 50) : 1 + i % 11
    const start = performance.now()
    slider.dispatchEvent(new Event('input', {bubbles: true}))
    await changed; await frame()
    return performance.now() - start }'''
INTERACT = FRAME + '''
    const handle = root.querySelector('.noUi-handle'), was = root.querySelector('.jp-OutputArea img').src
    const fresh = () => [...root.querySelectorAll('.jp-OutputArea img')].find(img => img.src !== was)
    const changed = new Promise((r, no) => {
        new MutationObserver(() => fresh() && r()).observe(root, {childList: true, subtree: true, attributes: true})
        setTimeout(() => no('no new picture'), 5000)
    })
    const start = performance.now()
    handle.dispatchEvent(new KeyboardEvent('keydown', {key: i % 20 < 10 ? 'ArrowRight' : 'ArrowLeft', bubbles: true}))
    await changed; await fresh().decode(); await frame()
    return performance.now() - start }'''


def measure(page):
    """Milliseconds of each move: {ours: [...], theirs: [...], product: [...], lesson:
    [...]}, in interleaved blocks after two moves of warming up."""
    roots = {'ours': (cell(page, 0).locator('.ch'), DRAWN),
             'theirs': (cell(page, 1), INTERACT),
             'product': (cell(page, 2).locator('.ch'), STEPPED),
             'lesson': (cell(page, 3).locator('.ch'), STEPPED)}
    times = {who: [] for who in roots}
    for block in range(BLOCKS):
        for who, (root, script) in roots.items():
            for i in range(MOVES // BLOCKS + 2 * (block == 0)):
                times[who].append(root.evaluate(script, block * MOVES // BLOCKS + i))
                page.wait_for_timeout(120)
    return {who: t[2:] for who, t in times.items()}


def medians(*flags):
    "Median milliseconds (ours, theirs, the largest product, the lesson's) in a Chromium with these flags."
    with tempfile.TemporaryDirectory() as folder, chromium(*flags) as browser:
        write_notebook(Path(folder)/'slider.ipynb', OURS, THEIRS, SEEN, LESSON)
        with lab(folder) as base:
            page = new_page(browser)
            open_notebook(page, base, 'slider.ipynb')
            for i in range(4):
                run_cell(page, i)
            page.wait_for_selector('.jp-OutputArea img')
            page.wait_for_timeout(1000)
            times = measure(page)
    return [statistics.median(times[who]) for who in ('ours', 'theirs', 'product', 'lesson')]


def run() -> list[dict]:
    """Two rows each: without the browser's limit on frames, which times the work;
    and with it, which adds the wait for the next frame."""
    if missing(): sys.exit(missing())
    free, limited = medians('--disable-frame-rate-limit', '--disable-gpu-vsync'), medians()
    note = (f'median of {MOVES} moves in {BLOCKS} interleaved blocks, JupyterLab in headless Chromium; '
            'theirs: interact with inline pyplot, one plot; ours also draws the loss surface and the history')
    same = f'median of {MOVES} moves each, interleaved, same page, no limit on frames'
    (ours, theirs, largest, lesson), (ours_60, theirs_60, largest_60, _) = free, limited
    return [_row('slider to screen: fit_by_hand / interact', ours, theirs, note, most=1/20, target='at most 1/20'),
            _row('the same at 60 frames a second', ours_60, theirs_60,
                 'ours mostly waits for the next frame, up to 17 ms'),
            _row('one step to screen: see_product at the size of lesson 04 / fit_by_hand', lesson, ours, same,
                 most=1, target='at most 1'),
            _row('the same at its largest size, 8 x 8 @ 8 x 8', largest, ours, 'seven multiplications a move',
                 most=1, target='at most 1'),
            _row('the largest size at 60 frames a second', largest_60, ours_60, 'both mostly wait for the next frame')]


def _row(what, ours, theirs, note, most=None, target=''):
    "One row of the bench; `most` is the ratio that is aimed at."
    aimed = {} if most is None else dict(ok=ours/theirs <= most)
    return dict(what=what, ours=ours, theirs=theirs, unit='ms', ratio=ours/theirs, target=target, note=note, **aimed)
