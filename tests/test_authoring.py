"From full to clean: stubs, directives and their errors, heads, the setup cell, what may be stored, and a tree in step."

import ast
import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from coursehelpers.author import build as authoring
from coursehelpers.author import launch, running, variants
from coursehelpers.author.build import AuthoringError, prepare
from coursehelpers.author.running import RunError, kernel_environment, run_nb, tidy
from coursehelpers.author.variants import (
    clean_nb,
    course_problems,
    kept_blocks,
    make_gap,
    make_stub,
    parse_cell,
    problems,
    solve,
)
from coursehelpers.exercises import is_stub

ROOT = Path(__file__).parents[1]
META = {
    'course': dict(lesson='07', needs='nothing', seconds=60, words=1, lines=1, minutes=5),
    'kernelspec': dict(name='python3', language='python', display_name='python3'),
}
RECORD = 'application/vnd.coursehelpers.record+json'


def code(source, id='c', outputs=()):
    return dict(cell_type='code', id=id, metadata={}, source=source, outputs=list(outputs), execution_count=None)


def md(source, id='m'):
    return dict(cell_type='markdown', id=id, metadata={}, source=source)


def nb(*cells, meta=META):
    return copy.deepcopy(dict(cells=list(cells), metadata=meta, nbformat=4, nbformat_minor=5))


def shown(metadata=None, **data):
    return dict(output_type='display_data', metadata=metadata or {}, data=data)


def printed(text, name='stdout'):
    return dict(output_type='stream', name=name, text=text)


def lesson():
    "A small lesson with one of everything."
    return nb(
        md('# T\n\n> Promise.', 'title'),
        code('#|default_exp seven', 'exp'),
        code('from coursehelpers.exercises import check\nfrom coursehelpers.results import compare, record', 'imports'),
        md('## Part\n\nProse.\n\n```\n# no heading\n```\n\n### Deeper #1', 'part'),
        md('Only prose.', 'prose'),
        code(
            '#|export\n#|exercise twice\ndef twice(x): # any number\n    "Two times `x`."\n    return 2*x',
            'ex',
            [printed('4')],
        ),
        code('#|hide\nassert twice(1) == 2', 'hidden'),
        code('#|gpu\nprint(1)', 'gpu'),
        code('#|export', 'empty'),
        code(
            "#|record e\nrecord('e', [1, 2, 3, 4, 5])",
            'rec',
            [shown(**{RECORD: dict(name='e', values=[1, 2, 3, 4, 5])})],
        ),
    )


# --- stubs

STUBS = [
    ('plain', 'def f(x):\n    "Doc."\n    return x', 'def f(x):\n    "Doc."\n    ...'),
    (
        'docments',
        'def f(x:int, # the x\n      y=1): # the y\n    "Doc."\n    return x',
        'def f(x:int, # the x\n      y=1): # the y\n    "Doc."\n    ...',
    ),
    ('decorated', '@a(1)\n@b\ndef f(x):\n    "Doc."\n    return x', '@a(1)\n@b\ndef f(x):\n    "Doc."\n    ...'),
    (
        'imports',
        'import a\nfrom b import c\n\ndef f(x):\n    "Doc."\n    return x',
        'import a\nfrom b import c\n\ndef f(x):\n    "Doc."\n    ...',
    ),
    (
        'long docstring',
        'def f(x):\n    """It\'s "quoted": \\"\\"\\" and (\n    more.\n    """\n    return x',
        'def f(x):\n    """It\'s "quoted": \\"\\"\\" and (\n    more.\n    """\n    ...',
    ),
    (
        'umlaut',
        'def f(x="ü:"):\n    "Grüße ü"\n    return x',
        'def f(x="ü:"):\n    "Grüße ü"\n    ...',
    ),
    (
        'comment before the docstring',
        'def f(x):\n    # why\n    "Doc."\n    return x',
        'def f(x):\n    # why\n    "Doc."\n    ...',
    ),
    (
        'annotations with colons',
        'def f(x: "a: b" = {"k": lambda y: y}) -> dict[str, int]:\n    "Doc."\n    return x',
        'def f(x: "a: b" = {"k": lambda y: y}) -> dict[str, int]:\n    "Doc."\n    ...',
    ),
    (
        'class',
        'class f(Base):\n    "Doc."\n    size = 3\n    def __init__(self,\n                 x): # (n,)\n'
        '        super().__init__()\n        self.x = x\n\n    @property\n    def y(self) -> int:\n'
        '        """Y.\n        Why."""\n        return 1\n'
        '    def z(self, a: int = {1: 2}[1], *b: str) -> int: return a',
        'class f(Base):\n    "Doc."\n\n    def __init__(self,\n                 x): # (n,)\n        ...\n\n'
        '    @property\n    def y(self) -> int:\n        """Y.\n        Why."""\n        ...\n\n'
        '    def z(self, a: int = {1: 2}[1], *b: str) -> int:\n        ...',
    ),
]


@pytest.mark.parametrize('source, expected', [s[1:] for s in STUBS], ids=[s[0] for s in STUBS])
def test_stub(source, expected):
    assert make_stub(source, 'f') == expected
    assert make_stub(expected, 'f') == expected
    ast.parse(expected)


@pytest.mark.parametrize(
    'source',
    [s[1] for s in STUBS if s[0] not in ('decorated', 'imports')],
    ids=[s[0] for s in STUBS if s[0] not in ('decorated', 'imports')],
)
def test_a_made_stub_is_seen_as_one(source):
    space = dict(Base=object)
    exec(make_stub(source, 'f'), space)
    assert is_stub(space['f'])


@pytest.mark.parametrize(
    'source, words',
    [
        ('def f(x): return x', 'no docstring'),
        ('def f(x): "Doc."', 'lines of its own'),
        ('def f(x,\n      y): "Doc."; return x', 'lines of its own'),
        ('def g(x):\n    "Doc."', 'the cell has: g'),
        ('x = 1', 'the cell has: Assign'),
        ('def f(x):\n    "Doc."\ndef g(): pass', 'the cell has: f, g'),
        ('', 'the cell has: nothing'),
        ('%time\ndef f(x):\n    "Doc."', 'plain Python'),
        ('class f:\n    def g(self): return 1', 'no docstring'),
        ('class f: "Doc."', 'lines of its own'),
        ('def f(x):\n    x = "no"\n    return x', 'no docstring'),
    ],
)
def test_what_cannot_be_an_exercise(source, words):
    with pytest.raises(AuthoringError, match=words):
        make_stub(source, 'f')


# --- directives


def test_directives_are_read_from_the_top_of_a_cell_only():
    assert parse_cell(code('#|export\n#|exercise f\n\nx = 1')) == ({'export': '', 'exercise': 'f'}, 'x = 1')
    assert parse_cell(code('s = """\n#|hide\n"""'))[0] == {} and problems(nb(code('s = """\n#|hide\n"""')), 'a') == []
    assert parse_cell(code('x = ids[0]  # id'))[1] == 'x = ids[0]  # id'


PROBLEMS = [
    ('#|exprot\nx', 'no directive #|exprot. Did you mean export?'),
    ('#|qqq\nx', 'There are: default_exp'),
    ('#|exercise\nx', '#|exercise takes one name'),
    ('#|default_exp a b', '#|default_exp takes one name'),
    ('#|hide a\nx', '#|hide takes nothing'),
    ('#|exercise f\nx = 1', 'the cell has: Assign'),
]


@pytest.mark.parametrize('source, words', PROBLEMS)
def test_each_problem_names_notebook_cell_and_remedy(source, words):
    found = problems(nb(code(source, 'c7')), 'a.ipynb')
    assert any(words in p for p in found) and all(p.startswith('a.ipynb, cell c7') for p in found)


def test_a_record_cell_that_ran_must_show_its_record():
    other = shown(**{RECORD: dict(name='f', values=[1])})
    for output in (printed('x'), other):
        assert 'be the last line' in problems(nb(code("#|record e\nr = record('e', [1])", 'c', [output])), 'a')[0]


def test_names_are_unique_in_the_course():
    a, b = lesson(), lesson()
    found = course_problems({'a.ipynb': a, 'b.ipynb': b})
    assert [p for p in found if 'default_exp seven stands in a.ipynb' in p and p.startswith('b.ipynb, cell exp')]
    assert [p for p in found if 'exercise twice stands in a.ipynb' in p] and [
        p for p in found if 'record e stands in a.ipynb' in p
    ]


# --- clean


def test_clean():
    full = lesson()
    before = copy.deepcopy(full)
    made = clean_nb(full, '07_x.ipynb')
    assert full == before
    assert [c['id'] for c in made['cells']] == [
        'title',
        'launch',
        'setup',
        'imports',
        'part',
        'ex',
        'gpu',
        'rec',
        'rec-compare',
    ]
    text = {c['id']: c['source'] for c in made['cells']}
    assert text['title'] == '# T\n\n> Promise.' and text['part'] == '## Part\n\n### Deeper #1'
    assert text['gpu'] == '#|gpu\nprint(1)'
    assert (
        text['ex'] == 'def twice(x): # any number\n    "Two times `x`."\n    ...\n\ncheck(twice) # stuck? hint(twice)'
        and text['rec-compare'] == "compare('e')"
    )
    assert '../full/07_x.ipynb' in text['launch'] and 'nbs/clean/07_x.ipynb' in text['launch']
    assert all(c['outputs'] == [] and c['execution_count'] is None for c in made['cells'] if c['cell_type'] == 'code')


def test_clean_again_changes_nothing():
    made = clean_nb(lesson(), '07_x.ipynb')
    assert clean_nb(made, '07_x.ipynb') == made


def test_a_heading_under_which_nothing_is_left_goes():
    full = lesson()
    full['cells'].append(md('## Only prose\n\nText.\n\n### And below\n\nText.\n\n## Recap\n\n**Questions**', 'end'))
    assert clean_nb(full, '07_x.ipynb')['cells'][-1]['source'] == '## Recap\n\n**Questions**'


def test_a_gap_asks_for_what_the_cell_makes():
    full = lesson()
    full['cells'].append(code('#|gap\n# Ten steps\nlosses, = [run()] # floats\nfor _ in range(3): step()', 'gap'))
    clean = clean_nb(full, '07_x.ipynb')
    assert clean['cells'][-1]['source'] == '# Ten steps\nlosses = ... # floats'
    assert solve(clean, full)['cells'][-1]['source'].startswith('# Ten steps\nlosses, =')


@pytest.mark.parametrize('source, words', [('print(1)', 'set a name'), ('x = (', 'plain Python')])
def test_what_cannot_be_a_gap(source, words):
    with pytest.raises(AuthoringError, match=words):
        make_gap(source)
    assert any(words in p for p in problems(nb(code(f'#|gap\n{source}')), 'a.ipynb'))


def test_clean_is_a_valid_notebook():
    import nbformat

    nbformat.validate(nbformat.from_dict(clean_nb(lesson(), '07_x.ipynb')))


def test_solve_puts_the_answers_back():
    solved = solve(clean_nb(lesson(), '07_x.ipynb'), lesson())
    assert [c['source'] for c in solved['cells'] if c['id'] == 'ex'] == [
        'def twice(x): # any number\n    "Two times `x`."\n    return 2*x\n\ncheck(twice) # stuck? hint(twice)'
    ]


@pytest.mark.parametrize(
    'source, kept',
    [
        ('text\n# A\ntext', '# A'),
        ('```\n# no\n```', ''),
        ('~~~~\n# no\n~~~\n# no\n~~~~\n## B', '## B'),
        ('A\n===\ntext', 'A\n==='),
        ('    # code', ''),
        ('> # quoted', '> # quoted'),
        ('A **bold** word. **Predict** it.\n\nMore.', 'A **bold** word. **Predict** it.'),
        ('**Your turn.** Do:\n\n- a\n- b\n\nSo.\n\n- c', '**Your turn.** Do:\n\n- a\n- b'),
        ('**Questions**\n\n<details>A</details>\n\nMore.', '**Questions**\n\n<details>A</details>'),
        ('**Predictable** things', ''),
        ('#no', ''),
        ('<!--\n# no\n-->', ''),
        ('# A #\n\n## B', '# A #\n\n## B'),
        ('', ''),
    ],
)
def test_what_stays_of_prose(source, kept):
    assert '\n\n'.join(text for _, text in kept_blocks(source)) == kept


# --- heads


def test_the_head_is_refreshed_in_place():
    headed = launch.with_head(lesson(), '07_x.ipynb')
    assert [c['id'] for c in headed['cells'][:3]] == ['title', 'launch', 'setup']
    assert '| nothing | 5 | 1 | 1 | 60 |' in headed['cells'][1]['source']
    old = copy.deepcopy(headed)
    old['cells'][1]['source'] = 'old'
    assert launch.with_head(old, '07_x.ipynb') == headed


def test_links_follow_the_settings(monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_COURSE_REPO', 'someone/fork')
    monkeypatch.setenv('COURSEHELPERS_COURSE_BRANCH', 'spring')
    found = launch.links('07_x.ipynb', 'clean')
    page = 'someone/fork/blob/spring/nbs/clean/07_x.ipynb'
    assert found == {
        'Colab': f'https://colab.research.google.com/github/{page}',
        'Kaggle': f'https://kaggle.com/kernels/welcome?src=https://github.com/{page}',
        'Paperspace': f'https://console.paperspace.com/github/{page}?machine=Free-GPU',
        'Codespaces': 'https://codespaces.new/someone/fork/tree/spring?quickstart=1',
    }
    setup = launch.setup_cell()
    assert 'https://github.com/someone/fork/archive/refs/tags/v' in setup and 'spring' not in setup


# --- the whole tree


@pytest.fixture
def tree(tmp_path):
    "A course of one lesson with everything generated."
    for folder in ('full', 'tools', 'clean'):
        (tmp_path / 'nbs' / folder).mkdir(parents=True)
    (tmp_path / 'pyproject.toml').write_text((ROOT / 'pyproject.toml').read_text())
    (tmp_path / 'coursehelpers').mkdir()
    (tmp_path / 'coursehelpers' / '__init__.py').write_text('__version__ = "0"\n')
    (tmp_path / 'README.md').write_text('# C\n<!-- launch --><!-- /launch -->\n<!-- results --><!-- /results -->\n')
    (tmp_path / 'nbs' / 'full' / '07_x.ipynb').write_text(json.dumps(lesson()))
    prepare(tmp_path)
    return tmp_path


def snapshot(root):
    return {p: p.read_bytes() for p in root.rglob('*') if p.is_file()}


def test_prepare_twice_changes_nothing(tree):
    before = snapshot(tree)
    assert prepare(tree) == [] and snapshot(tree) == before
    assert {p.relative_to(tree).as_posix() for p in before} >= {
        'nbs/clean/07_x.ipynb',
        'coursehelpers/seven.py',
        'coursehelpers/exercises.json',
        'coursehelpers/results.json',
    }


def test_static_files_and_readme(tree):
    static = tree / 'coursehelpers'
    twice = json.loads((static / 'exercises.json').read_text())['twice']
    assert twice == dict(
        lesson='07',
        notebook='07_x.ipynb',
        stub='def twice(x): # any number\n    "Two times `x`."\n    ...',
        solution='def twice(x): # any number\n    "Two times `x`."\n    return 2*x',
    )
    assert json.loads((static / 'results.json').read_text()) == {
        'e': dict(name='e', values=[1, 2, 3, 4, 5], lesson='07')
    }
    page = (tree / 'README.md').read_text()
    assert '| 07 T |' in page and '| 07 | e | 3.0 ± 1.6 | 5 seeds |' in page


def test_what_was_changed_or_lost_is_made_again(tree):
    page, readme = tree / 'nbs' / 'clean' / '07_x.ipynb', tree / 'README.md'
    page.write_text(page.read_text().replace('check(twice)', 'check(thrice)'))
    (tree / 'coursehelpers' / 'exercises.json').unlink()
    readme.write_text(readme.read_text().replace('07 T', '07 U'))
    assert {p.name for p in prepare(tree)} == {'07_x.ipynb', 'exercises.json', 'README.md'}
    assert prepare(tree) == []


def test_work_in_a_clean_notebook_is_not_written_over(tree):
    page = tree / 'nbs' / 'clean' / '07_x.ipynb'
    page.write_text(json.dumps(nb(code('check(twice)', 'ex-check', [printed('mine')]))))
    with pytest.raises(AuthoringError, match='07_x.ipynb: someone has run cells'):
        prepare(tree)
    assert 'mine' in page.read_text()
    page.unlink()
    assert prepare(tree) == [page]


def test_nothing_is_written_while_a_source_is_wrong(tree):
    before = snapshot(tree)
    wrong = lesson()
    wrong['cells'].append(code('#|hidden\nx', 'bad'))
    source = tree / 'nbs' / 'full' / '07_x.ipynb'
    source.write_text(json.dumps(wrong))
    with pytest.raises(AuthoringError, match=r'full/07_x.ipynb, cell bad: there is no directive #\|hidden'):
        prepare(tree)
    assert {p for p, text in snapshot(tree).items() if text != before[p]} == {source}


def test_a_lesson_needs_facts(tree):
    (tree / 'nbs' / 'full' / '08_y.ipynb').write_text(json.dumps(nb(code('x'), meta={})))
    with pytest.raises(AuthoringError, match='08_y.ipynb: .* metadata lack lesson, needs, seconds'):
        prepare(tree)


def test_a_notebook_with_merge_marks_is_named(tree):
    (tree / 'nbs' / 'full' / '08_y.ipynb').write_text('<<<<<<< HEAD')
    with pytest.raises(ValueError, match='08_y.ipynb is no notebook'):
        prepare(tree)


@pytest.mark.parametrize(
    'text',
    [
        '[]',
        '{}',
        '3',
        '""',
        '{"cells": []}',
        '{"cells": {}, "metadata": 3}',
        '{"cells": [null], "metadata": {}}',
        '{"cells": [{"source": null}], "metadata": {}}',
        '\xff',
    ],
)
def test_what_is_no_notebook_is_said(tmp_path, text):
    (tmp_path / 'a.ipynb').write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match='a.ipynb is no notebook'):
        launch.read_nb(tmp_path / 'a.ipynb')


def test_an_index_that_nbdev_wrote_disturbs_nobody(tree):
    (tree / 'coursehelpers' / '_modidx.py').write_text('d = {}')
    assert prepare(tree) == []


EXPORT = '''
import os, sys
from pathlib import Path
from coursehelpers.author import build
real, left = os.replace, [int(sys.argv[2])]
def replace(old, new): # dies at the nth step, before or after a file got its name
    left[0] -= 1
    if not left[0]: os._exit(9)
    real(old, new)
os.replace = replace
build.export(Path(sys.argv[1]))
'''


def test_an_export_that_is_killed_leaves_whole_modules(tree):
    "At each step of an export: every module is as it was or as it will be, and the next export completes it."
    for n in (1, 2, 3):
        (tree / 'nbs' / 'tools' / f'm{n}.ipynb').write_text(
            json.dumps(nb(md('# M'), code(f'#|default_exp m{n}', 'd'), code('#|export\nx = 1', 'x'), meta={}))
        )
    prepare(tree)
    old = {p: p.read_text() for p in (tree / 'coursehelpers').glob('m?.py')}
    for path in (tree / 'nbs' / 'tools').glob('*.ipynb'):
        path.write_text(path.read_text().replace('x = 1', 'x = 22'))
    for step in (1, 2, 2):  # the first file, then the second, then the third is not replaced
        killed = subprocess.run([sys.executable, '-c', EXPORT, tree, str(step)])
        assert killed.returncode == 9 and all(
            p.read_text() in (text, text.replace('x = 1', 'x = 22')) for p, text in old.items()
        )
    authoring.export(tree)
    assert {p.read_text() for p in old} == {text.replace('x = 1', 'x = 22') for text in old.values()}


def test_outside_the_course(tmp_path):
    with pytest.raises(AuthoringError, match='not inside the course'):
        authoring.course_root(tmp_path)


def test_the_modules_export_as_nbdev_does(tree):
    "`prepare` gives byte for byte what nbdev's own command gives."
    mine = (tree / 'coursehelpers' / 'seven.py').read_text()
    subprocess.run(
        [sys.executable, '-c', 'from nbdev.doclinks import nbdev_export; nbdev_export()'],
        cwd=tree,
        check=True,
        capture_output=True,
    )
    assert (tree / 'coursehelpers' / 'seven.py').read_text() == mine


# --- running and storing


def test_a_notebook_runs_in_its_folder_with_its_profile(tmp_path):
    cells = [
        code('import os\nprint(os.environ["COURSEHELPERS_RUN_PROFILE"], os.getcwd())'),
        code('1/0', 'bad'),
        code('print("on")', 'on'),
    ]
    made = run_nb(nb(*cells), tmp_path, profile='smoke', allow_errors=True)
    text = {c['id']: ''.join(o.get('text', o.get('ename', '')) for o in c['outputs']) for c in made['cells']}
    assert text['c'] == f'smoke {tmp_path.resolve()}\n' and text['bad'] == 'ZeroDivisionError' and text['on'] == 'on\n'
    assert cells[0]['outputs'] == []


def test_an_error_names_notebook_and_cell(tmp_path):
    (tmp_path / 'a.ipynb').write_text(json.dumps(nb(code('x = 1'), code('def f():\n    1/0\nf()', 'bad'))))
    with pytest.raises(RunError, match=r'(?s)a.ipynb, cell bad:.*ZeroDivisionError: division by zero'):
        running.run_notebook(tmp_path / 'a.ipynb')


def test_only_the_callers_progress_file_is_spared(monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', '/mine.json')
    assert kernel_environment(tmp_path, progress=True)['COURSEHELPERS_RUN_PROGRESS'] == '/mine.json'
    assert kernel_environment(tmp_path)['COURSEHELPERS_RUN_PROGRESS'] == f'{tmp_path}/progress.json'
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', '/photos')
    assert kernel_environment(tmp_path)['COURSEHELPERS_DATA_ROOT'] == '/photos'
    assert not Path(kernel_environment(tmp_path, offline=True)['COURSEHELPERS_DATA_ROOT']).exists()


VIEW = {'application/vnd.jupyter.widget-view+json': {'model_id': '1'}, 'text/plain': 'Box()'}


def test_tidy_keeps_what_can_be_read_without_a_kernel():
    cell = code(
        'x',
        'c',
        [
            printed('a\n'),
            printed('b'),
            printed('\r 3%|', 'stderr'),
            shown(**VIEW),
            shown(**VIEW, **{'text/html': '<b>'}),
            printed('<A at 0x7f11>'),
        ],
    )
    cell['execution_count'], cell['metadata'] = 3, {'execution': 1, 'tags': ['skip-execution']}
    full = nb(cell, meta={**META, 'widgets': {'state': {}}, 'language_info': {}})
    outputs = (made := tidy(full))['cells'][0]['outputs']
    assert (
        outputs[0]['text'] == 'a\nb'
        and outputs[1]['data'] == {'text/plain': 'Box()', 'text/html': '<b>'}
        and outputs[2]['text'] == '<A>'
        and len(outputs) == 3
    )
    assert (
        made['cells'][0]['metadata'] == {}
        and made['cells'][0]['execution_count'] is None
        and set(made['metadata']) == {'course', 'kernelspec'}
    )
    assert tidy(made) == made


def test_what_folds_a_cell_stays_and_nothing_else_does():
    "Lab and Colab hide the source of a cell that says so: tidied, with a new head, and in the clean variant."
    folded = {'cellView': 'form', 'jupyter': {'source_hidden': True}}
    full = lesson()
    imports = next(c for c in full['cells'] if c['id'] == 'imports')
    imports['metadata'] = {**folded, 'tags': ['x']}
    headed = launch.with_head(full, '07_x.ipynb')
    next(c for c in headed['cells'] if c['id'] == 'setup')['metadata'] = {**folded, 'execution': 1}
    made = tidy(launch.with_head(headed, '07_x.ipynb'))
    for nb_ in (made, clean_nb(made, '07_x.ipynb')):
        told = {c['id']: c['metadata'] for c in nb_['cells'] if c['metadata']}
        assert set(told) >= {imports['id']} and all(m == folded for m in told.values()), told
    assert next(c for c in made['cells'] if c['id'] == 'setup')['metadata'] == folded


def test_tidy_keeps_alt_text():
    shows = code('x', 'c', [shown({'image/png': {'alt': 'A line.', 'width': 3}}, **{'image/png': 'x'})])
    assert tidy(nb(shows))['cells'][0]['outputs'][0]['metadata']['image/png']['alt'] == 'A line.'


def test_variants_need_no_nbdev_to_be_imported():
    heavy = ('nbdev', 'fastcore', 'torch', 'nbformat', 'IPython')
    script = 'import sys, coursehelpers.author.build, coursehelpers.cli, coursehelpers.exercises\n'
    script += f'print([m for m in {heavy} if m in sys.modules])'
    assert subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout.strip() == '[]'
    assert set(variants.DIRECTIVES) == {'default_exp', 'export', 'hide', 'gpu', 'exercise', 'record', 'gap'}
