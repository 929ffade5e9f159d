"What differs on Windows and on a Mac: encodings, files that are open, what the C library and the system offer."
import ast
import ctypes
import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
MODULES = [p for p in sorted((ROOT/'coursehelpers').rglob('*.py')) if p.name != '_modidx.py']
# what only some systems have: each stands behind a question, in the module that is named
ONLY_SOME = {r'\bfcntl\b': '', r'\bresource\b\.': '', r'os\.(execv|fork|link|symlink|uname|geteuid)\b': '',
             r'/tmp\b|/dev/': '', r'\bgrep\b|shell=True': '', r'sched_getaffinity': 'hasattr', r'os\.preadv': 'hasattr',
             r'SIGALRM': 'hasattr', r'CDLL\(None\)': 'TypeError', r'/proc/|/sys/': 'exists()'}


def without_encoding(call):
    "Does this call read or write text in whatever encoding the system has?"
    name = getattr(call.func, 'attr', getattr(call.func, 'id', ''))
    named = 'encoding' in {k.arg for k in call.keywords}
    if name in ('read_text', 'write_text'):
        return not named and len(call.args) == (name == 'write_text')
    if name != 'open' or not isinstance(call.func, ast.Name): return False
    mode = call.args[1].value if len(call.args) > 1 else 'r'
    return 'b' not in mode and not named


@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_text_files_name_their_encoding(path):
    calls = [n for n in ast.walk(ast.parse(path.read_text('utf-8'))) if isinstance(n, ast.Call)]
    bare = [n.lineno for n in calls if without_encoding(n) and 'open(h' not in ast.unparse(n)]
    assert not bare, f'lines {bare}: on Windows the encoding would be another'


@pytest.mark.parametrize('pattern', ONLY_SOME)
def test_what_only_some_systems_have_stands_behind_a_question(pattern):
    question = ONLY_SOME[pattern]
    for path in MODULES:
        text = path.read_text('utf-8')
        if path.parent.name != 'author' and re.search(pattern, text):
            assert question and question in text, f'{path.name} uses {pattern}'


@pytest.fixture
def no_removal(monkeypatch):
    "As on Windows, where a file that is open cannot be removed."
    real = Path.unlink

    def unlink(path, missing_ok=False):
        if path.suffix == '.u8' and path.exists():
            raise PermissionError(13, 'it is in use', str(path))
        return real(path, missing_ok)
    monkeypatch.setattr(Path, 'unlink', unlink)


def test_a_damaged_pack_that_is_open_is_made_again(no_removal, tmp_path, monkeypatch, capsys):
    from PIL import Image

    from coursehelpers.images.cache import cached
    from coursehelpers.images.folders import folder
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path/'cache'))
    for i in range(4):
        (tmp_path/'pictures'/f'{i % 2}').mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (30, 30), (60 * i, 0, 0)).save(tmp_path/'pictures'/f'{i % 2}'/f'{i}.png')
    found = folder(tmp_path/'pictures')
    whole = cached(found, 16, 'memory').x
    pack = next((tmp_path/'cache').rglob('*.u8'))
    pack.write_bytes(b'\7' * pack.stat().st_size)
    assert torch.equal(cached(found, 16, 'memory').x, whole)
    assert 'is damaged' in capsys.readouterr().out


def test_a_checkpoint_that_was_read_is_in_use_no_more(tmp_path):
    "Else Windows could not put the next one in its place."
    from coursehelpers.training.checkpoints import read, write
    write(tmp_path/'a', dict(w=torch.arange(5000.)), {})
    tensors, _ = read(tmp_path/'a')
    with open(tmp_path/'a', 'r+b') as f: # in place: a tensor that lies in the file would see it
        f.seek(-4000, 2)
        f.write(b'\0' * 4000)
    assert torch.equal(tensors['w'], torch.arange(5000.))


def test_a_c_library_without_a_name(monkeypatch):
    from coursehelpers.nets import frozen

    def windows(name): raise TypeError('bad argument type for built-in operation')
    monkeypatch.setattr(ctypes, 'CDLL', windows)
    with frozen.memory_kept():
        pass
