"Layers with a promise: monotone, equal to the equation and to autograd, kept by files; and numbers that refuse."
import io
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.layers import (
    Decay,
    Growth,
    MonotoneSum,
    Scaled,
    dense,
    grow_and_fade,
    n_params,
    softplus,
    wrong_way,
)


def scattered(terms, seed, spread=3.):
    "A float64 layer with random numbers, far from its start."
    layer, g = MonotoneSum(terms).double(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(spread * torch.randn(p.shape, generator=g, dtype=p.dtype))
    return layer


def grid(dtype=torch.float64):
    line = torch.linspace(-20, 40, 31, dtype=dtype)
    return torch.cartesian_prod(line, line)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('seed', range(8))
def test_the_slopes_never_have_the_wrong_sign(seed, dtype):
    "Of any numbers, at any input: a product of factors that are not negative is not negative in floats either."
    layer, x = scattered(4, seed).to(dtype), grid(dtype).requires_grad_()
    slope, = torch.autograd.grad(layer(x).sum(), x)
    finite = slope.isfinite()
    assert finite.float().mean() > .95
    assert (slope[:, 0][finite[:, 0]] >= 0).all() and (slope[:, 1][finite[:, 1]] <= 0).all()


@pytest.mark.parametrize('seed', range(8))
def test_no_step_on_a_grid_goes_the_wrong_way(seed):
    y = scattered(4, seed)(grid()).view(31, 31)
    rounding = 1e-12 * y.abs().max()
    assert (y.diff(dim=0) >= -rounding).all() and (y.diff(dim=1) <= rounding).all()


@pytest.mark.parametrize('terms', [1, 2, 5])
def test_modules_are_the_function(terms):
    layer, x = scattered(terms, terms, 1.), torch.rand(40, 2, dtype=torch.float64) * 10
    want = grow_and_fade(*x.T, layer.growth.b, layer.growth.w, layer.decay.b, layer.decay.w, layer.w)
    assert (layer(x) - want).abs().max() < 1e-12
    assert (layer(x) - grow_and_fade(*x.T, *layer.numbers())).abs().max() < 1e-12
    assert (layer.numbers()[3].diff() <= 0).all()
    assert torch.autograd.gradcheck(lambda x: layer(x), x[:3].requires_grad_())


def test_as_many_rows_as_terms_is_no_trap():
    p, m, t = torch.randn(5, 4).double(), torch.rand(4).double(), torch.rand(4).double()
    one_by_one = torch.cat([grow_and_fade(m[i:i + 1], t[i:i + 1], *p) for i in range(4)])
    assert torch.allclose(grow_and_fade(m, t, *p), one_by_one)


@pytest.mark.parametrize('x', [-800., -100., -20., -1e-6, 0., 1e-6, 20., 20.5, 100., 800.])
def test_softplus_is_right_at_any_size(x):
    "Value and slope in float64, beside a sum that is exact far from 0."
    v = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = softplus(v)
    y.backward()
    want = x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))
    assert y.item() == pytest.approx(want, rel=1e-14, abs=1e-300)
    assert v.grad.item() == pytest.approx(torch.sigmoid(torch.tensor(x, dtype=torch.float64)).item(), rel=1e-9)
    assert torch.allclose(softplus(v.float()), F.softplus(v.float())) and softplus(v.half()).dtype == torch.float16


def test_two_layers_share_nothing_and_a_file_keeps_all():
    torch.manual_seed(0)
    a, b = MonotoneSum(3), MonotoneSum(3)
    assert {p.data_ptr() for p in a.parameters()}.isdisjoint(p.data_ptr() for p in b.parameters())
    assert sorted(a.state_dict()) == ['decay.b', 'decay.w', 'growth.b', 'growth.w', 'w'] and n_params(a) == 15
    kept = io.BytesIO()
    torch.save(a.state_dict(), kept)
    kept.seek(0)
    b.load_state_dict(torch.load(kept))
    x = torch.rand(10, 2)
    assert torch.equal(a(x), b(x))
    with pytest.raises(RuntimeError, match='size mismatch'):
        MonotoneSum(2).load_state_dict(a.state_dict())


def test_terms_start_apart():
    "Else they would stay twins for ever."
    layer = MonotoneSum(4, noise=0.)
    assert len(set(layer.numbers()[3].tolist())) == 4
    loss = (layer(torch.rand(20, 2)) - 1).square().mean()
    loss.backward()
    assert len(set(layer.growth.b.grad.tolist())) == 4


def test_every_parameter_learns():
    torch.manual_seed(0)
    for model in (MonotoneSum(3), Scaled(dense(2, 4, 1), (3, 6), 10)):
        model(torch.rand(20, 2)).sum().backward()
        assert all(p.grad.abs().min() > 0 for p in model.parameters())


def test_a_bias_may_be_shared():
    layer = MonotoneSum(3)
    layer.decay.b = layer.growth.b
    assert n_params(layer) == 12
    layer(torch.rand(5, 2)).sum().backward()
    assert layer.decay.b.grad is layer.growth.b.grad
    assert n_params(layer.requires_grad_(False)) == 0


def test_factors_say_what_they_are():
    assert repr(Growth(3)) == 'Growth(terms=3)'
    assert Growth(2)(torch.arange(5.)).shape == Decay(2)(torch.arange(5.)).shape == (5, 2)


def test_scaled_goes_where_its_net_goes():
    net = Scaled(dense(2, 3, 3, 1, act=nn.ReLU), (3, 6), 10).double()
    x = torch.rand(4, 2).double()
    assert net(x).dtype == torch.float64 and torch.equal(net(x), 10 * net.model(x / torch.tensor([3., 6]).double()))
    assert 'x_size' in net.state_dict()
    assert n_params(net) == n_params(dense(2, 3, 3, 1)) == n_params(MonotoneSum(5)) == 25


def test_wrong_way_counts_steps():
    y = torch.tensor([[0., 1, 1, 0], [1, 1, 2, 2], [0, 3, 2, 1]])
    assert wrong_way(y, 1, 1).item() == pytest.approx(3 / 9) and wrong_way(y, 0, 1).item() == pytest.approx(2 / 8)
    assert wrong_way(y, 1, -1).item() == pytest.approx(3 / 9) and wrong_way(torch.zeros(4), 0, 1) == 0
    with pytest.raises(ValueError, match='NaN'):
        wrong_way(y / 0, 0, 1)
