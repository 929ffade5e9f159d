"What `make matrix` says, keeps and shows; what it runs takes an hour, and is no test."
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from coursehelpers.author.launch import platforms_table
from scripts import matrix as module

ROOT = Path(__file__).parents[1]
FULL = {'platform': 'b', 'full': 'no error', 'clean': 'all correct', 'page': 'answered, JupyterLab 4.5.1'}


@pytest.fixture
def call(monkeypatch, tmp_path):
    "The command with this for a table, in an empty folder."
    import typer
    app = typer.Typer()
    app.command()(module.main)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, 'FOUND', tmp_path/'platforms.json')
    monkeypatch.setattr(module, 'missing', str)
    return lambda *names: CliRunner().invoke(app, list(names))


def kept(folder): return json.loads((folder/'platforms.json').read_text())


def test_the_workflow_runs_every_row():
    job = yaml.safe_load((ROOT/'.github/workflows/matrix.yml').read_text())['jobs']['row']
    assert job['strategy']['matrix']['row'] == list(module.ROWS)


def test_what_a_row_names_is_there():
    files = [word for row in module.ROWS.values() for word in row.wanted if word.endswith('.txt')]
    assert len(files) == 3 and all(Path(file).exists() for file in files)
    lessons = {path.name[:2] for path in (ROOT/'nbs/full').glob('*.ipynb')}
    assert all(set(row.lessons) <= lessons for row in module.ROWS.values())


def test_a_row_takes_the_place_of_the_one_before_it(call, monkeypatch, tmp_path):
    (tmp_path/'platforms.json').write_text(json.dumps([{'platform': 'a'}, {'platform': 'newest versions'}]))
    monkeypatch.setattr(module, 'try_out', lambda name, logs: FULL | {'platform': name})
    assert call('newest versions', "Colab's versions").exit_code == 0
    assert [row['platform'] for row in kept(tmp_path)] == ['a', 'newest versions', "Colab's versions"]


@pytest.mark.parametrize('part', [{'full': 'failed'}, {'clean': 'failed'}, {'page': 'no answer, JupyterLab 3.6.8'}])
def test_a_row_that_failed_is_kept_and_said(call, monkeypatch, tmp_path, part):
    monkeypatch.setattr(module, 'try_out', lambda name, logs: FULL | part)
    assert call('newest versions').exit_code == 1
    assert kept(tmp_path) == [FULL | part]


def test_an_environment_that_cannot_be_made(call, monkeypatch, tmp_path):
    def no_python(row, folder): raise subprocess.CalledProcessError(2, 'uv', stderr='no Python 3.14')
    monkeypatch.setattr(module, 'environment', no_python)
    done = call('newest versions, Python 3.14')
    assert done.exit_code == 1 and 'no Python 3.14' in done.output
    assert not (tmp_path/'platforms.json').exists()


def test_a_row_that_is_none(call):
    done = call('Windows 3.1')
    assert done.exit_code == 2 and 'Windows 3.1' in done.output and 'newest versions' in done.output


def test_the_table_has_a_column_for_each_thing_that_a_row_says():
    row = dict.fromkeys(('platform', 'python', 'torch', 'timm', 'ipywidgets', 'lessons', 'full', 'clean', 'page',
                         'seconds', 'memory', 'date'), 'x')
    head, *lines = platforms_table([row]).splitlines()
    assert all(line.count('|') == head.count('|') == len(row) + 1 for line in lines)
    assert '| Kaggle | not opened yet |' in '\n'.join(lines)
    opened = platforms_table([row | {'platform': 'Kaggle'}])
    assert '| Kaggle | x |' in opened and '| Kaggle | not opened yet |' not in opened
