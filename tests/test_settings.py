"settings.ini: every key has a reader, every mistake a message that says where and what."

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coursehelpers import settings as module
from coursehelpers.settings import SCHEMA, SettingsError, profile, settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def write(tmp_path):
    "Write a settings.ini in a folder of its own and give that folder."

    def _write(text):
        (tmp_path / 'settings.ini').write_text(text)
        return tmp_path

    return _write


def test_the_file_and_the_schema_hold_the_same_keys():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / 'settings.ini')
    assert {s: set(parser[s]) for s in parser.sections()} == {s: set(keys) for s, keys in SCHEMA.items()}


def test_every_key_is_read_somewhere():
    "Nothing in settings.ini is decoration: the package uses each key by name."
    code = '\n'.join(
        p.read_text() for p in (ROOT / 'coursehelpers').rglob('*.py') if p.name not in ('settings.py', '_modidx.py')
    )
    own = (ROOT / 'coursehelpers/settings.py').read_text()
    lessons = '\n'.join(p.read_text() for p in (ROOT / 'nbs/full').glob('*.ipynb'))
    for section, keys in SCHEMA.items():
        for key in keys:
            reader = f'.{key}'
            assert reader in code or reader in lessons or f'run.{key}' in own, f'nobody reads [{section}] {key}'


def test_missing_keys_come_from_the_shipped_file(write):
    found = settings(write('[course]\nbranch = draft\n'))
    assert found.course.branch == 'draft'
    assert found.course.repo == settings(ROOT).course.repo


def test_found_by_walking_up(write):
    folder = write('[course]\n[data]\nroot = here\n')
    (folder / 'a/b').mkdir(parents=True)
    assert settings(folder / 'a/b').data.root == folder / 'here'


def test_a_settings_ini_of_another_project_is_passed_over(write):
    folder = write('[DEFAULT]\nlib_name = other\n')
    assert settings(folder).path == ROOT / 'settings.ini'


def test_a_file_that_cannot_be_read_is_not_passed_over(write, monkeypatch):
    "Else the course's own settings would be used without a word."
    folder, real = write('[course]\nbranch = draft\n'), Path.read_text

    def refused(path, *args, **kwargs):
        if path == folder / 'settings.ini':
            raise PermissionError(13, 'Permission denied', str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, 'read_text', refused)
    with pytest.raises(SettingsError, match='settings.ini.*Permission denied'):
        settings(folder)


def test_a_file_whose_first_section_is_misspelt_is_still_ours(write):
    with pytest.raises(SettingsError, match="settings.ini.*'cuorse'.*course"):
        settings(write('[cuorse]\nbranch = draft\n[data]\n[run]\n'))


@pytest.mark.parametrize(
    'text, words',
    [
        ('[course]\n[data]\nrot = x\n', ['[data]', "'rot'", 'mean root?']),
        ('[course]\n[dta]\nroot = x\n', ["section 'dta'", 'mean data?']),
        ('[course]\nrepo = justaname\n', ['[course] repo', "'justaname'", 'owner/name']),
        ('[course]\nbranch =\n', ['[course] branch', 'empty']),
        ('[course]\n[run]\nprofile = huge\n', ['[run] profile', "'huge'", 'smoke']),
        ('[course]\n[profile.cpu]\nimages = many\n', ['[profile.cpu] images', "'many'", 'whole number']),
        ('[course]\n[profile.cpu]\nepochs = 0\n', ['[profile.cpu] epochs', 'at least 1']),
        ('[course]\n[course]\n', ['cannot be read', 'already exists']),
        ('[course]\nno equals sign here\n', ['cannot be read', 'no equals sign here']),
    ],
)
def test_each_mistake_names_file_section_and_key(write, text, words):
    folder = write(text)
    with pytest.raises(SettingsError) as e:
        settings(folder)
    for word in ['settings.ini', *words]:
        assert word in str(e.value)


def test_environment_wins_and_its_mistakes_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path))
    monkeypatch.setenv('COURSEHELPERS_PROFILE_SMOKE_IMAGES', '7')
    assert settings().data.root == tmp_path
    assert profile('smoke').images == 7
    monkeypatch.setenv('COURSEHELPERS_PROFILE_SMOKE_IMAGES', 'seven')
    with pytest.raises(SettingsError, match="COURSEHELPERS_PROFILE_SMOKE_IMAGES = 'seven'"):
        settings()
    monkeypatch.delenv('COURSEHELPERS_PROFILE_SMOKE_IMAGES')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOTS', 'x')
    with pytest.raises(SettingsError, match='COURSEHELPERS_DATA_ROOTS.* COURSEHELPERS_DATA_ROOT[?]'):
        settings()


def test_unknown_profile_is_a_message():
    with pytest.raises(SettingsError, match="'smke'.* smoke"):
        profile('smke')


def test_auto_looks_at_the_machine(monkeypatch):
    import torch

    for kind, name in (('cuda', 'gpu'), ('cpu', 'cpu'), ('mps', 'cpu')):
        monkeypatch.setattr(module, 'device', lambda kind=kind: torch.device(kind))
        assert profile('auto').name == name


def test_light_modules_load_nothing_heavy():
    "A check, a record or the command line never waits for torch or widgets."
    code = (
        "import sys; import coursehelpers.settings, coursehelpers.results, coursehelpers.exercises\n"
        "import coursehelpers.glossary, coursehelpers.cli\n"
        "print([m for m in ('torch', 'timm', 'anywidget', 'ipywidgets', 'nbdev', 'fastcore') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.strip() == '[]'
    )


def test_import_counts_modules():
    "`import coursehelpers` is two modules: itself and nothing else of weight."
    code = "import sys; before = set(sys.modules); import coursehelpers; print(len(set(sys.modules) - before))"
    assert int(subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout) <= 2


@pytest.mark.parametrize('mine, kept', [(None, '3000'), ('7', '7')])
def test_waiting_threads_do_not_spin_for_long(mine, kept):
    "Set before torch loads, and never over what the user chose."
    env = {k: v for k, v in os.environ.items() if k != 'GOMP_SPINCOUNT'} | ({'GOMP_SPINCOUNT': mine} if mine else {})
    done = subprocess.run(
        [sys.executable, '-c', "import coursehelpers, os; print(os.environ['GOMP_SPINCOUNT'])"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == kept
