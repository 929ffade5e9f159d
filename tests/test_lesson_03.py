"""Lesson 03 as a learner meets it: the sliders' callbacks at their ends,
and the clean notebook worked through in a real JupyterLab."""
import json
import shutil
from pathlib import Path

import pytest

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import solve
from tests import browser

ROOT = Path(__file__).parents[1]
FULL = read_nb(ROOT/'nbs/full/03_quadratic.ipynb')['cells']


@pytest.fixture(scope='module')
def plots():
    "The functions behind the lesson's `interact` sliders, with all that stands above them."
    import matplotlib
    matplotlib.use('agg')
    space, found = {'__name__': 'lesson'}, {}
    for c in FULL:
        if c['cell_type'] != 'code' or c['id'] == 'setup': continue
        if 'fit_by_hand(' in c['source']: break
        exec(compile(c['source'], c['id'], 'exec'), space)
        if '@interact' in c['source']: found[c['id']] = space
    return [space[name] for name in ('plot_quad', 'plot_scored')]


@pytest.mark.parametrize('value', [-5., 1.5, 5.])
def test_slider_callbacks_at_minimum_default_and_maximum(plots, value, capsys):
    "No runner sees an exception inside an interact callback, so they are called as plain functions."
    for plot in plots:
        plot(a=value, b=value, c=value)
    assert 'loss' in capsys.readouterr().out


BENDS = {
    'relu-line': ('plot_bent', dict(m=3., b=3.)),
    '3fb92da0': ('plot_two_bends', dict(m1=3., b1=3., m2=6., b2=3.)),
    'two-inputs-check': ('plot_neuron', dict(w1=2., w2=2., b=2.)),
}


@pytest.mark.parametrize('id', BENDS)
def test_callbacks_of_bends_at_minimum_default_and_maximum(id, capsys):
    import matplotlib
    matplotlib.use('agg')
    source = {c['id']: c['source'] for c in FULL}
    space = {'__name__': 'lesson'}
    for one in ('c42950ef', '0729eef9', '335c71a8', 'two-inputs', id):
        exec(compile(source[one], one, 'exec'), space)
    name, ends = BENDS[id]
    for sign in (-1, 0, 1):
        space[name](**{slider: sign * end for slider, end in ends.items()})
    capsys.readouterr()


def status(page, i):
    "The first line that a check's cell shows."
    return browser.cell(page, i).locator('.jp-OutputArea-output b').first.inner_text()


def put(page, i, text):
    "Replace the source of cell i, as pasting would."
    page.evaluate('([i, text]) => '
                  'window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.setSource(text)',
                  [i, text])


@pytest.mark.long
@pytest.mark.xdist_group('browser')
def test_the_clean_notebook_is_worked_through_in_a_browser(tmp_path):
    """Every exercise: untouched says not attempted, a wrong answer not yet, the solution correct;
    and every cell of the lesson runs."""
    browser.need_browser()
    base, folder = browser.shared_lab()
    home, progress = folder/'lesson_03', tmp_path/'progress.json'
    home.mkdir()
    settings = (ROOT/'settings.ini').read_text()
    assert '~/.coursehelpers/progress.json' in settings
    (home/'settings.ini').write_text(settings.replace('~/.coursehelpers/progress.json', str(progress)))
    shutil.copy(ROOT/'nbs/clean/03_quadratic.ipynb', home)
    clean, full = read_nb(home/'03_quadratic.ipynb'), read_nb(ROOT/'nbs/full/03_quadratic.ipynb')
    cells = clean['cells']
    solutions = json.loads((ROOT/'coursehelpers/exercises.json').read_text())
    with browser.chromium() as chromium:
        page = browser.new_page(chromium)
        browser.open_notebook(page, base, 'lesson_03/03_quadratic.ipynb')
        checked = work_through(page, cells, solve(clean, full)['cells'])
        assert checked == [n for n, e in solutions.items() if e['lesson'] == '03'] and len(checked) >= 5
        assert not page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]').count()
        assert not page.faults
    found = json.loads(progress.read_text())['exercises']
    assert {found[n]['status'] for n in checked} == {'correct'}


def work_through(page, cells, solved):
    """Run each code cell in order; one that ends with a check untouched, wrong and right; a gap filled.
    Gives the exercises checked."""
    done = []
    for i, c in enumerate(cells):
        if c['cell_type'] != 'code': continue
        answer = solved[i]['source']
        name = answer.partition('# stuck? hint(')[2].rstrip(')')
        if c['source'] != answer and not name: put(page, i, answer)
        browser.run_cell(page, i)
        if not name: continue
        assert status(page, i).endswith('not attempted'), name
        for written, expected in ((c['source'].replace('    ...', '    return 3'), 'not yet'), (answer, 'correct')):
            put(page, i, written)
            browser.run_cell(page, i)
            assert status(page, i).endswith(expected), f'{name}: {status(page, i)}'
        done.append(name)
    return done
