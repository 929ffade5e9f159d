"The GPU path, as far as a machine without one can show: layouts, torch.compile, settings for CUDA, the measurement."

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bench import gpu
from coursehelpers.data import Dls, loaders, photo_digits
from coursehelpers.images.transforms import Augment
from coursehelpers.learner import Learner
from coursehelpers.nets.weights import create
from coursehelpers.training.checkpoints import read
from coursehelpers.training.devices import gpu_settings
from coursehelpers.training.processes import OneProcess
from coursehelpers.training.watching import LossLog


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 10))


def small(**options):
    return loaders(photo_digits(70, 16), batch_size=16, device='cpu', **options)  # 56 to train on: the last batch has 8


# ---- layouts


@pytest.mark.parametrize('singly', [True, False])
def test_convolutions_get_channels_last(singly):
    "On both roads, for training and for judging, and their weights lie so too."
    layouts, dls = [], loaders(photo_digits(70, 48), batch_size=16, device='cpu', augment=Augment())
    learn = Learner(create('test_resnet', 10, None).to(memory_format=torch.channels_last), dls)
    for load in (learn.dls.train, learn.dls.valid):
        load.x.singly = singly
    convs = [m for m in learn.model.modules() if isinstance(m, nn.Conv2d)]
    convs[0].register_forward_pre_hook(
        lambda m, args: layouts.append(
            args[0].is_contiguous(memory_format=torch.channels_last) and not args[0].is_contiguous()
        )
    )
    learn.fit(1, quiet=True)
    assert (
        len(layouts) == len(learn.dls.train) + len(learn.dls.valid)
        and all(layouts)
        and all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convs)
    )


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_what_is_set_for_a_gpu_and_put_back(device):
    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark

    before = settings()
    with pytest.raises(KeyboardInterrupt), gpu_settings(torch.device(device)):
        assert settings() == (('high', True) if device == 'cuda' else before)
        raise KeyboardInterrupt
    assert settings() == before


def test_losses_are_asked_for_seldom_on_a_device():
    "Off the CPU a number is asked for every 32 batches: sooner, the device would wait for Python."
    asked, learn = [], SimpleNamespace(device=torch.device('cuda'), losses=[], processes=OneProcess('cuda'))

    class Loss:
        def detach(self):
            return self

        def item(self):
            asked.append(learn.batch)
            return 1.0

    log = LossLog(learn)
    for learn.batch in range(70):
        log.add(Loss())
    assert asked == [31] * 32 + [63] * 32 and len(learn.losses) == 64


# ---- torch.compile


@pytest.mark.parametrize('precision', ['no', 'bf16'])
def test_a_compiled_model_learns_the_same(precision, tmp_path):
    "Weights, the names of the weights, and what is saved; the last batch is smaller."
    plain, fast = (Learner(net(), small(), lr=0.01, precision=precision, compile=c) for c in (False, True))
    fast.net = torch.compile(fast.model, backend='aot_eager') # which needs no C++ compiler
    for learn in (plain, fast):
        learn.fit(2, quiet=True)
    assert fast.net is not fast.model
    assert list(plain.model.state_dict()) == list(fast.model.state_dict())
    assert all(
        torch.allclose(a, b, atol=1e-5 if precision == 'no' else 0.02)
        for a, b in zip(plain.model.state_dict().values(), fast.model.state_dict().values(), strict=True)
    )
    fast.save(tmp_path / 'm.safetensors')
    assert set(read(tmp_path / 'm.safetensors')[0]) == set(plain.model.state_dict())
    other = Learner(net(), small())
    other.load(tmp_path / 'm.safetensors')
    assert torch.allclose(other.get_preds()[0], Learner.get_preds(fast)[0], atol=1e-5 if precision == 'no' else 0.05)


def test_compiled_only_where_it_is_wanted():
    calls = []

    def backend(graph, inputs):
        calls.append(1)
        return graph.forward

    Learner(net(), small()).fit(1, quiet=True)
    assert not calls
    learn = Learner(net(), small(), compile=True)
    assert learn.net is not learn.model
    learn.net = torch.compile(learn.model, backend=backend)
    learn.fit(1, quiet=True)
    assert calls


def test_many_compiled_learners_in_one_notebook():
    "torch counts its versions over all models, and stops at eight: each fit starts anew."
    for precision in ('no', 'bf16', 'no', 'bf16'):
        calls = []

        def backend(graph, inputs, calls=calls):
            return lambda *args: calls.append(1) or graph.forward(*args)

        learn = Learner(net(), small(), precision=precision, compile=True)
        learn.net = torch.compile(learn.model, backend=backend)
        for _ in range(2):
            calls.clear()
            learn.fit(2, quiet=True)
            assert len(calls) >= 2 * (len(learn.dls.train) + len(learn.dls.valid)), (
                f'{precision}: {len(calls)} calls of what was compiled'
            )


# ---- the measurement


def test_clock_and_still_batch():
    clock, still = gpu.Clock(), gpu.Still((torch.randn(4, 4), torch.zeros(4).long()), 5)
    learn = Learner(nn.Linear(4, 3), Dls.of(still, []), callbacks=[clock], metrics=())
    learn.validate = dict
    learn.fit(3, quiet=True)
    assert len(clock.seconds) == 3 and len(learn.losses) == 15 and all(s > 0 for s in clock.seconds)


def test_the_row_says_what_is_missing(root):
    row = gpu.full_pets(torch.device('cpu'))
    assert (
        row['ok'] is None
        and row['ours'] is None
        and all(words in row['note'] for words in ('convnext_tiny', 'no pets', 'no GPU'))
    )


def test_a_small_measurement(root, tmp_path):
    how = dict(arch='test_resnet', size=32, batch=8, images=40, rounds=1)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        found, what = gpu.files(how['images'])
        p = gpu.whole_batches(found, 8)
    assert 'pets' in what and len(p.train) % 8 == 0 and not set(p.train.tolist()) & set(p.valid.tolist())
    rates = gpu.fed_and_not(p, how, torch.device('cpu'))
    assert rates.keys() == {'fed', 'held'} and all(r > 0 for v in rates.values() for r in v)
