"One neuron without a browser: its numbers are autograd's, its bad input is told, its saved output is small."
import base64
import io
import json
import random
import re

import pytest
import torch
from PIL import Image
from traitlets import TraitError

from coursehelpers.celsius import (
    comfortable,
    grad_by_hand,
    grad_through_sigmoid,
    neuron,
    scale,
    sigmoid,
    thermometer,
    too_hot,
    unscale,
    walk_down,
)
from coursehelpers.curves import mse
from coursehelpers.steps import largest_safe_lr
from coursehelpers.widgets.neuron import one_neuron, passes

C, F = thermometer()


def by_autograd(loss_of, w, b):
    "The loss and its gradient (dw, db) by autograd, in double precision."
    w, b = (torch.tensor(float(v), dtype=torch.float64, requires_grad=True) for v in (w, b))
    loss = loss_of(w, b)
    return loss.item(), [g.item() for g in torch.autograd.grad(loss, (w, b))]


@pytest.mark.parametrize('squash', [False, True])
@pytest.mark.parametrize('seed', range(5))
def test_both_passes_are_autograd_s(squash, seed):
    draw = random.Random(seed).uniform
    x, y, w, b = draw(-100, 100), draw(0, 1), draw(-.1, .1), draw(-2, 2)
    p = passes(x, y, w, b, squash)
    loss, grads = by_autograd(lambda w, b: ((torch.sigmoid(x*w + b) if squash else x*w + b) - y)**2, w, b)
    assert p['loss'] == pytest.approx(loss, rel=1e-12)
    assert [p['dw'], p['db']] == pytest.approx(grads, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize('hand, model, data',
                         [(grad_by_hand, neuron, thermometer),
                          (grad_through_sigmoid, lambda *a: sigmoid(neuron(*a)), too_hot),
                          (grad_through_sigmoid, lambda *a: sigmoid(neuron(*a)), comfortable)])
def test_gradients_by_hand_are_autograd_s(hand, model, data):
    for seed in range(5):
        x, y = data(seed)
        x = scale(x)
        w, b = torch.randn(2, dtype=torch.float64).tolist()
        _, grads = by_autograd(lambda w, b, x=x, y=y: mse(model(x, w, b), y), w, b)
        assert [g.item() for g in hand(w, b, x, y)] == pytest.approx(grads, abs=1e-10)


def test_walk_is_sgd_s():
    x = scale(C)
    p = torch.tensor([1., -2.], dtype=torch.float64, requires_grad=True)
    sgd, path = torch.optim.SGD([p], lr=.2), [[1., -2.]]
    for _ in range(10):
        sgd.zero_grad()
        mse(neuron(x, *p), F).backward()
        sgd.step()
        path.append(p.tolist())
    assert torch.allclose(walk_down(x, F, .2, 10, 1., -2.), torch.tensor(path, dtype=torch.float64), rtol=1e-12)


@pytest.mark.parametrize('x', [C, scale(C), torch.tensor([3.]).double()])
def test_the_safe_rate_is_the_edge(x):
    "Just below, the distance to the lowest point does not grow; just above, it does, without end."
    y, edge = 2*x + 1, largest_safe_lr(x)
    far = [mse(neuron(x, *walk_down(x, y, share*edge, 3000)[-1]), y).item() for share in (.98, 1.02)]
    start = mse(neuron(x, 0, 0), y).item()
    assert far[0] < start < 1e6*start < far[1]


def test_unscaling_keeps_the_predictions():
    for seed in range(5):
        torch.manual_seed(seed)
        x, (w, b) = torch.randn(9, dtype=torch.float64)*30 + 12, torch.randn(2, dtype=torch.float64)
        assert torch.allclose(neuron(x, *unscale(w, b, x.mean(), x.std())), neuron(scale(x), w, b), rtol=1e-10)


def test_gradients_follow_what_python_sets():
    n = one_neuron(C, F, w=1, lr=1e-4, at=5)
    assert n.at == 5 and n.grads['dw'] == n.values['dw']
    n.w = 1.8
    n.b = 32
    n.at = 2
    _, grads = by_autograd(lambda w, b: (neuron(C[2], w, b) - F[2])**2, 1.8, 32)
    assert [n.grads['dw'], n.grads['db']] == pytest.approx(grads, abs=1e-10)
    assert n.example == (C[2].item(), F[2].item()) and n.values['dw'] == n.grads['dw']


@pytest.mark.parametrize('wrong, says', [
    (dict(x=[1.], y=[1.]), 'at least 2'),
    (dict(x=[1., 2.], y=[1.]), 'same length'),
    (dict(x=[[1., 2.]], y=[[1., 2.]]), 'same length'),
    (dict(y=[1., float('nan'), 2.]), 'finite'),
    (dict(squash=True), 'between 0 and 1'),
    (dict(w=float('inf')), 'w must be'),
    (dict(b=float('nan')), 'b must be'),
    (dict(lr=0), "'lr'"),
    (dict(lr=-1), "'lr'"),
    (dict(at=3), '0 to 2'),
    (dict(at=-1), '0 to 2'),
    (dict(at=1.5), "'at'"),
    (dict(w_range=(1, 1)), 'lower one first'),
    (dict(b_range=(float('nan'), 1)), 'b_range')])
def test_bad_input_says_what_to_do(wrong, says):
    with pytest.raises((ValueError, TraitError), match=re.escape(says)):
        one_neuron(**{'x': [0., 10., 37.], 'y': [32., 50., 98.6], **wrong})


@pytest.mark.parametrize('name, bad',
                         [('w', float('nan')),
                          ('b', float('inf')),
                          ('lr', 0),
                          ('at', 8),
                          ('at', -1),
                          ('w', 'two')])
def test_bad_moves_are_refused(name, bad):
    n = one_neuron(C, F, w=1, lr=1e-4)
    before = n.state()
    with pytest.raises((ValueError, TraitError)):
        setattr(n, name, bad)
    assert n.state() == before


def test_what_the_page_sends_is_kept_as_sent():
    n, sent = one_neuron(C, F), []
    n._send = lambda message, buffers=None: sent.append(message)
    n.set_state({'w': 2., 'b': 3., 'grads': {'dw': 1.}})
    assert (n.w, n.b, n.grads) == (2, 3, {'dw': 1.})
    assert not [m for m in sent if m.get('method') == 'update'], 'Python must not answer a move of the page with a move'


@pytest.mark.parametrize('make',
                         [lambda: one_neuron(C, F, w=1, at=5, xname='°C', yname='</script><b>'),
                          lambda: one_neuron(scale(too_hot()[0]), too_hot()[1], squash=True)])
def test_one_output_three_forms(make):
    data, meta = make()._repr_mimebundle_()
    assert {'application/vnd.jupyter.widget-view+json', 'text/html', 'image/png', 'text/plain'} <= data.keys()
    assert meta['image/png']['alt'] == data['text/plain'] and 'dw = ' in data['text/plain']
    assert len(data['text/html']) <= 40_000 and data['text/html'].count('</script>') == 1
    picture = Image.open(io.BytesIO(base64.b64decode(data['image/png'])))
    assert picture.format == 'PNG' and min(picture.size) > 120
    assert data['image/png'] in data['text/html'] and json.dumps(data)
    assert make()._repr_mimebundle_()[0]['text/html'] == data['text/html']
