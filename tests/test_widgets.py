"Widgets without a browser: what Python keeps, what it refuses, and what a saved output holds."
import base64
import io
import json
import re

import pytest
import torch
from PIL import Image
from traitlets import TraitError, Unicode

from coursehelpers.curves import mk_quad, mse, noisy, quad, sum_of_relus
from coursehelpers.plots import figure
from coursehelpers.widgets.fit import build_relus, fit_by_hand, linear_basis, lr_explorer
from coursehelpers.widgets.portable import Portable
from coursehelpers.widgets.valley import valley


@pytest.fixture
def points(): return noisy(mk_quad(3., 2., 1.))


def cubic(a, b, c, d, x): return a*x**3 + b*x**2 + c*x + d
def waves(p, q, x): return p*torch.sin(x) + q*torch.sin(2*x) + 3
def all_pictures(x, y):
    return [fit_by_hand(quad, x, y), build_relus(x, y, n=3), lr_explorer(quad, x, y), valley(20, 1, momentum=.3)]


@pytest.mark.parametrize('f, n', [(quad, 3), (cubic, 4), (waves, 2), (lambda a, x: a, 1)])
def test_basis_gives_back_the_function(f, n):
    x, params = torch.randn(30, dtype=torch.float64), torch.randn(n, dtype=torch.float64)
    basis, offset = linear_basis(f, n, x)
    assert torch.allclose(offset + params @ basis, torch.as_tensor(f(*params, x)), rtol=1e-12)


@pytest.mark.parametrize('params', [[-5.] * 3, [1., 1., 1.], [5.] * 3])
def test_scores_at_the_sliders_ends(points, params):
    x, y = points
    w = fit_by_hand(quad, x, y)
    w.params = params
    assert w.mse == pytest.approx(mse(quad(*params, x), y).item(), rel=1e-5) and w.alt()


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
    w, abc = lr_explorer(quad, x, y), torch.ones(3)
    w.lr = .05
    path, walked = w.walk
    losses = descend(lambda p: mse(quad(*p, x), y), [abc], lr=.05, steps=40)
    assert walked[:-1] == pytest.approx(losses, rel=1e-5) and torch.allclose(path[-1], abc.detach(), rtol=1e-4)
    w.lr = 99.
    assert len(w.walk[1]) < 41 and all(loss < 1e30 for loss in w.walk[1]) and w.picture()


@pytest.mark.parametrize('lr, momentum', [(.02, 0), (.095, 0), (.1, .6), (.19, .9), (.3, 0)])
def test_a_valley_is_walked_as_sgd_does(lr, momentum):
    w = valley(20, 1, lr=lr, momentum=momentum)
    p = w.start.double().requires_grad_()
    curves, sgd = torch.tensor([1., 20]), torch.optim.SGD([p], lr, momentum=momentum)
    path, losses = w.walk
    for place, loss in zip(path, losses):
        assert torch.allclose(place, p.detach(), rtol=1e-9)
        sgd.zero_grad()
        now = (curves*p**2).sum() / 2
        assert loss == pytest.approx(now.item(), rel=1e-9)
        now.backward()
        sgd.step()
    assert len(path) == 41 or losses[-1] > 1e20


@pytest.mark.parametrize('wrong, says', [
    (lambda x, y: fit_by_hand(lambda a, b, x: torch.sin(a*x) + b, x, y), 'not linear'),
    (lambda x, y: fit_by_hand(lambda *p, x=0: 0, x, y), '2 to 8 parameters'),
    (lambda x, y: fit_by_hand(quad, x, y[1:]), 'same length'),
    (lambda x, y: fit_by_hand(quad, x[:1], y[:1]), 'at least 2'),
    (lambda x, y: fit_by_hand(quad, x, y*float('nan')), 'finite'),
    (lambda x, y: fit_by_hand(quad, x, y, start=[1., 2.]), 'start'),
    (lambda x, y: fit_by_hand(quad, x, y, lr=0), "'lr'"),
    (lambda x, y: build_relus(x, y, n=0), '1 to 20'),
    (lambda x, y: build_relus(x, y, n=21), '1 to 20'),
    (lambda x, y: lr_explorer(lambda a, x: a*x, x, y), '2 to 8 parameters'),
    (lambda x, y: valley(1, 20), 'larger one first'),
    (lambda x, y: valley(20, 0), 'above 0'),
    (lambda x, y: valley(float('inf'), 1), 'finite'),
    (lambda x, y: valley(float('nan'), 1), 'finite'),
    (lambda x, y: valley(20, 1, steps=0), '1 to 200'),
    (lambda x, y: valley(20, 1, lr=0), "'lr'"),
    (lambda x, y: valley(20, 1, momentum=1), "'momentum'"),
    (lambda x, y: setattr(valley(20, 1), 'start', [99., 0.]), 'start must be'),
    (lambda x, y: setattr(valley(20, 1), 'start', [1., 0., 0.]), 'start must be'),
])
def test_bad_input_says_what_to_do(points, wrong, says):
    with pytest.raises((ValueError, TraitError), match=re.escape(says)):
        wrong(*points)


@pytest.mark.parametrize('bad', [[1., 2.], [1., 2., float('nan')], 3.])
def test_params_refuse_wrong_numbers(points, bad):
    w = fit_by_hand(quad, *points)
    with pytest.raises(TraitError):
        w.params = bad
    assert w.params.tolist() == [1, 1, 1]


@pytest.mark.parametrize('bad', [0, -1., float('nan'), float('inf')])
def test_rates_must_be_above_zero(points, bad):
    for w in (fit_by_hand(quad, *points), build_relus(*points), lr_explorer(quad, *points)):
        with pytest.raises(TraitError, match='lr'):
            w.lr = bad


def test_params_are_copies(points):
    w = fit_by_hand(quad, *points)
    w.params.requires_grad_().data.zero_()
    assert w.params.tolist() == [1, 1, 1] and not w.params.requires_grad


def test_what_the_page_sends_is_kept_as_sent(points):
    w = fit_by_hand(quad, *points)
    sent = []
    w._send = lambda message, buffers=None: sent.append(message)
    w.set_state({'params': [2., 3., 4.], 'lr': .5})
    assert (w.params.tolist(), w.lr) == ([2, 3, 4], .5)
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


def test_html_survives_nasty_words():
    class Nasty(Portable):
        _esm = 'export default {}'
        label = Unicode('</script><i>"&')
        def alt(self): return self.label
        def picture(self): return figure(2, 2)[0]

    page = Nasty()._repr_mimebundle_()[0]['text/html']
    assert page.count('</script>') == 1 and '<i>' not in page


def test_same_picture_same_html(points):
    one, two = (fit_by_hand(quad, *points)._repr_mimebundle_()[0]['text/html'] for _ in range(2))
    assert one == two
