"Checks: four outcomes, faults put where they belong, progress that is never lost, and every checker proved."

import asyncio
import functools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from coursehelpers import exercises as ex
from coursehelpers.author.launch import read_nb
from coursehelpers.checks import judging
from coursehelpers.checks.judging import is_stub, judge
from coursehelpers.exercises import (
    CheckFault,
    NotYet,
    UnknownExercise,
    agree_on,
    call,
    check,
    checkers,
    exercise,
    expect_fail,
    hint,
    progress,
    proofs,
    prove,
    reset,
    solution,
)
from coursehelpers.widgets.guess import guess, outcome

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def own(monkeypatch, tmp_path):
    "A progress file and a list of exercises of its own."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path / 'progress.json'))
    monkeypatch.setattr(
        ex,
        'exercises',
        lambda: {'square': dict(lesson='99', notebook='99_x.ipynb', stub='', solution='def square(x): return x*x')},
    )

    @exercise('square', hints=('Nudge.', 'More.'))
    def _(fn):
        agree_on(fn, torch.square, torch.randn(4))

    return tmp_path / 'progress.json'


def made(source, name='f', **space):
    "What `source` defines as `name`; its source text is not to be had."
    exec(source, space)
    return space[name]


# --- stubs


@pytest.mark.parametrize(
    'source',
    [
        'def f(x):\n    "Doc."\n    ...',
        'def f(x): ...',
        'def f(x): pass',
        'def f(x): "Doc."',
        'async def f(x):\n    "Doc."\n    ...',
        'def f(x:int=3, *args, y, **kw) -> int:\n    """Doc.\n    More."""\n    ...',
        'class f:\n    "Doc."\n    ...',
        'class f:\n    def __init__(self): ...\n    def g(self):\n        "Doc."\n        ...',
        'class f:\n    @property\n    def p(self): ...\n    @staticmethod\n    def s(x): ...\n'
        '    @classmethod\n    def c(cls): ...',
        'import torch\n@torch.no_grad()\ndef f(x):\n    "Doc."\n    ...',
        'from dataclasses import dataclass\n@dataclass\nclass f:\n    "Doc."\n    x: int = 1\n    def g(self): ...',
        'def outer():\n    y = 1\n    def f(x):\n        "Doc."\n        ...\n    return f, y\nf = outer()[0]',
    ],
)
def test_stubs_are_seen_without_source(source):
    assert is_stub(made(source))


@pytest.mark.parametrize(
    'source',
    [
        'def f(x): return x',
        'def f(x): print(x)',
        'def f(x):\n    x += 1',
        'def f(x): return ...',
        'def f(x): return 0',
        'async def f(x): return x',
        'def f(x): yield x',
        'def f(x): raise ValueError',
        'class f:\n    def g(self): return 1\n    def h(self): ...',
        'f = lambda x: None',
        'f = len',
    ],
)
def test_attempts_are_seen_too(source):
    assert not is_stub(made(source))


def test_a_partial_of_a_stub_is_a_stub():
    assert is_stub(functools.partial(made('def f(x): ...'), 1))


# --- four outcomes


def test_correct():
    assert check(lambda x: x * x, 'square').status == 'correct'


def test_not_yet_says_what_and_where():
    o = check(lambda x: x + 1, 'square')
    assert o.status == 'not yet' and 'expected' in o.message and 'inputs: x = float32 of shape (4,)' in o.message


def test_raised_names_error_line_and_inputs():
    o = check(made('def f(x):\n    y = x\n    return y.nothing'), 'square')
    assert (
        o.status == 'raised'
        and o.message.startswith('AttributeError')
        and 'line 3 of your cell' in o.message
        and 'inputs: x = float32' in o.message
    )
    assert isinstance(o.error, AttributeError)


def test_not_attempted():
    assert check(made('def square(x): ...', 'square')).status == 'not attempted'


def test_raised_deep_in_a_helper_names_the_learners_line():
    f = made('def g(x): return 1/0\ndef f(x):\n    return g(x)')
    assert 'line 1 of your cell' in check(f, 'square').message
    f = made('import json\ndef f(x):\n    return json.loads(x)')
    assert 'line 3 of your cell' in check(f, 'square').message


def test_a_wrong_signature_is_the_learners():
    assert check(made('def f(): return 1'), 'square').status == 'raised'


def test_outcomes_show_a_sign_and_a_word():
    for status, (sign, _) in ex.STATES.items():
        o = ex.Outcome('f', status, 'a < b')
        bundle = o._repr_mimebundle_()
        assert (
            f'{sign} f: {status}' in bundle['text/plain']
            and f'{sign} f: {status}' in bundle['text/html']
            and 'a &lt; b' in bundle['text/html']
        )
        assert bundle['application/vnd.coursehelpers.outcome+json'] == dict(name='f', status=status, message='a < b')
    assert len(ex.STATES) == 4


def test_a_fault_of_the_checker_is_not_the_learners(own):
    @exercise('broken')
    def _(fn):
        [][0]

    with pytest.raises(CheckFault, match='fault of the course'):
        check(lambda x: x, 'broken')
    assert not own.exists()


def test_a_value_that_a_check_cannot_go_on_with_is_named(own):
    @exercise('trusting')
    def _(fn):
        fn(1).mean()

    o = check(lambda x: [x], 'trusting')
    assert o.status == 'not yet' and 'what it gives back, [1]' in o.message and 'AttributeError' in o.message


def test_a_loop_without_an_end_is_stopped(monkeypatch):
    monkeypatch.setattr(judging, 'LONGEST', .1)

    def square(x):
        while True:
            x = x

    o = check(square)
    assert o.status == 'raised' and 'stopped after 0.1 seconds' in o.message and 'line' in o.message


def test_a_class_is_judged_too():
    @exercise('Adder')
    def _(cls):
        judging.agree(cls(2).add(3), 5)
        cls(2).add()

    assert (
        'expected 5'
        in check(made('class f:\n    def __init__(self, n): ...\n    def add(self, x): return x'), 'Adder').message
    )
    o = check(
        made('class f:\n    def __init__(self, n): self.n = n\n    def add(self, x):\n        return self.m + x'),
        'Adder',
    )
    assert o.status == 'raised' and 'line 4 of your cell' in o.message and 'inputs: x = 3' in o.message
    o = check(made('class f:\n    def __init__(self, n): self.n = n\n    def add(self, x): return self.n + x'), 'Adder')
    assert o.status == 'raised' and 'missing 1 required' in o.message


def test_async_and_generators():
    @exercise('later')
    def _(fn):
        with ThreadPoolExecutor(1) as alone: # a browser of other tests keeps a loop running in this thread
            judging.agree(alone.submit(asyncio.run, fn(2)).result(), 4)

    assert check(made('async def f(x): return 2*x'), 'later').status == 'correct'
    assert check(made('async def f(x): return x/0'), 'later').status == 'raised'

    @exercise('each')
    def _(fn):
        judging.agree(list(fn(2)), [0, 1])

    assert check(made('def f(n): yield from range(n)'), 'each').status == 'correct'
    assert check(made('def f(n):\n    yield 1/0'), 'each').status == 'raised'


def test_names():
    with pytest.raises(UnknownExercise, match='mean square'):
        check(lambda x: x, 'sqare')
    with pytest.raises(TypeError, match='without quotes'):
        check('square')
    with pytest.raises(UnknownExercise, match='progress'):
        hint('qqqqqq')
    for nameless in (lambda x: x, functools.partial(pow, 2)):
        with pytest.raises(UnknownExercise, match='lambda|partial'):
            check(nameless)


# --- usual faults

FAULTS = [
    (lambda x: None if len(x) else 0, 'gives back None'),
    (lambda x: print(x * x), '`print` shows a value'),
    (lambda x: x * x + 1, 'expected'),
    (lambda x: (x * x)[None], 'shape (1, 4), expected (4,)'),
    (lambda x: (x * x).double(), 'dtype float64'),
    (lambda x: x.log().sqrt(), 'NaN at'),
    (lambda x: (x * x).tolist(), 'got a list'),
    (lambda x: 2.0, 'plain number'),
    (lambda x: x.pow_(2), 'changes its input x in place'),
]


@pytest.mark.parametrize('fn, words', FAULTS)
def test_usual_faults_have_their_words(fn, words):
    o = check(fn, 'square')
    assert o.status == 'not yet' and words in o.message, o


def test_swapped_arguments_are_noticed():
    @exercise('sub')
    def _(fn):
        agree_on(fn, torch.sub, torch.randn(3), torch.randn(3))

    assert 'called with (b, a)' in check(made('def f(a, b): return b - a'), 'sub').message


def test_parts_are_compared_one_by_one():
    agree = judging.agree
    agree({'a': [1, 2.0]}, {'a': (1, 2.0)})
    for got, expected, words in [
        ({'a': 1}, {'b': 1}, 'keys'),
        ([1], [1, 2], '1 items, expected 2'),
        (['x'], ['y'], r'\[0\]'),
        (3, [3], 'expected a list'),
        (True, False, 'got True'),
        ('1', 1, 'expected the number'),
        (float('nan'), 1.0, 'got nan'),
    ]:
        with pytest.raises(NotYet, match=words):
            agree(got, expected)


def test_kinds_of_numbers_and_arrays():
    agree, np = judging.agree, pytest.importorskip('numpy')
    for got, expected in [
        (2.0, np.float64(2)),
        (np.float32(2), 2.0),
        (torch.tensor(2.0), np.float64(2)),
        (torch.ones(2), torch.nn.Parameter(torch.ones(2))),
        (np.ones(2), np.ones(2)),
        (2, 2.0),
    ]:
        agree(got, expected)
    for got, expected in [
        (True, 1),
        (np.ones(2), torch.ones(2)),
        (torch.ones(2), np.ones(2)),
        (np.ones(2), 1.0),
        (None, np.ones(2)),
    ]:
        with pytest.raises(NotYet):
            agree(got, expected)


def test_inputs_may_be_anything():
    assert call(lambda a, b, c: 1, [1], {'x': torch.ones(1)}, object()) == 1
    with pytest.raises(NotYet, match='input a in place'):
        call(lambda a: a.append(1), [1])
    w = torch.ones(2, requires_grad=True)
    agree_on(lambda w: torch.autograd.grad((w**2).sum(), w)[0], lambda w: 2 * w.detach(), w)


def test_random_numbers_are_fresh_and_the_learners_go_on():
    seen = []

    @exercise('seen')
    def _(fn):
        seen.append(torch.randn(1).item())

    torch.manual_seed(0)
    expected = torch.randn(1)
    torch.manual_seed(0)
    for _ in range(3):
        check(lambda x: x, 'seen')
    assert len(set(seen)) == 3 and torch.randn(1) == expected


def test_prints_are_shown_but_not_a_thousand(capsys):
    check(made('def f(x):\n    for i in range(5000): print(i)\n    return x*x'), 'square')
    out = capsys.readouterr().out
    assert out.startswith('0\n1\n') and len(out) < 400


# --- progress


def test_progress_counts_the_last_answer(own):
    for fn, status in ((lambda x: x * x, 'correct'), (lambda x: x, 'not yet'), (lambda x: 1 / 0, 'raised')):
        check(fn, 'square')
        assert progress().rows[0][2] == status
    check(lambda x: x * x, 'square')
    assert json.loads(own.read_text())['exercises'] == {'square': dict(status='correct', attempts=4)}
    check(made('def square(x): ...', 'square'))
    assert progress().rows == [('99', 'square', 'correct', 4)]
    assert 'lesson 99  ■  1 of 1' in repr(progress()) and 'square (4 tries)' in repr(progress())


def test_progress_of_another_version_is_kept_and_carried_on(own):
    gone = dict(lesson='05', status='correct', attempts=1)
    old = dict(square=dict(lesson='42', status='correct', attempts=2), gone=gone)
    own.write_text(json.dumps(dict(exercises=old, later=dict(x=1))))
    assert ('99', 'square', 'correct', 2) in progress().rows and ('', 'gone', 'correct', 1) in progress().rows
    check(lambda x: x * x, 'square')
    kept = json.loads(own.read_text())
    assert kept['later'] == dict(x=1) and kept['exercises']['gone'] == old['gone']


def test_guesses_and_numbers_are_shown(monkeypatch, own):
    from coursehelpers import results

    course = results.Record('loss', [2., 2.1], unit='m')
    monkeypatch.setattr(results, 'stored', lambda: dict(loss=course))
    monkeypatch.setattr(ex, 'stored', results.stored)
    box = guess('how far')
    box.value = '3'
    results.record('loss', [2.2, 2.3], unit='m')
    results.compare('loss')
    shown = repr(progress())
    assert 'how far: you 3, it is not seen yet' in shown and 'loss: yours 2.250 ± 0.071 m, the course' in shown
    outcome('how far', torch.tensor(4.))
    assert 'how far: you 3, it is 4' in repr(progress())


def test_a_guess_is_never_needed(own, capsys):
    outcome('nothing', 3)
    own.write_text('[1]')
    guess('how far').value = '3'
    outcome('how far', 4)
    assert own.read_text() == '[1]' and 'is no progress file' in capsys.readouterr().out


def test_reset_begins_anew_and_gives_the_stub(own):
    check(lambda x: x * x, 'square')
    assert 'check(square)' in reset('square')
    assert progress().rows == [('99', 'square', 'not attempted', 0)]
    with pytest.raises(UnknownExercise):
        reset('squares')


# --- whose answer


@pytest.fixture
def lesson_03():
    "A checker of lesson 03's `mse`."
    exercise('mse')(lambda fn: agree_on(fn, torch.nn.functional.mse_loss, torch.randn(5), torch.randn(5)))


def test_the_course_s_own_answer_earns_nothing(lesson_03, own):
    from coursehelpers.curves import mse

    o = check(mse)
    assert o.status == 'not yet' and "the course's own, imported from coursehelpers.curves" in o.message
    assert not own.exists()


@pytest.mark.parametrize(
    'source',
    [
        'from coursehelpers.curves import mse as m\ndef mse(preds, y): return m(preds, y)',
        'from coursehelpers import curves\ndef mse(preds, y): return curves.mse(preds, y)',
        'import coursehelpers.curves as c\ndef mse(preds, y): return 1 * c.mse(preds, y)',
        'def mse(preds, y):\n    from coursehelpers.curves import mse\n    return mse(preds, y)',
        'def mse(preds, y):\n    import coursehelpers.curves as c\n    return c.mse(preds, y)',
        'from coursehelpers.curves import mse as m\ndef mine(a, b): return m(a, b)\ndef mse(p, y): return mine(p, y)',
        'from coursehelpers.curves import mse as m\ndef mse(preds, y, m=m): return m(preds, y)',
        'from functools import partial\nfrom coursehelpers import curves\np = partial(curves.mse)\n'
        'def mse(a, b): return p(a, b)',
    ],
)
def test_an_answer_that_calls_the_course_s_own_earns_nothing(lesson_03, source):
    o = check(made(source, 'mse', __name__='__main__'))
    assert o.status == 'not yet' and "it uses the course's own `mse`" in o.message


def test_own_helpers_and_other_tools_of_the_course_may_be_used(lesson_03):
    source = 'from coursehelpers.curves import mae\ndef mean(x): return x.sum() / len(x)\n'
    source += 'def mse(preds, y):\n    mae(preds, y)\n    return mean((preds - y)**2)'
    assert check(made(source, 'mse', __name__='__main__')).status == 'correct'


def test_a_class_of_the_course_s_own_earns_nothing(monkeypatch):
    from coursehelpers.data import Dls

    exercise('Dls')(lambda cls: None)

    class Mine(Dls):
        "A subclass of the course's own."

    assert '`Dls` is the course' in check(Dls, 'Dls').message and 'own `Dls`' in check(Mine, 'Dls').message


def test_what_was_never_checked_is_listed():
    assert progress().rows == [('99', 'square', 'not attempted', 0)]


@pytest.mark.parametrize(
    'text',
    [
        '',
        '{"exer',
        '[]',
        '{"exercises": [1]}',
        '\xff',
    ],
)
def test_an_unreadable_file_is_said_and_left_alone(own, text, capsys):
    own.write_bytes(text.encode('latin-1'))
    assert check(lambda x: x * x, 'square').status == 'correct'
    assert own.read_bytes() == text.encode('latin-1') and f'{own} is no progress file' in capsys.readouterr().out
    assert len(progress().rows) == 1 and f'{own} is no progress file' in capsys.readouterr().out


def test_odd_entries_are_shown_all_the_same(own):
    own.write_text('{"exercises": {"square": {"status": "odd", "attempts": 1, "lesson": null}}}')
    assert 'square' in repr(progress())


def test_a_place_that_cannot_be_written_loses_no_outcome(monkeypatch, own, capsys):
    own.parent.joinpath('file').write_text('')
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(own.parent / 'file' / 'progress.json'))
    assert check(lambda x: x * x, 'square').status == 'correct'
    assert 'could not be written' in capsys.readouterr().out


def test_what_is_no_ordinary_file_is_left_alone(monkeypatch, own, capsys):
    "A named pipe in place of the progress file, or a folder: it keeps its name, and nobody waits for it."
    for make, name in ((os.mkfifo, 'pipe'), (os.mkdir, 'folder')):
        make(own.parent / name)
        monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(own.parent / name))
        assert check(lambda x: x * x, 'square').status == 'correct' and progress().counts()['correct'] == 0
        assert name in capsys.readouterr().out
    left = {p.name for p in own.parent.iterdir()}
    assert {'pipe', 'folder'} <= left and not [name for name in left if 'unreadable' in name]


def test_looking_needs_no_right_to_write(own, monkeypatch):
    "No file is opened for writing, no lock made, nothing renamed."
    check(lambda x: x * x, 'square')

    def refused(*args, **kwargs):
        raise PermissionError('read-only')

    for name in ('open', 'replace', 'mkdir'):
        monkeypatch.setattr(os, name, refused)
    assert progress().counts()['correct'] == 1
    assert check(lambda x: x, 'square').status == 'not yet'


WRITER = '''
import sys
from coursehelpers.exercises import check, exercise
for i in range(40):
    name = f'{sys.argv[1]}{i}'
    exercise(name)(lambda fn: None)
    check(lambda: i, name)
'''


def test_two_kernels_writing_at_once_lose_nothing(own):
    both = [subprocess.Popen([sys.executable, '-c', WRITER, who]) for who in 'ab']
    assert [p.wait(60) for p in both] == [0, 0]
    done = json.loads(own.read_text())['exercises']
    assert set(done) == {f'{who}{i}' for who in 'ab' for i in range(40)}
    assert not [p for p in own.parent.iterdir() if p.name not in (own.name, f'.{own.name}.lock')]


# --- hints, solutions, expected errors, proofs


def test_hints_come_one_by_one():
    exercise('hinted', hints=('Nudge.', 'More.'))(lambda fn: None)
    said = [str(hint('hinted')) for _ in range(3)]
    assert said[:2] == ['Hint 1 of 2: Nudge.', 'Hint 2 of 2: More.'] and "solution('hinted')" in said[2]
    assert "solution('hinted')" in hint(SimpleNamespace(__name__='hinted'))


def test_solution_is_code():
    assert solution('square')._repr_markdown_() == '```python\ndef square(x): return x*x\n```'
    with pytest.raises(UnknownExercise, match='mean square'):
        solution('squar')


def test_expect_fail(capsys):
    with expect_fail(ZeroDivisionError, 'division'):
        raise ZeroDivisionError('division by zero')
    assert capsys.readouterr().out == 'ZeroDivisionError: division by zero\n'
    with pytest.raises(AssertionError, match='nothing was raised'), expect_fail(ValueError):
        pass
    with pytest.raises(AssertionError, match='should say'), expect_fail(ValueError, 'x'):
        raise ValueError('y')
    with pytest.raises(KeyError), expect_fail(ValueError):
        raise KeyError('a')


def test_prove_demands_and_writes_nothing(own):
    wrong = [(lambda x: x, 'expected'), (lambda x: x.pow_(2), 'in place')]
    prove('square', right=[lambda x: x * x], wrong=wrong)
    for bad in (
        dict(right=[], wrong=wrong),
        dict(right=[lambda x: x * x], wrong=wrong[:1]),
        dict(right=[lambda x: x], wrong=wrong),
        dict(right=[lambda x: x * x], wrong=[(lambda x: x * x, 'expected')] * 2),
        dict(right=[lambda x: x * x], wrong=[(lambda x: x, 'other words')] * 2),
    ):
        with pytest.raises(AssertionError):
            prove('square', **bad)
    assert not own.exists()


def test_judging_is_repeatable():
    seen = [judge(lambda x: x, 'square', checkers()['square'].checker, 3)[0].message for _ in range(2)]
    assert seen[0] == seen[1]


# --- the course's own exercises


def code_cells(path):
    return [c['source'] for c in read_nb(path)['cells'] if c['cell_type'] == 'code']


def declared():
    "{exercise: notebook} of every `#|exercise` in the full notebooks."
    lines = [
        (line.split()[-1], p.name)
        for p in (ROOT / 'nbs/full').glob('*.ipynb')
        for s in code_cells(p)
        for line in s.splitlines()
        if line.startswith('#|exercise')
    ]
    return dict(lines)


CHECKS = sorted((ROOT / 'nbs/tools/checks').glob('lesson_*.ipynb'))


def ran(path):
    "The names after a checks notebook has run in this process."
    space = {'__name__': '__main__'}
    for source in code_cells(path):
        exec(compile(source, path.name, 'exec'), space)
    return space


@pytest.fixture(scope='module')
def registered():
    "Run every checks notebook in this process: {notebook: the exercises that it registers}."
    found = {}
    for path in CHECKS:
        space = ran(path)
        found[path.name] = [e for e in checkers().values() if e.checker.__globals__ is space]
    return found


def test_every_exercise_is_proved(registered):
    assert declared() and set(declared()) <= set(proofs()), f'not proved: {set(declared()) - set(proofs())}'
    assert all(right >= 1 and wrong >= 2 and named <= wrong for right, wrong, named in proofs().values())


def test_every_checker_has_an_exercise_and_one_notebook(registered):
    names = [e.name for known in registered.values() for e in known]
    assert sorted(names) == sorted(set(names)) == sorted(declared())


def test_every_exercise_has_hints(registered):
    for known in registered.values():
        for e in known:
            assert 2 <= len(e.hints) <= 5 and all(e.hints), e.name


@pytest.mark.long
@pytest.mark.parametrize('path', [pytest.param(p, marks=pytest.mark.xdist_group(f'proofs {p.stem}')) for p in CHECKS],
                         ids=[p.stem for p in CHECKS])
def test_no_luck_in_fifty_proofs(path, monkeypatch):
    "Each right answer is accepted and each wrong one refused, with its words, whatever is drawn."
    monkeypatch.setattr(ex, 'SEEDS', 50)
    space = ran(path)
    mine = {e.name for e in checkers().values() if e.checker.__globals__ is space}
    assert mine and mine <= set(proofs())
