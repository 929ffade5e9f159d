"mix: timm's own mixtures, on training batches only, and the same again after a resume."

import copy

import numpy as np
import pytest
import torch
from timm.data import Mixup
from torch import nn

from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, loaders, photo_digits
from coursehelpers.images.transforms import Augment
from coursehelpers.learner import Callback, Learner
from coursehelpers.training.checkpoints import read
from coursehelpers.training.mixup import Mix


def batch(n=6, labels=4):
    g = torch.Generator().manual_seed(0)
    return torch.rand(n, 3, 8, 8, generator=g).contiguous(memory_format=torch.channels_last), torch.randint(
        labels, (n,), generator=g
    )


def net(out=10):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, out)
    )


def small(**options):
    return loaders(photo_digits(110, 16), batch_size=16, device='cpu', **options)


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(cutmix=0.0),
        dict(alpha=0.0),
    ],
)
def test_it_is_timms(options):
    x, y = batch()
    before, o = x.clone(), dict(alpha=0.2, cutmix=1.0) | options
    for seed in range(5):
        np.random.seed(seed)
        xb, yb = Mix(**options).mixed(x, y, 4)
        np.random.seed(seed)
        want = Mixup(o['alpha'], o['cutmix'], label_smoothing=0.0, num_classes=4)(x.clone(), y)
        assert torch.equal(xb, want[0]) and torch.equal(yb, want[1]) and torch.equal(x, before), (
            'and the batch that came stays as it was'
        )
        assert xb.is_contiguous(memory_format=torch.channels_last) and torch.allclose(yb.sum(1), torch.ones(6))


@pytest.mark.parametrize('n', [1, 2, 7])
def test_odd_batches(n):
    x, y = batch(n)
    np.random.seed(0)
    xb, yb = Mix().mixed(x, y, 4)
    assert xb.shape == x.shape and yb.shape == (n, 4) and torch.allclose(yb.sum(1), torch.ones(n))
    if n % 2:
        assert torch.equal(xb[-1], x[-1]) and yb[-1].argmax() == y[-1] and yb[-1].max() == 1


def test_training_is_mixed_and_judging_is_not():
    seen = dict(train=[], valid=[])

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, x):
            seen['train' if self.training else 'valid'].append(x.clone())
            return self.net(x)

    class See(Callback):
        order = 20

        def after_loss(self, learn):
            targets.append(learn.yb)

    dls, targets = small(augment=False), []
    learn = Learner(Net(), dls, lr=0.01, callbacks=[Mix(1.0, 0.0), See()])
    learn.fit(1, quiet=True)
    assert all(t.is_floating_point() and t.shape[1] == 10 for t in targets)
    assert not torch.equal(seen['train'][0], dls.train.batch(0, 0)[0]) and torch.equal(
        seen['valid'][0], dls.valid.batch(0, 0)[0]
    )
    assert 0 <= learn.history[0]['error_rate'] <= 1 and (
        wrong := learn.history[0]['error_rate'] * len(dls.valid.rows)
    ) == pytest.approx(round(wrong), abs=1e-3)


def test_the_batches_of_a_list_are_not_changed():
    kept = [(torch.rand(4, 3, 8, 8), torch.arange(4))]
    before = copy.deepcopy(kept)
    Learner(net(4), Dls.of(kept, kept, vocab=list('abcd')), callbacks=[Mix()]).fit(2, quiet=True)
    assert torch.equal(kept[0][0], before[0][0])


def test_resumed_bit_for_bit(tmp_path):
    class Die(Callback):
        def __init__(self, after):
            self.after = after

        def state_dict(self):
            return {}

        def after_batch(self, learn):
            self.after -= 1
            if not self.after:
                raise KeyboardInterrupt

    def run(after, path):
        np.random.seed(3)
        learn = Learner(net(), small(augment=Augment()), lr=0.01, callbacks=[Mix()])
        try:
            learn.fit(2, quiet=True, checkpoint=path, every=1, callbacks=[Die(after)])
        except KeyboardInterrupt:
            pass
        return learn

    whole = run(0, tmp_path / 'whole')
    for after in (3, 8):
        run(after, tmp_path / f'{after}')
        assert read(tmp_path / f'{after}')[1]['plan']['callbacks'] == ['Mix']
        np.random.rand(after)
        again = run(0, tmp_path / f'{after}')
        assert again.losses == whole.losses and all(
            torch.equal(a, b)
            for a, b in zip(again.model.state_dict().values(), whole.model.state_dict().values(), strict=True)
        )


def test_with_pieces_the_mixture_is_one():
    "Where memory is short, the parts are of the mixed batch, so that the training is the same."

    class Net(nn.Sequential):
        most = 99

        def forward(self, x):
            if len(x) > self.most:
                raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate')
            return super().forward(x)

    found = []
    for most in (99, 5):
        torch.manual_seed(0)
        np.random.seed(0)
        model = Net(nn.Conv2d(3, 4, 3, 2), nn.Flatten(), nn.Linear(196, 10))
        model.most = most
        Learner(model, small(), callbacks=[Mix()], opt_func=torch.optim.SGD).fit(1, quiet=True)
        found.append(model.state_dict())
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found[0].values(), found[1].values(), strict=True))


def test_what_cannot_be_mixed_says_so():
    flat = [(torch.rand(4, 8), torch.arange(4))]
    with pytest.raises(DataError, match='pictures'):
        Learner(nn.Linear(8, 4), Dls.of(flat, flat, vocab=list('abcd')), callbacks=[Mix()]).fit(1, quiet=True)
    pictures = [(torch.rand(4, 3, 8, 8), torch.arange(4))]
    with pytest.raises(DataError, match='vocab has 0 labels'):
        Learner(net(4), Dls.of(pictures, pictures), callbacks=[Mix()]).fit(1, quiet=True)
