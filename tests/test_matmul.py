"Lesson 04: shapes and steps against torch for every small shape, and the picture of a product without a browser."
import base64
import io
import json
import re
from itertools import product

import pytest
import torch
from PIL import Image
from traitlets import TraitError

from coursehelpers import matmul
from coursehelpers.matmul import (
    broadcast_shape,
    fit_axis,
    matmul_cells,
    matmul_lists,
    matmul_loops,
    matmul_rows,
    product_shape,
)
from coursehelpers.widgets import products
from coursehelpers.widgets.products import broadcast_rule, see_product, show_reach, show_tables, steps

SMALL = [s for n in range(4) for s in product((0, 1, 2, 3), repeat=n)] # 85 shapes of up to three axes
MATRICES = list(product((1, 2, 3, 5), repeat=3))


@pytest.fixture(autouse=True)
def seed(): torch.manual_seed(0)


def pair(n, k, m, dtype=torch.float64): return torch.randn(n, k, dtype=dtype), torch.randn(k, m, dtype=dtype)


@pytest.mark.parametrize('form', [matmul_loops, matmul_cells, matmul_rows, matmul.matmul])
def test_each_form_is_the_product(form):
    for n, k, m in MATRICES:
        a, b = pair(n, k, m)
        before = a.clone(), b.clone()
        assert torch.allclose(form(a, b), a @ b, rtol=0, atol=1e-10) and form(a, b).dtype == a.dtype
        assert torch.equal(a, before[0]) and torch.equal(b, before[1])
    a, b = torch.randint(-9, 9, (3, 4)), torch.randint(-9, 9, (4, 2))
    assert torch.equal(form(a, b), a @ b)


def test_lists_and_single_numbers_are_the_product():
    for n, k, m in MATRICES:
        a, b = pair(n, k, m)
        assert torch.allclose(torch.tensor(matmul_lists(a.tolist(), b.tolist()), dtype=torch.float64), a @ b, rtol=0,
                              atol=1e-10)
        assert torch.allclose(matmul.row_by_column(a, b, n - 1, m - 1), (a @ b)[-1, -1], rtol=0, atol=1e-10)


def test_product_shape_is_torch_s_for_every_small_pair():
    for a, b in product(product((1, 2, 3), repeat=2), repeat=2):
        if a[1] == b[0]:
            assert product_shape(a, b) == (torch.ones(a) @ torch.ones(b)).shape
        else:
            with pytest.raises(ValueError, match=re.escape(f'{a} @ {b} does not fit')):
                product_shape(a, b)
    for a, b in (((3,), (3, 2)), ((2, 3), (3,)), ((2, 2, 3), (3, 4)), ((), ())):
        with pytest.raises(ValueError, match='two matrices are needed'):
            product_shape(a, b)
    assert product_shape(torch.ones(2, 3).shape, torch.ones(3, 4).shape) == (2, 4)


def test_steps_are_every_multiplication_once():
    for n, k, m in MATRICES:
        a, b = pair(n, k, m)
        found = list(steps(a, b))
        assert [(s.i, s.j, s.k) for s in found] == list(product(range(n), range(m), range(k)))
        assert all(s.a == a[s.i, s.k] and s.b == b[s.k, s.j] for s in found)
        assert all(abs(s.total - (a[s.i, :s.k + 1] @ b[:s.k + 1, s.j]).item()) < 1e-10 for s in found)
    with pytest.raises(ValueError, match='does not fit'):
        list(steps(torch.ones(2, 3), torch.ones(4, 2)))


def verdict(*shapes):
    "The shape by torch, or None where it refuses."
    try:
        return tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        return None


def test_broadcasting_is_torch_s_for_every_small_pair():
    for a, b in product(SMALL, repeat=2):
        if verdict(a, b) is None:
            with pytest.raises(ValueError, match='do not broadcast: axis -'):
                broadcast_shape(a, b)
        else:
            assert broadcast_shape(a, b) == verdict(a, b), (a, b)


def test_one_axis_of_two_shapes():
    for p, q in product(range(5), repeat=2):
        got = verdict((p,), (q,))
        assert fit_axis(p, q) == (got and got[0]), (p, q)


def test_the_verdict_of_each_axis():
    axes = broadcast_rule((4, 1, 3, 2), (3, 3, 5))
    assert [axis.verdicts for axis in axes] == [('same', 'added'),
                                                ('stretched', 'same'),
                                                ('same', 'same'),
                                                ('clash', 'clash')]
    assert [axis.result for axis in axes] == [4, 3, 3, None]
    with pytest.raises(ValueError, match=re.escape('axis -1 has 2 and 5')):
        broadcast_shape((4, 1, 3, 2), (3, 3, 5))


@pytest.mark.parametrize('a, b', [((3, 1), (1, 4)), ((), (2,)), ((2, 3, 1), (3, 2)), ((3, 4), (3,)), ((6, 6, 6), (1,))])
def test_picture_of_broadcasting(monkeypatch, a, b):
    shown = []
    monkeypatch.setattr(products, 'show', lambda fig, alt: shown.append((fig, alt)))
    products.show_broadcast(a, b)
    (fig, alt), = shown
    got = verdict(a, b)
    if got is None:
        assert 'clash and give no result' in alt and 'clash!' in fig.axes[2].texts[0].get_text()
    else:
        assert str(got) in alt
    cells = [[p for p in ax.patches if p.get_facecolor()[:3] != (1, 1, 1)] for ax in fig.axes]
    if got is not None:
        assert [len(c) for c in cells] == [torch.Size(got).numel()] * 3
    for drawn, shape in zip(cells, (a, b)):
        solid = sum(p.get_linestyle() == 'solid' for p in drawn)
        assert solid == torch.Size(shape).numel(), 'solid cells are those that are there'
    if got is not None:
        def number(shape): # which cell is repeated, by torch
            return torch.arange(torch.Size(shape).numel()).view(shape).expand(got).flatten().tolist()
        assert [[t.get_text() for t in ax.texts] for ax in fig.axes] == [[*map(str, number(a))], [*map(str, number(b))],
                                                                         [f'{p}·{q}' for p,
                                                                          q in zip(number(a), number(b))]]


def test_picture_of_what_a_push_moves(monkeypatch):
    shown = []
    monkeypatch.setattr(products, 'show', lambda fig, alt: shown.append((fig, alt)))
    for n, k, m in MATRICES:
        a, b = pair(n, k, m)
        i, place = n - 1, k // 2
        pushed = a.clone()
        pushed[i, place] += 1
        moved = pushed @ b - a @ b
        show_reach(a, b, i, place)
        fig, alt = shown.pop()
        assert moved.abs().sum(1).nonzero().flatten().tolist() == [i]
        assert torch.allclose(moved[i], b[place], rtol=0, atol=1e-10)
        assert f'reaches row {i} of c through row {place} of b' in alt and f'c[{i}, {m - 1}] by' in alt
        filled = [p for p in fig.axes[0].patches if hasattr(p, 'get_xy') and p.get_facecolor()[3] > 0]
        assert len(filled) == 1 + m + m # the number, the row that carries it, the row that it reaches


def test_picture_of_tables(monkeypatch):
    shown = []
    monkeypatch.setattr(products, 'show', lambda fig, alt, colours=32: shown.append((fig, alt)))
    show_tables({'a': torch.eye(3), 'b': torch.zeros(2, 2), 'c': -torch.eye(2), 'd': torch.ones(1, 4)}, 'four', rows=2)
    (tables, _), = shown
    assert [ax.get_title() for ax in tables.axes] == ['a', 'b', 'c', 'd']
    assert [ax.images[0].get_clim() for ax in tables.axes] == [(-1, 1)] * 4


@pytest.mark.parametrize('a, b', [((7, 1), (1,)), ((1, 1, 1, 1), (2,)), ((0, 2), (2,))])
def test_picture_of_broadcasting_refuses_what_it_cannot_draw(a, b):
    with pytest.raises(ValueError, match='at most 3 axes'):
        products.show_broadcast(a, b)


def test_the_clock_takes_the_shortest(monkeypatch):
    ticks = iter([0, 0, 2, 2, 7, 7]) # the end is at 6; one try of 2 seconds, one of 5; then it is 7
    calls = []
    monkeypatch.setattr(matmul.time, 'perf_counter', lambda: next(ticks, 99))
    assert matmul.seconds(lambda: calls.append(1), budget=6) == 2 and len(calls) == 2


# The picture

def test_every_step_of_every_small_shape():
    for n, k, m in product((1, 2, 3, 8), repeat=3):
        a, b = torch.randint(-9, 10, (n, k)), torch.randint(-9, 10, (k, m))
        w = see_product(a, b)
        assert w.steps == n*k*m and w.cell is None and w.total == 0 and w.product.isnan().all()
        assert f'0 of {n*k*m} multiplications done' in w.words
        found = list(steps(a.double(), b.double()))
        for at in sorted({1, k, min(k + 1, n*k*m), n*k*m // 2 or 1, n*k*m}):
            w.at = at
            s = found[at - 1]
            assert w.cell == (s.i, s.j) and w.total == s.total
            assert w.product.isnan().sum() == n*m - (s.i*m + s.j + 1)
            assert f'= {s.total:.0f}'.replace('-', '−') in w.words and ('so far' in w.words) == (s.k < k - 1)
        assert torch.equal(w.product, a.double() @ b.double()) and w.words.endswith('All done.')


def test_shapes_that_do_not_fit_are_shown():
    for n, k, k2, m in product((1, 2, 4), repeat=4):
        if k == k2:
            continue
        w = see_product(torch.ones(n, k), torch.ones(k2, m))
        assert not w.fits and w.steps == 0 and w.cell is None and w.product.isnan().all()
        assert f'({n}, {k}) @ ({k2}, {m}) does not fit' in w.words
        assert f'a row of a has {k}, a column of b {k2}' in w.words
        assert w.picture() and w.words in w.alt()


@pytest.mark.parametrize('bad, says', [
    ([1., 2.], 'v[None]'),
    (torch.ones(2, 2, 2), '(2, 2, 2)'),
    (torch.ones(9, 1), '1 to 8'),
    (torch.ones(2, 0), '1 to 8'),
    ([[float('nan')]], 'finite'),
    ([[float('inf')]], 'finite'),
    (3., '1 to 8')])
def test_bad_matrices_are_told(bad, says):
    for args, name in (((bad, torch.ones(2, 2)), 'a '), ((torch.ones(2, 2), bad), 'b ')):
        with pytest.raises(TraitError, match=re.escape(says)) as e:
            see_product(*args)
        assert str(e.value).startswith(name)
    w = see_product([[1.]], [[1.]])
    with pytest.raises(TraitError, match=re.escape(says)):
        w.a = bad
    assert w.a.tolist() == [[1]]


@pytest.mark.parametrize('at', [-1, 13])
def test_steps_beyond_the_last_are_refused(at):
    a, b = torch.ones(2, 3), torch.ones(3, 2)
    with pytest.raises(ValueError, match='0 to 12'):
        see_product(a, b, at=at)
    w = see_product(a, b)
    with pytest.raises(Exception, match='0 to 12'):
        w.at = at


def test_any_numbers_will_do():
    for a in ([[1, 2]], torch.tensor([[1, 2]]), torch.tensor([[1., 2]], requires_grad=True),
              torch.tensor([[1, 2]], dtype=torch.bfloat16), torch.tensor([[True, False]]), ((1, 2),)):
        assert see_product(a, torch.ones(2, 1)).a.shape == (1, 2)


def test_a_smaller_matrix_takes_the_step_back():
    w = see_product(torch.ones(2, 3), torch.ones(3, 2), at=12)
    w.a = torch.ones(1, 3)
    assert w.at == w.steps == 6 and 'All done' in w.words
    w.b = torch.ones(4, 2)
    assert w.at == 0 and not w.fits


def test_what_the_page_sends_is_kept_as_sent():
    w = see_product(torch.ones(2, 3), torch.ones(3, 2), at=12)
    sent = []
    w._send = lambda message, buffers=None: sent.append(message)
    w.set_state({'a': [[1., 2.]], 'b': [[3.], [4.]], 'at': 2})
    assert (w.a.tolist(), w.b.tolist(), w.at, w.total) == ([[1, 2]], [[3], [4]], 2, 11)
    assert not [m for m in sent if m.get('method') == 'update'], 'Python must not answer a move of the page with a move'


def test_one_output_three_forms():
    for w in (see_product(torch.ones(8, 8) * 7, torch.ones(8, 8) * -99.5, at=300),
              see_product(torch.ones(2, 3), torch.ones(4, 2))):
        data, meta = w._repr_mimebundle_()
        assert {'application/vnd.jupyter.widget-view+json', 'text/html', 'image/png', 'text/plain'} <= data.keys()
        assert meta['image/png']['alt'] == w.alt() == data['text/plain']
        assert len(data['text/html']) <= 40_000 and data['image/png'] in data['text/html'] and json.dumps(data)
        assert min(Image.open(io.BytesIO(base64.b64decode(data['image/png']))).size) > 150
