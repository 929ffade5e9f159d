"frozen: features as timm computes them, and the best head on them."
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.nets.frozen import (
    FrozenModel,
    choose_decay,
    features,
    fit_linear,
    fold,
    folded,
    memory_kept,
    quick_body,
    quick_dtype,
)
from coursehelpers.nets.weights import create

from .test_vision import TINY, small_dls

MODELS = [TINY, 'test_vit', 'test_efficientnet', 'mobilenetv2_035', 'mobilenetv4_conv_small_035', 'resnet10t']


@pytest.mark.parametrize('arch', MODELS)
def test_features_are_what_timm_computes(arch):
    size = 160 if arch == 'test_vit' else 64
    torch.manual_seed(0)
    model = create(arch, 10, weights=None)
    dls = small_dls(12, size).with_(mean=(.5,) * 3, std=(.5,) * 3)
    model.train()(torch.cat([xb for xb, _ in dls.train])) # batch norm sees something
    model.eval()
    (xb, _), = dls.valid
    with torch.no_grad():
        exact = torch.stack([model.forward_head(model.forward_features(v), pre_logits=True) for v in (xb, xb.flip(-1))])
    found = features(quick_body(model, 'cpu'), dls.valid)
    assert found.shape == exact.shape and found.dtype == torch.float32 and not found.is_inference()
    assert (found - exact).norm() / exact.norm() < (.06 if quick_dtype('cpu') == torch.bfloat16 else 1e-3)


def test_features_are_the_same_in_smaller_portions_when_memory_ends(capsys):
    torch.manual_seed(0)
    dls, body = small_dls(40), quick_body(create(TINY, 10, None), 'cpu', 48)
    whole = features(body, dls.train)

    class Tight(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, x):
            if len(x) > 9:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')
            return self.body(x)

    class Broken(Tight):
        def forward(self, x): raise RuntimeError('something else')

    assert torch.allclose(features(Tight(), dls.train), whole, atol=.02)
    assert 'with 16 pictures at once: again with 8' in capsys.readouterr().out
    with pytest.raises(RuntimeError, match='something else'):
        features(Broken(), dls.train)


def joined(body): return [m for m in body.modules() if hasattr(m, 'same')]


@pytest.mark.parametrize('arch, pad', [('mobilenetv2_035', 'same'), ('tf_efficientnet_lite0', ''), ('resnet10t', '')])
def test_convolutions_take_padding_and_limit_along_at_any_size(arch, pad, monkeypatch):
    "Made for 96 pixels, and right where sizes on the way are odd: 33 is so from the start, 50 after one halving."
    monkeypatch.setattr('coursehelpers.nets.frozen.quick_dtype', lambda device: torch.float32)
    torch.manual_seed(0)
    model = create(arch, 5, None, **(dict(pad_type=pad) if pad else {}))
    model.train()(torch.randn(4, 3, 96, 96))
    body = quick_body(model.eval(), 'cpu', 96, whole=True)
    assert joined(body), 'torch has no such operator any more: features take a third longer'
    for size in ((96, 96), (33, 33), (50, 50), (64, 47), (45, 64)):
        x = torch.randn(2, 3, *size).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            found, exact = body(x), model(x)
        assert (found - exact).norm() < 1e-3 * exact.norm(), size


def absent(*args): raise AttributeError
def other(x, *args): return x


@pytest.mark.parametrize('operator', [absent, other])
def test_without_the_joining_operator_features_are_the_same(operator, monkeypatch):
    "A torch that has none, and one where it does something else."
    torch.manual_seed(0)
    model = create('mobilenetv2_035', 5, None).eval()
    x = torch.randn(2, 3, 64, 64, dtype=quick_dtype('cpu')).to(memory_format=torch.channels_last)
    usual = quick_body(model, 'cpu', 64)
    monkeypatch.setattr(torch.ops.mkldnn, '_convolution_pointwise', operator)
    body = quick_body(model, 'cpu', 64)
    assert joined(usual) and not joined(body)
    monkeypatch.undo()
    with torch.inference_mode():
        assert (body(x) - usual(x)).norm() < .03 * usual(x).norm()


def test_memory_is_kept_once_and_given_back_once(monkeypatch):
    said = []
    class Libc:
        def mallopt(self, option, value): said.append((option, value))
        def malloc_trim(self, pad): said.append('trim')
    monkeypatch.setattr('coursehelpers.nets.frozen.ctypes.CDLL', lambda name: Libc())
    with pytest.raises(KeyError), memory_kept():
        with memory_kept():
            inside = len(said)
        assert len(said) == inside
        raise KeyError
    assert said[-1] == 'trim' and said.count('trim') == 1 and {(-4, 0), (-4, 65_536)} <= {*said}
    def none(name): raise TypeError # Windows
    monkeypatch.setattr('coursehelpers.nets.frozen.ctypes.CDLL', none)
    with memory_kept():
        pass


def test_folding_is_exact_and_leaves_the_model_alone():
    torch.manual_seed(0)
    model = create('mobilenetv2_035', 5, weights=None)
    model.train()(torch.randn(4, 3, 64, 64))
    before, x = {k: v.clone() for k, v in model.eval().state_dict().items()}, torch.randn(2, 3, 64, 64)
    folded = fold(model, x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(folded(x), model(x), atol=1e-4)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize('arch', [TINY, 'mobilenetv2_035', 'resnet10t', 'test_vit'])
def test_folding_for_a_while_gives_the_same_net_back(arch):
    torch.manual_seed(0)
    size = 160 if arch == 'test_vit' else 64
    model, x = create(arch, 5, weights=None), torch.randn(4, 3, size, size)
    model.train()(x)
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    with torch.no_grad():
        before = model.eval()(x)
    with folded(model.train(), x):
        assert model.training and not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
        inside = model.eval()(x)
    after = model(x)
    assert torch.allclose(before, inside, atol=1e-4) and torch.allclose(before, after, atol=1e-4)
    assert {k: v.shape for k, v in model.state_dict().items()} == shapes


def test_what_is_trained_while_folded_stays_trained_when_training_fails():
    torch.manual_seed(0)
    model, x = create(TINY, 5, weights=None), torch.randn(4, 3, 64, 64)
    model.train()(x)
    with pytest.raises(KeyboardInterrupt), folded(model, x):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(.01 * torch.randn_like(p))
            there = model.eval()(x)
        raise KeyboardInterrupt
    with torch.no_grad():
        assert torch.allclose(model.eval()(x), there, atol=1e-3)
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_net_that_cannot_be_folded_is_left_as_it_is():
    class Twice(nn.Module): # the convolution's output is used once more, without the batch norm
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.bn.running_mean.fill_(2.)
        def forward(self, x): return self.bn(self.conv(x)) + self.conv(x)
    model, x = Twice().eval(), torch.randn(2, 3, 8, 8)
    assert torch.equal(fold(model, x)(x), model(x)) and isinstance(fold(model, x).bn, nn.BatchNorm2d)


def test_the_head_is_the_best_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    g = torch.Generator().manual_seed(0)
    for n, d in ((90, 12), (30, 200)): # more pictures than features, and fewer
        y = torch.arange(n) % 3
        x = torch.randn(n, d, generator=g) + 2 * F.one_hot(y, d)
        w, b = fit_linear(x, y, 3, decay := 1e-2)
        z = (x - x.mean(0)) / (x - x.mean(0)).pow(2).sum(1).mean().sqrt()
        other = LogisticRegression(C=1 / (2 * decay * n), max_iter=2000, tol=1e-8).fit(z, y)
        theirs = torch.from_numpy(other.decision_function(z)).float()
        ours = x @ w.T + b
        assert torch.allclose((ours - ours.mean(1, keepdim=True)), theirs - theirs.mean(1, keepdim=True), atol=.02)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize('labels', [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 1, 3]])
def test_choose_decay_survives_labels_with_one_picture_or_none(labels):
    decay, error = choose_decay(torch.randn(4, 6), torch.tensor(labels), 5)
    assert decay in (1e-4, 1e-3, 1e-2) and 0 <= error <= 1


def test_this_torch_says_what_the_processor_can_do():
    "`quick_dtype` asks `torch.cpu.get_capabilities`; where that says other words, features would silently be slow."
    if not hasattr(torch.cpu, 'get_capabilities'):
        pytest.skip('a torch from before that')
    has = torch.cpu.get_capabilities()
    if has['architecture'] != 'x86_64':
        pytest.skip('other words for other processors')
    assert {'avx512_bf16', 'amx_tile'} <= has.keys()
    assert (quick_dtype('cpu') == torch.bfloat16) == (has['avx512_bf16'] or has['amx_tile'])


def test_an_older_torch_computes_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    assert quick_dtype('cpu') == torch.float32


def test_a_head_that_was_fitted_is_what_the_model_says():
    torch.manual_seed(0)
    model, dls = create(TINY, 10, None), small_dls(40)
    kept = FrozenModel(model, dls)
    kept.fit_head()
    one, again = kept.scores(True), kept.scores(True)
    with torch.no_grad():
        exact = model.eval()(dls.valid.x.plain(dls.valid.rows))
    assert torch.equal(one, again) and (one[0] - exact).norm() < .06 * exact.norm()
