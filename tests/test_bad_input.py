"Bad answers, one by one: each gets its word, none ends the session, hangs it or upsets the next check."

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from coursehelpers import exercises as ex
from coursehelpers.author.running import run_nb
from coursehelpers.base.files import locked
from coursehelpers.checks import judging
from coursehelpers.exercises import NotYet, agree, agree_on, check, exercise, progress


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    "A progress file and a list of exercises of its own: `double` gives a tensor, `Twice` is a class."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'progress.json'))
    known = dict(double='def double(x): ...', Twice='class Twice:\n    ...')
    monkeypatch.setattr(ex, 'exercises', lambda: {n: dict(lesson='99', stub=s, solution='') for n, s in known.items()})
    exercise('double')(lambda fn: agree_on(fn, lambda x: 2*x, torch.randn(3)))
    exercise('Twice')(lambda cls: agree(cls(2).value, 4))
    return tmp_path/'progress.json'


def made(source):
    "What a cell with this source calls `f`."
    space = {'__name__': '__main__'}
    exec(source, space)
    return space['f']


C = 'class C:\n    def {}(self, x): return {}\n'
RIGHT = [
    'f = lambda x: x + x', C.format('__call__', '2*x') + 'f = C()', C.format('m', '2*x') + 'f = C().m',
    'import functools\n@functools.cache\ndef f(x): return 2*x',
    'import functools\ndef g(n, x): return n*x\nf = functools.partial(g, 2)',
    'n = 0\ndef f(x):\n    global n\n    n += 1\n    return 2*x',
    'def make():\n    n = 0\n    def f(x):\n        nonlocal n\n        n += 1\n        return 2*x\n'
    '    return f\nf = make()',
    pytest.param('import torch\n@torch.compile(backend="eager")\ndef f(x): return 2*x', marks=pytest.mark.long),
    'import torch\nclass N(torch.nn.Module):\n    def forward(self, x): return 2*x\nf = N()',
    'import sys\ndef f(x):\n    sys.stdout.close()\n    print(1)\n    return 2*x',
    'import threading\ndef f(x):\n    t = threading.Thread(target=print)\n    t.start()\n    t.join()\n    return 2*x',
]


@pytest.mark.parametrize('source', RIGHT, ids=range(len(RIGHT)))
def test_right_however_it_is_written(source):
    assert check(made(source), 'double').status == 'correct'


WRONG = [
    (C.format('__call__', 'x/"a"') + 'f = C()', 'line 2 of your cell'),
    (C.format('m', 'x/"a"') + 'f = C().m', 'line 2 of your cell'),
    ('f = len', 'not written in Python'), ('import torch\nf = torch.add', 'not written in Python'),
    ('import numpy\nf = numpy.add', 'not written in Python'),
    ('class f:\n    def __init__(self, x): self.x = x', 'a class, and a function is asked'),
    ('def f(x): yield x', 'gives back a generator'), ('def f(x): return (a for a in x)', '`list(...)` around it'),
    ('async def f(x): return x', 'it is `async`'), ('def f(x): return map(abs, x)', 'got a map'),
    ('def f(x): return f(x)', 'RecursionError'), ('def f(x): raise SystemExit', 'It ends the program'),
    ('def f(x): raise GeneratorExit', 'GeneratorExit'),
    ('def f(x): return torch.ones(2)', 'Has the cell that makes it'),
    ('def f(x):\n    y += x', 'UnboundLocalError'), ('def f(x): assert False', 'AssertionError\n'),
    ('class E(Exception):\n    def __str__(self): return 1/0\ndef f(x): raise E', 'E\nline 3 of your cell'),
    ('class R:\n    def __repr__(self): return 1/0\ndef f(x): return R()', 'got a R, expected a Tensor'),
    ('class Q:\n    def __eq__(self, o): return True\ndef f(x): return Q()', 'got a Q'),
    ('def f(x): return 10**5000', 'got the plain number'), ('def f(x): return ...', 'got an ellipsis'),
    ('def f(x):\n    a = []\n    a.append(a)\n    return a', 'got a list'),
    ('def f(x): return x.new_zeros(()).expand(2**20, 2**20)', 'got shape (1048576, 1048576)'),
    ('def f(x): return x.to("meta")', 'got device meta, expected cpu'),
    ('def f(x): return x.to_sparse()', 'got layout sparse_coo, expected strided'),
    ('def f(x): return [0] * 2**60', 'MemoryError'), ('def f(x): return range(10**12)', 'got a range'),
    ('def f(x): return x.new_zeros(2**56)', 'memory'), ('def f(x): return x.resize_(0)', 'in place'),
    ('def f(x, y): return x', 'TypeError'),
]


@pytest.mark.parametrize('source, words', WRONG, ids=range(len(WRONG)))
def test_wrong_and_said_so(source, words):
    o = check(made(source), 'double')
    assert o.status in ('not yet', 'raised') and words in repr(o), o


def test_a_function_where_a_class_is_asked():
    assert 'a function, and a class is asked' in check(lambda x: x, 'Twice').message


@pytest.mark.parametrize('value', [3, None, torch.ones(2)])
def test_a_value_is_not_a_function(value):
    with pytest.raises(TypeError, match='check takes the function itself, as in'):
        check(value, 'double')


def test_a_stop_by_hand_stops():
    with pytest.raises(KeyboardInterrupt):
        check(made('def f(x): raise KeyboardInterrupt'), 'double')


def test_a_loop_that_swallows_its_end_is_stopped(monkeypatch):
    monkeypatch.setattr(judging, 'LONGEST', .1)
    o = check(made('def f(x):\n    while True:\n        try: y = 1\n        except: pass'), 'double')
    assert 'stopped after 0.1 seconds' in o.message


def test_prints_without_end_fill_no_memory(capsys):
    check(made('def f(x):\n    for _ in range(300): print("x" * 10**5)\n    return 2*x'), 'double')
    assert len(capsys.readouterr().out) < 400


# --- the session

CHANGES = [
    ('torch.set_default_dtype(torch.float64)', "torch's default dtype"),
    ('torch.set_grad_enabled(False)', 'whether torch computes gradients'),
    ('np.seterr(all="raise")', 'how NumPy treats errors'), ('os.chdir("/")', 'the working folder'),
    ('sys.setrecursionlimit(5000)', 'how deep Python may recurse'),
]


def session():
    "What holds for the whole session."
    return {what: value for what, (value, _) in judging._session().items()}


@pytest.mark.parametrize('change, what', CHANGES)
def test_what_an_answer_changes_is_said_and_put_back(change, what):
    before = session()
    f = made(f'import os, sys, torch, numpy as np\ndef f(x):\n    {change}\n    return 2*x')
    assert f'it changes {what} for everything' in check(f, 'double').message
    assert session() == before and check(lambda x: 2*x, 'double').status == 'correct'


@pytest.mark.parametrize('change', [change for change, _ in CHANGES] + ['torch.set_default_device("meta")'])
def test_what_the_learner_has_set_upsets_no_check_and_stays(change):
    before = judging._session()
    try:
        exec(change, dict(torch=torch, np=np, os=os, sys=sys))
        mine = session(), torch.get_default_device()
        assert check(lambda x: 2*x, 'double').status == 'correct'
        assert (session(), torch.get_default_device()) == mine
    finally:
        torch.set_default_device(None)
        judging._put_back(before)


def test_seeds_of_an_answer_are_its_own():
    torch.manual_seed(0)
    expected = torch.randn(1)
    torch.manual_seed(0)
    check(made('import torch\ndef f(x):\n    torch.manual_seed(3)\n    return 2*x'), 'double')
    assert torch.randn(1) == expected


# --- pandas, NumPy and torch alike

t, nan = torch.tensor, float('nan')
WORDS = Path(os.devnull) # what no comparison knows
with warnings.catch_warnings():
    warnings.simplefilter('ignore') # of what torch calls a prototype
    VALUES = dict(
        list=[1., 2., 3.], int=2, true=True, text='a', complex=1 + 2j, none=None, dict={'a': 1}, other=WORDS,
        huge=10**5000, np=np.array([1., 2., 3.]), np_int=np.array([1, 2, 3]), np_nan=np.array([1., nan, 3.]),
        np_half=np.array([1, 2, 3], 'float16'), np_bool=np.array([True, False]),
        np_object=np.array([1., 'a', None, nan], object),
        np_ragged=np.array([[1, 2], [3]], object), np_words=np.array(['a', 'b']),
        np_complex=np.array([1j]),
        np_dates=np.array(['2020-01-01', 'NaT'], 'datetime64[s]'), np_empty=np.array([]), t=t([1., 2., 3.5]),
        t_grad=t([1., 2., 3.4], requires_grad=True), t_turned=torch.arange(6.).reshape(2, 3).t(), t_int=t([1, 2, 3]),
        t_bool=t([True, False]), t_half=t([1., 2.]).half(), t_bf16=t([1., 2.]).bfloat16(), t_0d=t(7.),
        t_complex=t([1j, 2.]), t_conj=t([1j, 2.]).conj(), t_nan=t([1., nan, 3.]), t_sparse=torch.eye(3).to_sparse(),
        t_csr=torch.eye(3).to_sparse_csr(), t_nested=torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        s=pd.Series([1., 2., 3.]), s_named=pd.Series([1., 2., 3.], list('xyz'), name='n'),
        s_Int64=pd.Series([1, None, 3], dtype='Int64'), s_boolean=pd.Series([True, None], dtype='boolean'),
        s_string=pd.Series(['a', None], dtype='string'), s_category=pd.Series(['a', None, 'c'], dtype='category'),
        s_object=pd.Series(['a', None, [1]]), s_dates=pd.Series(pd.to_datetime(['2020-01-01', None])),
        df=pd.DataFrame(dict(a=[1., 2.], b=['x', None])), df_odd=pd.DataFrame(dict(name=[1., 2.], index=1, columns=2)),
        df_twice=pd.DataFrame([[1, 2], [3, 4]], columns=['a', 'a']), df_empty=pd.DataFrame(),
        index=pd.Index([1, 2, 3]), multi=pd.MultiIndex.from_tuples([(1, 'a'), (2, 'b')]),
        category=pd.Categorical(['a', None, 'c']), array=pd.array([1, None, 3], dtype='Int64'),
        time=pd.Timestamp('2020'), nat=pd.NaT, na=pd.NA,
    )


@pytest.mark.parametrize('expected', VALUES)
def test_each_is_itself_and_nothing_else(expected):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        agree(VALUES[expected], VALUES[expected])
        for got, value in VALUES.items():
            if got == expected: continue
            with pytest.raises(NotYet) as said:
                agree(value, VALUES[expected])
            assert len(str(said.value)) < 300, (got, said.value)


def series(*values, **options): return pd.Series(values, **options)


DIFFER = [
    (t([1., 5., 2.]), t([1., 2., 3.]), 'got 5 at [1], expected 2 there'),
    (np.array([1., 5., 2.]), np.array([1., 2., 3.]), 'got 5 at [1], expected 2 there'),
    (series(1., 5., 2.), series(1., 2., 3.), 'got 5 at [1], expected 2 there'),
    (series(1, 5, index=['x', 'y']), series(1, 2, index=['x', 'y']), "got 5 at ['y'], expected 2 there"),
    (pd.DataFrame(dict(a=[1, 5])), pd.DataFrame(dict(a=[1, 2])), "got 5 at [1, 'a'], expected 2 there"),
    (pd.DataFrame(dict(a=['x'])), pd.DataFrame(dict(a=['y'])), "got 'x' at [0, 'a'], expected 'y' there"),
    (pd.Index([1, 5]), pd.Index([1, 2]), 'got 5 at [1], expected 2 there'),
    (t([1., nan]), t([1., 2.]), 'got NaN at 1 of 2 places'), (series(1., nan), series(1., 2.), 'got NaN at 1 of 2'),
    (series(1, None, dtype='Int64'), series(1, 2, dtype='Int64'), 'got NaN at 1 of 2 places, expected none'),
    (series(1, 2, dtype='Int64'), series(1, None, dtype='Int64'), 'got 2 at [1], expected nan there'),
    (series('a', None, dtype='string'), series('a', 'b', dtype='string'), 'got NaN at 1 of 2 places'),
    (t([1]), t([1.]), 'got dtype int64, expected float32'),
    (series(1), series(1.), 'got dtype int64, expected float64'),
    (series('a', dtype='category'), series('a', dtype=pd.CategoricalDtype(['a', 'b'])), "category ['a', 'b']"),
    (t([1., 2.]), t([1.]), 'got shape (2,), expected (1,)'), (series(1, 2), series(1), 'got shape (2,), expected (1,)'),
    (t([1 + 1j]), t([1 + 2j]), 'got (1+1j) at [0]'), (t([100_001]), t([100_000]), 'got 100001 at [0]'),
    (np.array([2**60 + 1]), np.array([2**60]), f'got {2**60 + 1} at [0]'), (100_001, 100_000, 'got 100001'),
    (np.array([1, 'a'], object), np.array([1, 'b'], object), "got 'a', expected 'b' at [1]"),
    (1 + 1j, 1 + 2j, 'got (1+1j)'), (1 + 0j, 1., 'got (1+0j)'), (t(2), True, 'got 2'),
    (torch.eye(2).to_sparse(), 2*torch.eye(2).to_sparse(), 'got 1 at [0, 0], expected 2 there'),
]


@pytest.mark.parametrize('got, expected, words', DIFFER, ids=range(len(DIFFER)))
def test_what_differs_is_said_alike(got, expected, words):
    with pytest.raises(NotYet) as said:
        agree(got, expected)
    assert words in str(said.value)


# --- the progress file


@pytest.mark.parametrize('place', ['/dev/null', '/dev/full', '/dev/zero', '.', '/proc/version'])
def test_a_device_or_a_folder_is_said_at_once(place, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', place)
    before = os.listdir('/dev')
    assert check(lambda x: 2*x, 'double').status == 'correct' and progress().counts()['correct'] == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and all('Your progress could not be' in line for line in said)
    assert os.listdir('/dev') == before


def test_another_version_s_file_is_carried_on(own):
    old = dict(version=7, guesses={}, exercises=dict(double=dict(status='raised', attempts=3, best=1), gone='yes'))
    own.write_text(json.dumps(old))
    check(lambda x: 2*x, 'double')
    kept = json.loads(own.read_text())
    assert kept['version'] == 7 and kept['exercises']['gone'] == 'yes'
    assert kept['exercises']['double'] == dict(status='correct', attempts=4, best=1)
    assert ('99', 'double', 'correct', 4) in progress().rows


def test_a_huge_file_is_not_read(own, capsys):
    with own.open('w') as f:
        f.truncate(10**10)
    check(lambda x: 2*x, 'double')
    assert 'too large' in capsys.readouterr().out and own.stat().st_size == 10**10


def test_a_damaged_file_has_a_remedy(own, capsys):
    own.write_text('{"exer')
    check(lambda x: 2*x, 'double')
    assert '`coursehelpers reset` in a terminal renames it' in capsys.readouterr().out and own.read_text() == '{"exer'


def test_a_file_that_another_program_holds_is_said_soon(own, capsys):
    hold = f'from coursehelpers.base.files import locked\nwith locked({str(own)!r}):\n    print(1, flush=True)\n'
    hold += '    input()'
    with subprocess.Popen([sys.executable, '-c', hold], stdin=-1, stdout=-1, text=True) as other:
        other.stdout.readline()
        assert check(lambda x: 2*x, 'double').status == 'correct'
        other.communicate('\n')
    assert 'another program has held it for 5 s' in capsys.readouterr().out
    with locked(own):
        pass


@pytest.mark.skipif(not hasattr(os, 'getuid') or os.getuid() == 0, reason='root may write everywhere')
def test_missing_rights_are_said(own, capsys):
    own.parent.chmod(0o555)
    try:
        assert check(lambda x: 2*x, 'double').status == 'correct'
    finally:
        own.parent.chmod(0o755)
    assert 'Set [run] progress in settings.ini' in capsys.readouterr().out


# --- in a kernel

CELLS = [
    ('check(mse)', "NameError: name 'check' is not defined"),
    ('from coursehelpers.exercises import check\ndef mse(preds, y): return torch.mean((preds - y)**2)\ncheck(mse)',
     'Has the cell that makes it been run'),
    ('import torch\ncheck(mse)', 'mse: correct'), ('check(mse)', 'mse: correct'),
    ('import sys\ndef mse(preds, y): sys.exit()\ncheck(mse)', 'It ends the program'),
    ('def mse(preds, y): return input()\ncheck(mse)', 'StdinNotImplementedError'),
    ('def mse(preds, y): return mse(preds, y)\ncheck(mse)', 'RecursionError'),
    ('def mse(preds, y): yield 1\ncheck(mse)', 'gives back a generator'),
    ('check(lambda preds, y: ((preds - y)**2).mean(), "mse")', 'mse: correct'),
    ('class mse: ...\ncheck(mse)', "write `mse` first|not attempted|a function is asked"),
    ('def freeze(model):\n    torch.set_grad_enabled(False)\ncheck(freeze)', 'it changes whether torch'),
    ('def baseline_by(train, valid, by, target): return valid.assign(x=1)\ncheck(baseline_by)', 'not yet|raised'),
    ('def mse(preds, y): return ((preds - y)**2).mean()\ncheck(mse)', 'mse: correct'),
]


def said(cell):
    "What a cell shows, as text."
    shown = [o.get('text', '') + o.get('data', {}).get('text/plain', '') for o in cell['outputs']]
    return '\n'.join(shown + [f'{o["ename"]}: {o["evalue"]}' for o in cell['outputs'] if 'ename' in o])


def test_in_a_kernel(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source, _ in CELLS])
    nb.metadata.kernelspec = dict(name='python3', display_name='python3')
    done = run_nb(nb, tmp_path, 'bad.ipynb', allow_errors=True)
    for (source, words), cell in zip(CELLS, done['cells'], strict=True):
        assert any(w in said(cell) for w in words.split('|')), (source, said(cell))
