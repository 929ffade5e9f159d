"The house rules for code, read from the syntax tree: what a linter's standard rules do not say."
import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = 'coursehelpers', 'tests', 'bench', 'scripts', 'docs'
FILES = [p for folder in FOLDERS for p in sorted((ROOT/folder).rglob('*.py'))]
CODE = [p for p in FILES if p.name != '_modidx.py' and '_build' not in p.parts]
MODULES = [p for p in CODE if p.is_relative_to(ROOT/'coursehelpers')]
PAGES = sorted((ROOT/'coursehelpers').rglob('*.js')) + sorted((ROOT/'coursehelpers').rglob('*.css'))
FORKS = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.BoolOp, ast.comprehension, ast.With)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def name_of(path): return path.relative_to(ROOT).as_posix()


def parameters(paths): return [pytest.param(p, id=name_of(p)) for p in paths]


def complexity(function):
    "One, and one more for each fork: branches, loops, conditions, clauses of a comprehension."
    return 1 + sum(isinstance(node, FORKS) for node in ast.walk(function))


def folded(node, lines):
    "Is a block written on the line of its head? A short `if` may be."
    if isinstance(node, (ast.For, ast.While, ast.With, ast.Try)):
        return node.body[0].lineno == node.lineno
    if isinstance(node, ast.If):
        return node.body[0].lineno == node.lineno and len(lines[node.lineno - 1]) > 88
    return False


@pytest.mark.parametrize('path', parameters(CODE))
def test_one_thought_a_line(path):
    text = path.read_text(encoding='utf-8')
    lines = text.splitlines()
    found = [node.lineno for node in ast.walk(ast.parse(text)) if folded(node, lines)]
    assert not found, f'blocks folded into one line: {found}'


@pytest.mark.parametrize('path', parameters(p for p in CODE if not p.is_relative_to(ROOT/'tests')))
def test_few_ways_through_a_function(path):
    "Tests aside, whose rows of assertions are full of comprehensions and plain all the same."
    nodes = ast.walk(ast.parse(path.read_text(encoding='utf-8')))
    ways = {node.name: complexity(node) for node in nodes if isinstance(node, FUNCTIONS)}
    assert max(ways.values(), default=0) <= 10, {name: n for name, n in ways.items() if n > 10}


@pytest.mark.parametrize('path', parameters(PAGES))
def test_pages_keep_the_width(path):
    wide = [i for i, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1) if len(line) > 120]
    assert not wide, f'lines over 120 columns: {wide}'


def doc(node): return ast.get_docstring(node) or ''


def named(nodes, kind): return [n for n in nodes if isinstance(n, kind) and (n.name == '__init__' or n.name[0] != '_')]


def public(tree):
    "(name, function, docstrings) of a module's public functions and methods; a class speaks for its constructor."
    for function in named(tree.body, FUNCTIONS):
        yield function.name, function, doc(function)
    for cls in named(tree.body, ast.ClassDef):
        for method in named(cls.body, FUNCTIONS):
            yield f'{cls.name}.{method.name}', method, f'{doc(cls)} {doc(method)}'


def arguments(function): return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def raised(function):
    "The names of the errors that a function's own lines raise."
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = error.attr if isinstance(error, ast.Attribute) else getattr(error, 'id', '')
            if name[:1].isupper():
                yield name


@pytest.mark.parametrize('path', parameters(MODULES))
def test_arguments_are_typed_or_explained_and_errors_are_named(path):
    text = path.read_text(encoding='utf-8')
    lines = text.splitlines()
    for name, function, words in public(ast.parse(text)):
        bare = [a.arg for a in arguments(function) if a.annotation is None and a.arg not in ('self', 'cls')
                and '#' not in lines[a.lineno - 1][a.col_offset:]]
        assert not bare, f'{name}: {bare} neither typed nor explained by a comment on the line'
        silent = set(raised(function)) - set(re.findall(r'\w+', words))
        assert not silent, f'{name} raises {silent}, and its docstring does not say so'
