"out of memory: a batch goes through in parts, the step stays the same, and it is said once."

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.data import Dls, Loader, loaders, photo_digits
from coursehelpers.images.transforms import Augment
from coursehelpers.learner import Callback, Learner
from coursehelpers.training.checkpoints import read
from coursehelpers.training.memory import Memory

WORDS = 'CUDA out of memory. Tried to allocate 20.00 MiB.'


class Short(torch.autograd.Function):
    "Gives up in the backward pass."

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise torch.OutOfMemoryError(WORDS)


class Net(nn.Module):
    """Two layers; memory ends above `most` examples, in the forward pass or in the backward one, when the last layer
    already has its gradients."""

    def __init__(self, most=None, place='forward', error=None):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.most, self.place, self.seen = nn.Linear(4, 8), nn.Linear(8, 3), most, place, []
        self.error = error or torch.OutOfMemoryError(WORDS)

    after = 0  # passes that still have room

    def forward(self, x):
        self.seen.append(len(x))
        short = self.most and len(x) > self.most and len(self.seen) > self.after
        x = self.first(x).relu()
        if short and self.place == 'forward':
            # a new one: an old one would hold on to the pass in which it was raised
            raise type(self.error)(*self.error.args)
        if short and self.training:
            x = Short.apply(x)
        return self.last(x)


def points(n=40, bs=16):
    "Random points; the last batch of 16 has 8."
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(0))
    y = x[:, :3].argmax(1)
    return Dls.of(Loader(x, y, torch.arange(n), bs, shuffle=True), Loader(x, y, torch.arange(n), bs), vocab=list('abc'))


def pair(most, place='forward', epochs=2, **options):
    "(a learner that was not hindered, one that was), both trained."
    made = [Learner(Net(m, place), points(), lr=0.05, **options) for m in (None, most)]
    for learn in made:
        learn.fit(epochs, quiet=True)
    return made


def close(a, b, within=1e-6):
    return all(
        torch.allclose(v, w, atol=within) for v, w in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    'most, place, accumulate',
    [
        (12, 'forward', 1),
        (5, 'backward', 2),
        pytest.param(8, 'backward', 1, marks=pytest.mark.long),
        pytest.param(8, 'backward', 3, marks=pytest.mark.long),
        pytest.param(1, 'forward', 2, marks=pytest.mark.long),
    ],
)
def test_the_same_training(most, place, accumulate, capsys):
    free, short = pair(most, place, accumulate=accumulate, opt_func=torch.optim.SGD)
    assert close(free.model, short.model) and free.memory.at_once is None and short.memory.at_once <= most
    assert free.rates == short.rates and torch.allclose(
        torch.tensor(free.losses), torch.tensor(short.losses), atol=1e-6
    )
    assert [set(r) for r in free.history] == [set(r) for r in short.history] and len(short.losses) == 6
    said = capsys.readouterr().out.strip().splitlines()
    assert len(said) == {12: 1, 8: 1, 5: 2, 1: 4}[most]
    assert said[0].startswith('out of memory with 16 at once: from here 8 at a time.')


@pytest.mark.parametrize('place', ['forward', 'backward'])
@pytest.mark.parametrize('after', [1, 2])
def test_what_earlier_batches_gathered_stays(place, after):
    """Memory ends in the second or third batch of those that make one step together, when some of its gradients are
    there already."""
    made = [
        Learner(Net(most, place), points(), lr=0.5, accumulate=3, opt_func=torch.optim.SGD, schedule=None)
        for most in (None, 4)
    ]
    made[1].model.after = after
    for learn in made:
        learn.fit(1, quiet=True)
    assert close(made[0].model, made[1].model) and made[1].model.seen[after] == made[0].model.seen[after]


def test_the_gradient_is_that_of_the_whole_batch():
    """Just before the step, of uneven parts too: 16 in parts of at most 5 are 4, 4, 4, 4, and 8 are 4, 4; with at most
    3: 3, 3, 3, 3, 3, 1."""
    for most in (5, 3):
        found = {}

        class Look(Callback):
            kept = found  # of this round

            def before_step(self, learn):
                self.kept.setdefault(learn.model.most, []).append([p.grad.clone() for p in learn.model.parameters()])

        for m in (None, most):
            learn = Learner(Net(m), points(), lr=0.0, callbacks=[Look()], schedule=None)
            if m:
                learn.memory.at_once = m
            learn.fit(1, quiet=True)
        assert all(
            torch.allclose(a, b, atol=1e-6)
            for r, s in zip(found[None], found[most], strict=True)
            for a, b in zip(r, s, strict=True)
        )
        assert [n for n in learn.model.seen[:6]] == {5: [4] * 6, 3: [3] * 5 + [1]}[most]


def test_what_callbacks_see_afterwards():
    seen = []

    class See(Callback):
        def after_batch(self, learn):
            seen.append(
                (
                    len(learn.xb),
                    len(learn.yb),
                    tuple(learn.preds.shape),
                    learn.loss.item(),
                    F.cross_entropy(learn.preds, learn.yb).item(),
                )
            )

    Learner(Net(5), points(), lr=0.05, callbacks=[See()]).fit(1, quiet=True)
    assert [s[:3] for s in seen] == [(16, 16, (16, 3)), (16, 16, (16, 3)), (8, 8, (8, 3))] and all(
        abs(s[3] - s[4]) < 1e-6 for s in seen
    )


def test_a_view_is_not_drawn_again():
    "The inputs of the parts are the batch that came, whatever the augmentation."
    drawn, inputs = [], []

    class See(Callback):
        def before_batch(self, learn):
            drawn.append(learn.xb.clone())

        def after_loss(self, learn):
            inputs.append(learn.xb.clone())

    class Cnn(nn.Sequential):
        def forward(self, x):
            if len(x) > 10:
                raise torch.OutOfMemoryError(WORDS)
            return super().forward(x)

    learn = Learner(
        Cnn(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(196, 10)),
        loaders(photo_digits(60, 16), batch_size=16, device='cpu', augment=Augment()),
        callbacks=[See()],
    )
    learn.fit(1, quiet=True)
    assert torch.equal(torch.cat(drawn), torch.cat(inputs)) and len(drawn) < len(inputs)
    assert all(i.is_contiguous(memory_format=torch.channels_last) for i in inputs)


def test_groups_with_their_own_rates_and_clipping():
    def groups(model):
        return [dict(params=model.first.parameters(), lr=0.001), dict(params=model.last.parameters(), lr=0.05)]

    free, short = pair(3, 'backward', groups=groups)
    assert close(free.model, short.model, 1e-5)


def test_batch_norm_is_mentioned(capsys):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), Net(8))
    model[2].first = nn.Linear(8, 8)
    Learner(model, points(48)).fit(1, quiet=True)
    said = capsys.readouterr().out
    assert 'from here 8 at a time' in said and 'batch norm' in said


def test_judging_in_parts(capsys):
    "As the training found out; a batch too large only for judging is torch's own error."
    whole, short = Learner(Net(), points()), Learner(Net(3), points())
    with pytest.raises(torch.OutOfMemoryError, match='CUDA out of memory'):
        short.get_preds()
    for learn in (whole, short):
        learn.fit(1, quiet=True)
    (a, y), (b, z) = whole.get_preds(), short.get_preds()
    assert torch.allclose(a, b, atol=1e-6) and torch.equal(y, z)
    assert short.memory.at_once == 2 and max(short.model.seen[-8:]) <= 3
    assert abs(whole.validate()['valid_loss'] - short.validate()['valid_loss']) < 1e-6


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: "
            'you tried to allocate 80000000000 bytes.'
        ),
        RuntimeError('MPS backend out of memory (MPS allocated: 17.86 GB, max allowed: 18.13 GB).'),
        RuntimeError('CUDA error: out of memory\nCUDA kernel errors might be reported later'),
        RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'),
        RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)'),
    ],
)
def test_how_devices_say_it(error):
    learn = Learner(Net(8, error=error), points())
    learn.fit(1, quiet=True)
    assert learn.memory.at_once == 8


def test_another_error_comes_through_as_it_is():
    with pytest.raises(RuntimeError, match='^mat1 and mat2$'):
        Learner(Net(8, error=RuntimeError('mat1 and mat2')), points()).fit(1, quiet=True)


@pytest.mark.parametrize('place', ['forward', 'backward'])
def test_below_one_there_is_advice(place):
    learn = Learner(Net(0.5, place), points())
    with pytest.raises(torch.OutOfMemoryError, match='with 1 at once.*smaller arch.*bf16'):
        learn.fit(1, quiet=True)


def test_several_processes_get_advice():
    "One of them cannot go through in parts while the others wait for its gradients."
    learn = Learner(Net(8), points())
    learn.memory = Memory(world=2)
    with pytest.raises(torch.OutOfMemoryError, match='with 16 at once.*batch_size.*accumulate'):
        learn.fit(1, quiet=True)


@pytest.mark.parametrize('place', ['forward', 'backward'])
def test_memory_is_let_go_before_the_next_try(place):
    "Of what the failed attempt made, nothing is alive when the parts go through."
    import gc
    import weakref

    alive, made = [], []

    class Kept(Net):
        def forward(self, x):
            alive.append(sum(r() is not None for r in made))
            hidden = self.first(x)
            made.append(weakref.ref(hidden))
            return super().forward(x)

    gc.disable()
    try:
        Learner(Kept(8, place), points()).fit(1, quiet=True)
    finally:
        gc.enable()
    assert alive[1] == 0, 'the second forward pass, in parts'


def test_resumed_in_parts(tmp_path):
    class Die(Callback):
        def __init__(self, after):
            self.after = after

        def state_dict(self):
            return {}

        def after_batch(self, learn):
            self.after -= 1
            if not self.after:
                raise KeyboardInterrupt

    def run(after, name):
        learn = Learner(Net(5), points(), lr=0.05)
        try:
            learn.fit(2, quiet=True, checkpoint=tmp_path / name, every=1, callbacks=[Die(after)])
        except KeyboardInterrupt:
            pass
        return learn

    whole = run(0, 'whole')
    run(2, 'part')
    assert read(tmp_path / 'part')[1]['kind'] == 'run'
    model = Net()  # now there is room, and the run stays the same all the same
    again = Learner(model, points(), lr=0.05)
    again.fit(2, quiet=True, checkpoint=tmp_path / 'part', every=1, callbacks=[Die(0)])
    assert again.memory.at_once == 4 and max(model.seen) == 4 and whole.losses == again.losses
    assert all(
        torch.equal(v, w) for v, w in zip(whole.model.state_dict().values(), model.state_dict().values(), strict=True)
    )


def test_a_search_keeps_what_it_learned_about_memory(capsys):
    learn = Learner(Net(8), points())
    learn.lr_find(quiet=True, steps=20)
    learn.fit(1, quiet=True)
    assert capsys.readouterr().out.count('out of memory') == 1 and learn.history[0]['epoch'] == 0


def test_in_reduced_precision():
    free, short = pair(8, precision='bf16')
    assert close(free.model, short.model, 0.02)


def test_a_fit_that_was_broken_off_leaves_no_gradients_to_the_next():
    class Stop(Callback):
        def before_step(self, learn):
            raise KeyboardInterrupt

    learn, plain = (Learner(Net(), points(), lr=0.05) for _ in range(2))
    weights = copy.deepcopy(learn.model.state_dict())
    with pytest.raises(KeyboardInterrupt):
        learn.fit(1, quiet=True, callbacks=[Stop()])
    assert all(torch.equal(v, weights[k]) for k, v in learn.model.state_dict().items())
    for learner in (learn, plain):
        learner.fit(1, quiet=True)
    assert close(learn.model, plain.model, 0)
