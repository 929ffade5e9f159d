"The command line: exit codes, one clear message for each error, and what each command does."

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coursehelpers import cli, exercises
from coursehelpers.cli import app, find_lessons, lab_command
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
        c in text for c in ('doctor', 'lab', 'run', 'clean', 'check', 'progress', 'prepare', 'coursehelpers lab')
    )
    for command in ('lab', 'run', 'check', 'clean'):
        assert f'coursehelpers {command}' in run(command, '--help').output


def test_help_loads_nothing_heavy():
    assert shell('--help').returncode == 0
    heavy = 'import sys, coursehelpers.cli\n'
    heavy += 'print([m for m in ("torch", "nbdev", "IPython", "nbclient", "numpy", "rich") if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', heavy], capture_output=True, text=True).stdout.strip() == '[]'


def test_version():
    assert run('--version').output.startswith('coursehelpers ') and run('--version').exit_code == 0


@pytest.mark.parametrize(
    'args', [['nonsense'], ['run', '--nonsense'], ['run', '99'], ['check', 'qqqq'], ['run', '--save', '--clean']]
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


@pytest.mark.parametrize('args', [['run', '--profile', 'fast'], ['check', '--profile', 'fast']])
def test_an_unknown_profile_is_told_before_anything_runs(here, args):
    done = run(*args)
    assert done.exit_code == 1 and "'fast'" in done.output and 'cell' not in done.output and '07_x' not in done.output


@pytest.mark.parametrize('args', [['run'], ['clean'], ['lab'], ['check'], ['prepare']])
def test_outside_the_course(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*args)
    assert done.exit_code == 1 and 'not inside the course' in done.output and 'Traceback' not in done.output


def test_an_error_of_another_kind_is_not_hidden(monkeypatch):
    monkeypatch.setattr(exercises, 'progress', lambda: 1 / 0)
    assert isinstance(run('progress').exception, ZeroDivisionError)


def test_a_missing_tool_of_authors_is_one_message(here, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nbdev', None)
    monkeypatch.setitem(sys.modules, 'nbdev.clean', None)
    done = run('prepare')
    assert done.exit_code == 1 and "pip install 'coursehelpers[dev]'" in done.output


# --- lab


def test_lab_command(here, monkeypatch):
    monkeypatch.setattr(os, 'geteuid', lambda: 0, raising=False)
    (here / 'nbs' / 'full' / '00_start_here.ipynb').write_text('{}')
    command = lab_command(here, browser=False, extra=['--port', '8890'])
    assert (
        command[:3] == [sys.executable, '-m', 'jupyterlab']
        and '--LabApp.default_url=/lab/tree/nbs/full/00_start_here.ipynb' in command
    )
    assert f'--ServerApp.root_dir={here}' in command and command[-4:] == [
        '--allow-root',
        '--no-browser',
        '--port',
        '8890',
    ]
    assert {
        '--LabApp.news_url=None',
        '--LabApp.extension_manager=readonly',
        '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate',
    } <= set(command)
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    assert '--allow-root' not in lab_command(here) and '--no-browser' not in lab_command(here)


def test_lab_starts_that_command_in_the_courses_folder(here, monkeypatch):
    started = []
    monkeypatch.setattr(os, 'execv', lambda program, command: started.append((os.getcwd(), command)))
    assert run('lab', '--lesson', '07', '--no-browser', '--port', '8890').exit_code == 0
    folder, command = started[0]
    assert (
        folder == str(here)
        and '/lab/tree/nbs/full/07_x.ipynb' in ' '.join(command)
        and command[-2:] == ['--port', '8890']
    )


def test_lab_without_jupyterlab(here, monkeypatch):
    monkeypatch.setattr(cli, 'find_spec', lambda name: None)
    done = run('lab')
    assert done.exit_code == 1 and "pip install 'coursehelpers[lab]'" in done.output


def test_lab_knows_these_settings():
    "JupyterLab must still have the traits that keep it off the network."
    from jupyterlab.labapp import LabApp

    assert {'news_url', 'check_for_updates_class', 'extension_manager'} <= set(LabApp.class_trait_names())
    from jupyterlab import NeverCheckForUpdate

    assert NeverCheckForUpdate


# --- lessons


@pytest.mark.parametrize('name', ['7', '07', '07_x', '07_x.ipynb', 'nbs/full/07_x.ipynb', 'x'])
def test_ways_to_name_a_lesson(tree, name):  # noqa: F811
    assert [p.stem for p in find_lessons(tree, [name])] == ['07_x']


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


def test_run_with_a_profile_says_what_was_measured(here, monkeypatch):
    """The kernel gets the profile; what `#|gpu` and `#|record` cells print is seen outside a notebook.
    Without a GPU it runs all the same, and says so."""
    write(
        here,
        'full',
        code(
            '#|gpu\nfrom coursehelpers.settings import profile\nprint("profile", profile().name, profile().arch)', 'g'
        ),
        code('print("not this")', 'p'),
        code('#|record twice\nfrom coursehelpers.results import record\nrecord("twice", [1., 2., 3.], unit="%")', 'r'),
    )
    monkeypatch.setattr('coursehelpers.settings.device', lambda: __import__('torch').device('cpu'))
    done = run('run', '07', '--profile', 'gpu')
    assert (
        done.exit_code == 0
        and 'profile gpu convnext_tiny' in done.output
        and 'not this' not in done.output
        and 'No GPU is found here' in done.output
    )
    assert '2' in next(line for line in done.output.splitlines() if '%' in line), done.output
    assert 'No GPU' not in run('run', '07').output


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


def test_run_warns_and_save_refuses(here):
    write(here, 'full', code('from IPython.display import display\ndisplay({"image/png": "x"}, raw=True)', 'p'))
    done = run('run')
    assert done.exit_code == 0 and 'note: 07_x.ipynb, cell p: a figure without alt text' in done.output
    done = run('run', '--save')
    assert (
        done.exit_code == 1
        and 'cell p' in done.output
        and json.loads((here / 'nbs' / 'full' / '07_x.ipynb').read_text())['cells'][-1]['outputs'] == []
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
        ('def twice(x) return', '✖ twice: raised\n    SyntaxError', 1),
    ],
)
def test_check_reports_the_clean_notebook(here, answer, status, rc):
    write(here, 'clean', code(CHECK, 'own'), code('1/0', 'error'), code(answer, 'ex'), code('check(twice)', 'ex-check'))
    before = (here / 'nbs' / 'clean' / '07_x.ipynb').read_text()
    done = run('check', 'twice')
    assert status in done.output and done.exit_code == rc, done.output
    assert (here / 'nbs' / 'clean' / '07_x.ipynb').read_text() == before


def test_check_says_when_the_check_is_gone(here):
    write(here, 'clean', code('x = 1'))
    done = run('check', '07')
    assert done.exit_code == 1 and 'its cell check(twice) is not in the notebook' in done.output


def test_check_says_when_the_clean_notebook_is_gone(here):
    (here / 'nbs' / 'clean' / '07_x.ipynb').unlink()
    done = run('check')
    assert done.exit_code == 1 and 'coursehelpers clean' in done.output


def test_check_without_a_list_of_exercises(here, monkeypatch):
    monkeypatch.setattr(exercises, 'exercises', dict)
    done = run('check')
    assert done.exit_code == 1 and 'coursehelpers clean' in done.output


def test_check_offers_near_names(here):
    assert 'twice' in run('check', 'twise').output.replace('twise', '') and 'mean' in run('check', 'twise').output


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
        (['run', '07'], '07_x: ran in'),
        (['run', '--clean', '07'], '07_x: ran in'),
        (['check', 'twice'], '✔ twice: correct'),
    ],
)
def test_learners_need_no_nbdev(here, args, said):
    write(here, 'full', code('print(2)', 'p'))
    write(here, 'clean', code(CHECK, 'own'), code('def twice(x): return 2*x', 'ex'), code('check(twice)', 'ex-check'))
    done = subprocess.run([sys.executable, '-c', LEARNER, *args], capture_output=True, text=True, cwd=here / 'nbs')
    assert done.returncode == 0 and said in done.stdout + done.stderr, done.stdout + done.stderr


# --- progress, clean, prepare, doctor


def test_progress(here):
    assert '○ not attempted twice' in run('progress').output.replace('  ', ' ')


def test_clean(here):
    assert run('clean', '--check').exit_code == 0 and 'up to date' in run('clean').output
    (here / 'nbs' / 'clean' / '07_x.ipynb').unlink()
    done = run('clean', '--check')
    assert done.exit_code == 1 and 'missing: nbs/clean/07_x.ipynb' in done.output
    assert 'wrote nbs/clean/07_x.ipynb' in run('clean').output and run('clean', '--check').exit_code == 0


def test_clean_asks_before_it_writes_over_work(here):
    (here / 'nbs' / 'clean' / '07_x.ipynb').write_text(json.dumps(nb(dict(code('x'), execution_count=1))))
    done = run('clean')
    assert done.exit_code == 1 and '--force' in done.output
    assert run('clean', '--force').exit_code == 0


def test_prepare(here):
    done = run('prepare')
    assert done.exit_code == 0 and 'up to date' in done.output, done.output
    (here / 'coursehelpers' / 'old.py').write_text('')
    done = run('prepare')
    assert done.exit_code == 1 and 'coursehelpers/old.py' in done.output


def test_doctor_says_with_its_exit_code_whether_something_needs_doing(monkeypatch):
    from coursehelpers import settings

    for advice, rc in (('', 0), ('do this', 1)):
        monkeypatch.setattr(settings, 'doctor', lambda advice=advice: [('python', '3', advice)])
        assert run('doctor').exit_code == rc
