"The command line: exit codes, one clear message for each error, and what each command does."

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coursehelpers import exercises
from coursehelpers.cli import app
from tests.test_authoring import code, lesson, nb, tree  # noqa: F401

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path / 'mine' / 'progress.json'))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')


@pytest.fixture
def here(tree, monkeypatch):  # noqa: F811
    "Stand in a small course; its exercise list is the package's."
    monkeypatch.chdir(tree / 'nbs' / 'full')
    monkeypatch.setattr(
        exercises, 'exercises', lambda: json.loads((tree / 'coursehelpers' / 'exercises.json').read_text())
    )
    return tree


def run(*args):
    return CliRunner().invoke(app, args)


def shell(*args, **env):
    return subprocess.run(
        [sys.executable, '-m', 'coursehelpers.cli', *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
    )


# --- help and usage


def test_help_is_worth_reading():
    text = run('--help').output
    assert all(
        c in text for c in ('doctor', 'lab', 'run', 'check', 'progress', 'prepare', 'coursehelpers lab')
    )
    for command in ('lab', 'run', 'check'):
        assert f'coursehelpers {command}' in run(command, '--help').output


def test_help_loads_nothing_heavy():
    assert shell('--help').returncode == 0
    heavy = 'import sys, coursehelpers.cli\n'
    heavy += 'print([m for m in ("torch", "nbdev", "IPython", "nbclient", "numpy", "rich") if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', heavy], capture_output=True, text=True).stdout.strip() == '[]'


@pytest.mark.parametrize(
    'args', [['nonsense'], ['run', '--nonsense'], ['run', '99'], ['check', 'qqqq']]
)
def test_what_is_not_understood_exits_with_2(here, args):
    assert run(*args).exit_code == 2


def test_an_unknown_lesson_is_told_which_there_are(here):
    assert '07_x' in run('run', '99').output


def test_without_a_command_the_help_is_shown():
    assert 'Usage' in run().output


# --- errors are one message


def test_a_bad_setting_is_one_message():
    done = shell('progress', COURSEHELPERS_RUN_PROFILE='fast')
    assert done.returncode == 1 and 'fast' in done.stderr and 'Traceback' not in done.stderr


def test_an_unknown_profile_is_told_before_anything_runs(here):
    done = run('run', '--profile', 'fast')
    assert done.exit_code == 1 and "'fast'" in done.output and 'cell' not in done.output and '07_x' not in done.output


@pytest.mark.parametrize('args', [['run'], ['check', '03'], ['prepare'], ['run', '--save']])
def test_outside_the_course(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*args)
    remedy = 'coursehelpers get' if args[0] in ('run', 'check') and '--save' not in args else 'git clone'
    assert done.exit_code == 1 and remedy in done.output and 'Traceback' not in done.output


@pytest.mark.parametrize('slip, nearest', [('quadratics', '03_quadratic'), ('msee', 'mse'), ('99', '00_start_here')])
@pytest.mark.parametrize('command', ['run', 'check'])
def test_a_name_is_judged_before_a_folder_is_looked_for(command, slip, nearest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(command, slip)
    assert done.exit_code == 2 and nearest in done.output and 'coursehelpers get' not in done.output


def test_an_error_of_another_kind_is_not_hidden(monkeypatch):
    monkeypatch.setattr(exercises, 'progress', lambda: 1 / 0)
    assert isinstance(run('progress').exception, ZeroDivisionError)


def test_a_missing_tool_of_authors_is_one_message(here, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nbdev', None)
    monkeypatch.setitem(sys.modules, 'nbdev.clean', None)
    done = run('prepare')
    assert done.exit_code == 1 and f'pip install -e "{ROOT}[dev]"' in done.output


def test_outside_a_clone_the_remedy_is_the_repository_at_a_tag(monkeypatch):
    from coursehelpers import cli, settings

    monkeypatch.setattr(cli, 'originals', lambda: Path('/site-packages/coursehelpers/lessons'))
    assert f'pip install "{settings.source_address("lab")}"' in cli._missing('nbclient')
    assert f'--no-deps "{settings.source_address("lab")}"' in cli._missing('coursehelpers.base.no_such')


# --- lab


@pytest.fixture
def started(monkeypatch):
    "What JupyterLab would be started with: its folder, then its options."
    from jupyterlab.labapp import LabApp
    seen = []
    monkeypatch.setattr(LabApp, 'launch_instance', lambda args: seen.extend([Path.cwd(), *args]))
    return seen


@pytest.mark.parametrize('named, folder', [([], 'deep-learning'), (['mein kürs'], 'nbs/full/mein kürs')])
def test_lab_starts_in_a_copy(here, started, named, folder):
    assert run('lab', *named, '--no-browser', '--port', '8890').exit_code == 0
    assert started[0] == here / folder and started[-3:] == ['--no-browser', '--port', '8890']
    assert '--LabApp.default_url=/lab/tree/full/00_start_here.ipynb' in started
    assert (here / folder / 'full/00_start_here.ipynb').exists() and (here / folder / 'settings.ini').exists()


def test_authors_open_the_originals(here, started, monkeypatch):
    monkeypatch.chdir(here)
    before = sorted(here.rglob('*'))
    assert run('lab', 'nbs').exit_code == 0 and started[0] == here / 'nbs' and sorted(here.rglob('*')) == before


@pytest.mark.parametrize('writable', [True, False])
def test_jupyters_own_files_need_no_home(here, started, monkeypatch, writable):
    for name in ('JUPYTER_CONFIG_DIR', 'JUPYTER_DATA_DIR'):
        monkeypatch.setenv(name, '/home/of/someone')
    monkeypatch.setattr(os, 'access', lambda path, mode: writable)
    assert run('lab').exit_code == 0
    kept = '/home/of/someone' if writable else str(here / 'deep-learning/.jupyter')
    assert os.environ['JUPYTER_CONFIG_DIR'] == os.environ['JUPYTER_DATA_DIR'] == kept


def test_lab_without_jupyterlab(here, monkeypatch):
    monkeypatch.delitem(sys.modules, 'jupyterlab.labapp', raising=False)
    monkeypatch.setitem(sys.modules, 'jupyterlab', None)
    done = run('lab')
    assert done.exit_code == 1 and 'pip install' in done.output and '[lab]"' in done.output
    assert not (here / 'deep-learning').exists()


def test_lab_knows_these_settings():
    "JupyterLab must still have the traits that keep it off the network."
    from jupyterlab.labapp import LabApp

    assert {'news_url', 'check_for_updates_class', 'extension_manager'} <= set(LabApp.class_trait_names())
    from jupyterlab import NeverCheckForUpdate

    assert NeverCheckForUpdate


# --- lessons


def write(root, variant, *cells):
    full = lesson()
    (root / 'nbs' / variant / '07_x.ipynb').write_text(json.dumps(nb(*full['cells'][:3], *cells)))


def test_run(here):
    write(here, 'full', code('print(2)', 'p'))
    before = (here / 'nbs' / 'full' / '07_x.ipynb').read_text()
    done = run('run', '07')
    assert (
        done.exit_code == 0
        and '07_x: ran in' in done.output
        and (here / 'nbs' / 'full' / '07_x.ipynb').read_text() == before
    )


def test_run_with_a_profile_says_what_was_measured(here):
    "The kernel gets the profile; a record is seen outside a notebook."
    source = '#|record twice\nfrom coursehelpers.results import record\n' \
             'from coursehelpers.settings import profile\nrecord("twice", [1., 2., 3.], unit=profile().arch)'
    write(here, 'full', code(source, 'r'))
    done = run('run', '07', '--profile', 'gpu')
    assert done.exit_code == 0 and 'twice 2.0 ± 1.0 convnext_tiny' in done.output, done.output


def test_run_save_stores_outputs(here):
    write(here, 'full', code('print(2)', 'p'))
    assert run('run', '--save').exit_code == 0
    cells = json.loads((here / 'nbs' / 'full' / '07_x.ipynb').read_text())['cells']
    assert cells[-1]['outputs'][0]['text'] == ['2\n'] and cells[-1]['execution_count'] is None


def test_run_goes_on_after_a_notebook_that_fails(here):
    write(here, 'full', code('1/0', 'bad'))
    (here / 'nbs' / 'full' / '08_y.ipynb').write_text(json.dumps(nb(code('print(2)', 'p'))))
    done = run('run')
    assert (
        done.exit_code == 1
        and 'cell bad' in done.output
        and 'ZeroDivisionError' in done.output
        and '08_y: ran in' in done.output
    )


CHECK = '''from coursehelpers.exercises import agree, check, exercise
@exercise('twice')
def _(fn): agree(fn(3), 6)'''


@pytest.mark.parametrize(
    'answer, status, rc',
    [
        ('def twice(x): ...', '○ twice: not attempted', 0),
        ('def twice(x): return 2*x', '✔ twice: correct', 0),
        ('def twice(x): return x', '◐ twice: not yet\n    got 3, expected 6', 1),
        ('def twice(x): return x/0', '✖ twice: raised\n    ZeroDivisionError', 1),
        ('def twice(x) return', '✖ twice: raised\n    its check did not run', 1),
    ],
)
def test_check_reports_the_clean_notebook(here, answer, status, rc):
    write(here, 'clean', code(CHECK, 'own'), code('1/0', 'error'), code(answer, 'ex'), code('check(twice)', 'ex-check'))
    before = (here / 'nbs' / 'clean' / '07_x.ipynb').read_text()
    done = run('check', '07')
    assert status in done.output and done.exit_code == rc, done.output
    assert (here / 'nbs' / 'clean' / '07_x.ipynb').read_text() == before


LEARNER = '''
import sys
for name in ('nbdev', 'fastcore', 'execnb', 'markdown_it'): # what the `lab` extra does not bring
    sys.modules[name] = None
from coursehelpers import exercises
exercises.exercises = lambda: {'twice': dict(lesson='07', notebook='07_x.ipynb', stub='', solution='')}
from coursehelpers.cli import app
app(sys.argv[1:])
'''


@pytest.mark.parametrize(
    'args, said',
    [
        pytest.param(['run', '07'], '07_x: ran in', marks=pytest.mark.long),
        (['check', '07'], '✔ twice: correct'),
    ],
)
def test_learners_need_no_nbdev(here, args, said):
    write(here, 'full', code('print(2)', 'p'))
    write(here, 'clean', code(CHECK, 'own'), code('def twice(x): return 2*x', 'ex'), code('check(twice)', 'ex-check'))
    done = subprocess.run([sys.executable, '-c', LEARNER, *args], capture_output=True, text=True, cwd=here / 'nbs')
    assert done.returncode == 0 and said in done.stdout + done.stderr, done.stdout + done.stderr


# --- progress, prepare, doctor


def test_progress(here):
    assert '○ not attempted twice' in run('progress').output.replace('  ', ' ')


def test_prepare(here):
    done = run('prepare')
    assert done.exit_code == 0 and not done.output, done.output
    (here / 'nbs' / 'clean' / '07_x.ipynb').unlink()
    assert run('prepare').output == 'wrote nbs/clean/07_x.ipynb\n'
