"What `make` does before anything else: an environment, or one sentence why there is none."
import sys
from pathlib import Path

import pytest

from coursehelpers.base import ready
from scripts import environment as module

ROOT = Path(__file__).parents[1]


def test_every_rule_of_make_that_needs_an_environment_gets_it_here():
    text = (ROOT/'Makefile').read_text()
    assert '$(PYTHON) scripts/environment.py $* && touch $@' in text and '-m venv' not in text


def test_make_knows_the_pythons_that_the_first_cell_knows():
    assert (module.OLDEST, module.NEWEST) == (ready.OLDEST, ready.NEWEST)


@pytest.mark.parametrize('version', [(3, 6, 9), (3, 9, 18), (3, 15, 0)])
def test_a_python_that_does_not_do(monkeypatch, tmp_path, version):
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(SystemExit, match='needs Python 3.10 to 3.14.*make lab PYTHON='):
        module.environment(tmp_path/'.venv')
    assert not (tmp_path/'.venv').exists()


@pytest.mark.parametrize('version, said', [((3, 9), 'made by Python 3.9'), (None, 'a Python that is gone')])
def test_an_environment_that_another_python_made(monkeypatch, tmp_path, version, said):
    monkeypatch.setattr(module, 'version_of', lambda python: version)
    with pytest.raises(SystemExit, match=f'{said}.*remove that folder'):
        module.environment(tmp_path)


def test_an_environment_that_will_do_is_used_whatever_python_asks(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'version_info', (3, 9, 18))
    monkeypatch.setattr(module, 'version_of', lambda python: (3, 12))
    monkeypatch.setattr(module, 'runs', lambda *command: pytest.fail('it makes another'))
    assert module.environment(tmp_path).name in ('python', 'python.exe')


def test_half_an_environment_does_not_stay(monkeypatch, tmp_path):
    def cut_off(*command):
        (tmp_path/'.venv/bin').mkdir(parents=True)
        return False
    monkeypatch.setattr(module, 'runs', cut_off)
    with pytest.raises(SystemExit, match='python3-venv'):
        module.environment(tmp_path/'.venv')
    assert not (tmp_path/'.venv').exists()


def test_versions_are_asked_of_the_python_itself(tmp_path):
    assert module.version_of(sys.executable) == sys.version_info[:2]
    assert module.version_of(tmp_path/'none') is None


@pytest.mark.parametrize('torch, index', [
    (None, None), ('cpu', 'https://download.pytorch.org/whl/cpu'), ('http://127.0.0.1:9/cu', 'http://127.0.0.1:9/cu')])
def test_a_lighter_torch_comes_first_and_matched_by_the_constraints(monkeypatch, torch, index):
    said = []
    monkeypatch.setattr(module, 'runs', lambda *command: said.append(command) or True)
    module.install('python', 'lab', torch)
    assert said[-1][-2:] == ('-e', '.[lab]') and len(said) == (2 if index else 1)
    assert all(command[5:7] == ('-c', 'constraints.txt') for command in said)
    assert not index or said[0][-4:] == ('--index-url', index, 'torch', 'torchvision')


@pytest.mark.parametrize('works, torch, said', [(0, 'cpu', 'could not be had from'), (0, None, 'Is there a network')])
def test_an_index_that_cannot_be_reached(monkeypatch, works, torch, said):
    monkeypatch.setattr(module, 'runs', lambda *command: bool(works))
    with pytest.raises(SystemExit, match=said):
        module.install('python', 'lab', torch)
