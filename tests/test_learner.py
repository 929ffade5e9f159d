"learner: the same numbers as a loop written by hand, and a stop where the numbers end."
import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.data import loaders, photo_digits
from coursehelpers.learner import Learner, error_rate


def tiny():
    "A small net with batch norm, always the same."
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10))


def small_dls(**options): return loaders(photo_digits(120, 16), batch_size=16, device='cpu', **options)


def by_hand(model, dls, epochs, lr, zero=True):
    "The loop without a Learner."
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    cycle = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=epochs * len(dls.train))
    for _ in range(epochs):
        model.train()
        for xb, yb in dls.train:
            F.cross_entropy(model(xb), yb).backward()
            opt.step()
            if zero: opt.zero_grad()
            cycle.step()
        model.eval()
    return model


def same(a, b): return all(torch.equal(v, w) for v, w in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_bit_for_bit_the_loop_by_hand():
    learn = Learner(tiny(), small_dls(seed=3), lr=.01)
    learn.fit(3, quiet=True)
    assert same(learn.model, by_hand(tiny(), small_dls(seed=3), 3, .01))
    assert not same(learn.model, by_hand(tiny(), small_dls(seed=3), 3, .01, zero=False)), 'without zero_grad it would be another model'


def test_two_fits_start_two_cycles():
    learn = Learner(tiny(), small_dls(), lr=.01)
    learn.fit(1, quiet=True)
    learn.fit(2, lr=.001, quiet=True)
    assert [row['epoch'] for row in learn.history] == [0, 1, 2]


def test_frozen_parameters_stay():
    model = tiny()
    for p in model[:2].parameters(): p.requires_grad_(False)
    before = copy.deepcopy(model)
    Learner(model, small_dls(), lr=.01).fit(1, quiet=True)
    assert torch.equal(before[0].weight, model[0].weight) and not torch.equal(before[5].weight, model[5].weight)


def test_groups_have_their_own_rates():
    learn = Learner(tiny(), small_dls(), groups=lambda m: [dict(params=m[0].parameters(), lr=0.), dict(params=m[5].parameters(), lr=.01)])
    before = copy.deepcopy(learn.model)
    learn.fit(1, quiet=True)
    assert torch.equal(before[0].weight, learn.model[0].weight) and not torch.equal(before[5].weight, learn.model[5].weight)


def test_validate_and_predict_agree_with_torch():
    learn = Learner(tiny(), small_dls())
    preds, y = learn.predict()
    assert preds.shape == (24, 10) and y.tolist() == learn.dls.pictures.y[learn.dls.valid.rows].tolist()
    assert learn.validate() == dict(valid_loss=F.cross_entropy(preds, y).item(), error_rate=error_rate(preds, y).item())
    assert all(not m.training for m in learn.model.modules())


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_loss_that_is_no_number_stops(bad):
    calls = []
    def loss(preds, y): return F.cross_entropy(preds, y) + (bad if calls.append(1) or len(calls) == 4 else 0)
    learn = Learner(tiny(), small_dls(), loss_func=loss, lr=.01)
    with pytest.raises(FloatingPointError, match=r'epoch 0, batch 3 \(highest learning rate 0.01\).*ten times smaller'): learn.fit(2, quiet=True)
    assert len(calls) == 4


def test_the_table(capsys):
    Learner(tiny(), small_dls()).fit(2)
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ['epoch', 'train_loss', 'valid_loss', 'error_rate', 'seconds'] and [r.split()[0] for r in rows] == ['0', '1']
