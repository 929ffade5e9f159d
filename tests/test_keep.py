"What a learner did outlives the machine: on Colab in the Drive, on Kaggle in the folder that is saved."
import json
import subprocess
import sys
import types

import pytest

from coursehelpers import exercises
from coursehelpers.base.files import DataError
from coursehelpers.settings import settings


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    "A progress file of this machine with one solved exercise."
    path = tmp_path/'machine'/'progress.json'
    path.parent.mkdir()
    average = dict(status='correct', attempts=2, answer='def average(v): 1')
    path.write_text(json.dumps(dict(exercises=dict(average=average))))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(path))
    return path


def test_on_colab_it_asks_for_the_drive_and_moves_there(tmp_path, monkeypatch):
    mounted = []
    google = types.ModuleType('google.colab')
    google.drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, 'google', types.ModuleType('google'))
    monkeypatch.setitem(sys.modules, 'google.colab', google)
    monkeypatch.setenv('COLAB_RELEASE_TAG', 'x')
    monkeypatch.setitem(exercises._lasting, 'Colab', f'{tmp_path}/drive/deep-learning')
    assert 'drive/deep-learning/progress.json' in exercises.keep_progress()
    assert mounted == ['/content/drive']
    assert settings().run.progress == tmp_path/'drive/deep-learning/progress.json'
    assert exercises.progress().counts()['correct'] == 1 and 'def average(v): 1' in exercises.my_answer('average')


def test_on_kaggle_it_is_the_folder_that_is_saved(tmp_path, monkeypatch):
    "And what an earlier version saved is taken over: the entry that was tried more often."
    monkeypatch.setenv('KAGGLE_KERNEL_RUN_TYPE', 'x')
    monkeypatch.setitem(exercises._lasting, 'Kaggle', str(tmp_path/'working'))
    earlier = tmp_path/'earlier.json'
    tried = dict(average=dict(status='not yet', attempts=9), spread=dict(status='correct', attempts=1))
    earlier.write_text(json.dumps(dict(exercises=tried, guesses=dict(loss=dict(said='3')))))
    exercises.keep_progress(earlier=earlier)
    kept = json.loads((tmp_path/'working/progress.json').read_text())
    assert kept['exercises'] == tried and kept['guesses'] == dict(loss=dict(said='3'))


def test_on_your_own_machine_it_stays_where_it_is(own):
    before = own.read_text()
    assert str(own) in exercises.keep_progress()
    assert own.read_text() == before and settings().run.progress == own


def test_a_folder_of_your_own_again_and_again(tmp_path):
    for _ in range(2):
        exercises.keep_progress(tmp_path/'mine')
    assert json.loads((tmp_path/'mine/progress.json').read_text())['exercises']['average']['attempts'] == 2


def test_what_cannot_be_kept_is_said_and_nothing_moves(tmp_path, own):
    (tmp_path/'file').touch()
    (tmp_path/'odd').mkdir()
    (tmp_path/'odd/progress.json').write_text('[1]')
    for arguments, words in ((dict(folder=tmp_path/'file'), 'file'), (dict(folder=tmp_path/'odd'), 'no progress file'),
                             (dict(earlier=tmp_path/'gone.json'), 'gone.json')):
        with pytest.raises(DataError, match=words):
            exercises.keep_progress(**arguments)
    assert settings().run.progress == own and (tmp_path/'odd/progress.json').read_text() == '[1]'


CELLS = '''
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
def run(cell): assert shell.run_cell(cell).success
run('from coursehelpers.exercises import check, my_answer')
run('from coursehelpers.settings import profile')
run('def average(values):\\n    return 3')
run('outcome = check(average)')
run('print(my_answer("average"))')
run('%env COURSEHELPERS_RUN_PROFILE=smoke\\nprint(profile().name)') # as in lesson 00
'''


def test_an_answer_from_a_cell_is_kept_and_a_setting_changed_in_a_cell_holds():
    done = subprocess.run([sys.executable, '-c', CELLS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '```python\ndef average(values):\n    return 3\n```' in done.stdout
    assert done.stdout.endswith('smoke\n')
