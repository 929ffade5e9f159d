"Widgets without a browser: what Python keeps, what it refuses, and what a saved output holds."
import base64
import io
import json
import re

import pytest
import torch
from PIL import Image
from traitlets import TraitError

from coursehelpers.curves import mae, mk_quad, mse, noisy, quad, sum_of_relus
from coursehelpers.widgets.fit import build_relus, fit_by_hand, linear_basis, lr_explorer
from coursehelpers.widgets.portable import Portable


@pytest.fixture
def points(): return noisy(mk_quad(3., 2., 1.))


def cubic(a, b, c, d, x): return a*x**3 + b*x**2 + c*x + d
def waves(p, q, x): return p*torch.sin(x) + q*torch.sin(2*x) + 3
def line(a, x): return a*x
def all_pictures(x, y):
    return [fit_by_hand(quad, x, y), fit_by_hand(line, x, y), build_relus(x, y, n=3), lr_explorer(quad, x, y)]


@pytest.mark.parametrize('f, n', [(quad, 3), (cubic, 4), (waves, 2), (lambda a, x: a, 1)])
def test_basis_gives_back_the_function(f, n):
    x, params = torch.randn(30, dtype=torch.float64), torch.randn(n, dtype=torch.float64)
    basis, offset = linear_basis(f, n, x)
    assert torch.allclose(offset + params @ basis, torch.as_tensor(f(*params, x)), rtol=1e-12)


@pytest.mark.parametrize('place', ['minimum', 'default', 'maximum'])
def test_scores_at_the_sliders_ends(points, place):
    x, y = points
    w = fit_by_hand(quad, x, y)
    w.params = w.data[dict(minimum='lo', default='start', maximum='hi')[place]]
    preds = quad(*w.params, x)
    assert w.mse == mse(preds, y).item() and w.mae == mae(preds, y).item()
    assert w.history[-1] == w.mse and w.best['mse'] == min(w.history) and w.alt()


def test_relus_scores_and_limits(points):
    x, y = points
    w = build_relus(x, y, n=20)
    assert w.params.shape == (20, 2)
    w.params, w.bias = [[2, -1.], [torch.tensor(1.), 0.]], 3
    assert w.mse == mse(sum_of_relus(w.params, w.bias, x), y).item()
    for bad in (torch.zeros(21, 2), torch.zeros(0, 2), torch.zeros(3), [[1., float('inf')]]):
        with pytest.raises(TraitError):
            w.params = bad
    assert w.params.tolist() == [[2, -1], [1, 0]]


def test_walk_equals_descend(points):
    from coursehelpers.curves import descend
    x, y = points
    w, abc = lr_explorer(quad, x, y, lr=.05), torch.ones(3)
    losses = descend(lambda p: mse(quad(*p, x), y), [abc], lr=.05, steps=40)
    assert w.losses[:-1] == pytest.approx(losses, rel=1e-5) and torch.allclose(w.params, abc.detach(), rtol=1e-4)
    w.lr = 99.
    assert len(w.losses) < 41 and all(loss < 1e30 for loss in w.losses)


@pytest.mark.parametrize('wrong, says', [
    (lambda x, y: fit_by_hand(lambda a, b, x: torch.sin(a*x) + b, x, y), 'not linear'),
    (lambda x, y: fit_by_hand(lambda *p, x=0: 0, x, y), '1 to 8 parameters'),
    (lambda x, y: fit_by_hand(quad, x, y[1:]), 'same length'),
    (lambda x, y: fit_by_hand(quad, x[:1], y[:1]), 'at least 2'),
    (lambda x, y: fit_by_hand(quad, x, y*float('nan')), 'finite'),
    (lambda x, y: fit_by_hand(quad, x, y, start=[1., 2.]), 'start'),
    (lambda x, y: fit_by_hand(quad, x, y, lo=5, hi=-5), 'below hi'),
    (lambda x, y: fit_by_hand(quad, x, y, lr=0), 'above 0'),
    (lambda x, y: lr_explorer(quad, x, y, lr=0), 'above 0'),
    (lambda x, y: build_relus(x, y, n=0), '1 to 20'),
    (lambda x, y: build_relus(x*0, y), 'two different places'),
    (lambda x, y: lr_explorer(lambda a, x: a*x, x, y), 'two parameters'),
])
def test_bad_input_says_what_to_do(points, wrong, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        wrong(*points)


@pytest.mark.parametrize('bad', [[1., 2.], [1., 2., float('nan')], 3.])
def test_params_refuse_wrong_numbers(points, bad):
    w = fit_by_hand(quad, *points)
    with pytest.raises(TraitError):
        w.params = bad
    assert w.params.tolist() == [1, 1, 1] and w.moves == 0


@pytest.mark.parametrize('bad', [0, -1., float('nan'), float('inf')])
def test_rates_must_be_above_zero(points, bad):
    for w in (fit_by_hand(quad, *points), build_relus(*points), lr_explorer(quad, *points)):
        with pytest.raises(ValueError, match='above 0'):
            w.lr = bad


def test_params_are_copies(points):
    w = fit_by_hand(quad, *points)
    w.params.requires_grad_().data.zero_()
    assert w.params.tolist() == [1, 1, 1] and not w.params.requires_grad


def test_what_the_page_sends_is_kept_as_sent(points):
    w = fit_by_hand(quad, *points)
    sent = []
    w._send = lambda message, buffers=None: sent.append(message)
    w.set_state({'params': [2., 3., 4.],
                 'mse': .5,
                 'mae': .25,
                 'history': [9., .5],
                 'moves': 7,
                 'best': {'mse': .5, 'params': [2., 3., 4.]}})
    assert (w.params.tolist(), w.mse, w.history, w.moves) == ([2, 3, 4], .5, [9, .5], 7)
    assert not [m for m in sent if m.get('method') == 'update'], 'Python must not answer a move of the page with a move'


def test_one_output_three_forms(points):
    for w in all_pictures(*points):
        data, meta = w._repr_mimebundle_()
        assert {'application/vnd.jupyter.widget-view+json', 'text/html', 'image/png', 'text/plain'} <= data.keys()
        assert meta['image/png']['alt'] == w.alt() == data['text/plain']
        assert len(data['text/html']) <= 40_000
        picture = Image.open(io.BytesIO(base64.b64decode(data['image/png'])))
        assert picture.format == 'PNG' and min(picture.size) > 200
        assert data['image/png'] in data['text/html'] and json.dumps(data)


def test_old_ipywidgets_use_the_bundle(): assert Portable._ipython_display_ is None


def test_a_rate_like_the_default_walks_too(points):
    assert len(lr_explorer(quad, *points, lr=.01).losses) == 41


def test_html_survives_a_nasty_name(points):
    def nasty(a, b, x): return a*x + b
    nasty.__name__ = '</script><b>"&'
    w = fit_by_hand(nasty, *points)
    assert '</script><b>' in w.alt()
    page = w._repr_mimebundle_()[0]['text/html']
    assert page.count('</script>') == 1 and '<b>' not in page.replace("make('b'", '')


def test_same_picture_same_html(points):
    one, two = (fit_by_hand(quad, *points)._repr_mimebundle_()[0]['text/html'] for _ in range(2))
    assert one == two
