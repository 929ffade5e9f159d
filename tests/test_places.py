"Where a class works: what Codespaces, Binder and JupyterHub read of the repository."
import json
import subprocess
from pathlib import Path

import yaml

from coursehelpers.base.delivery import FOLDER

ROOT = Path(__file__).parents[1]
ENVIRONMENT = yaml.safe_load((ROOT/'environment.yml').read_text(encoding='utf-8'))


def test_a_codespace_opens_lesson_00_in_the_environment_of_make_lab():
    container = json.loads((ROOT/'.devcontainer/devcontainer.json').read_text(encoding='utf-8'))
    vs_code = container['customizations']['vscode']['settings']
    [opened] = container['customizations']['codespaces']['openFiles']
    copy, variant, lesson = Path(opened).parts
    assert copy == FOLDER and (ROOT/'nbs'/variant/lesson).is_file()
    assert container['waitFor'] == 'postCreateCommand', 'the kernel must be there before the notebook opens'
    making, getting = container['postCreateCommand'].split(' && ')
    made = making.removeprefix('make ')
    assert getting == '.venv/bin/coursehelpers get'
    planned = subprocess.run(['make', '-n', '-W', 'pyproject.toml', made], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0 and 'scripts/environment.py lab' in planned.stdout, planned.stderr
    assert Path(vs_code['python.defaultInterpreterPath']).parts[1:] == ('.venv', 'bin', 'python')


def test_conda_binder_and_codespaces_have_one_python_and_one_set_of_versions():
    container = json.loads((ROOT/'.devcontainer/devcontainer.json').read_text(encoding='utf-8'))
    python = container['image'].rpartition(':')[2]
    *conda, by_pip = ENVIRONMENT['dependencies']
    assert conda == [f'python={python}', 'pip'] and by_pip['pip'] == ['-c constraints.txt', '-e .[lab]']
    assert (ROOT/'constraints.txt').is_file()
    # repo2docker reads environment.yml at the top only where there is no folder of its own
    assert not (ROOT/'binder').exists() and not (ROOT/'.binder').exists()
