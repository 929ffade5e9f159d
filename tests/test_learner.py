"learner: the same numbers as a loop written by hand, no trace of a search, and clear words where something is wrong."

import copy
import cProfile
import math
import os
import pstats
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from coursehelpers import learner
from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, Loader, loaders, photo_digits
from coursehelpers.learner import Callback, Clip, EarlyStop, Learner, NonFiniteLoss
from coursehelpers.metrics import error_rate
from coursehelpers.training.checkpoints import CheckpointError, read, write
from coursehelpers.training.devices import gpu_settings
from coursehelpers.training.lossplots import losses_figure
from coursehelpers.training.search import try_rates


def tiny(out=10):
    "A small net with batch norm, always the same."
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, out),
    )


def small_dls(**options):
    return loaders(photo_digits(120, 16), batch_size=16, device='cpu', **options)


def points(n=40, bs=8, labels=3, **options):
    "Random points with labels that can be learned, in our loaders."
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g)
    y = x[:, :labels].argmax(1)
    return Dls.of(
        Loader(x, y, torch.arange(n), bs, shuffle=True, **options),
        Loader(x, y, torch.arange(n), bs),
        vocab=[str(i) for i in range(labels)],
    )


def linear(out=3):
    torch.manual_seed(0)
    return nn.Linear(4, out)


def by_hand(model, dls, epochs, lr, zero=True, accumulate=1, clip=None):
    "The loop without a Learner."
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    cycle = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=epochs * math.ceil(len(dls.train) / accumulate))
    for _ in range(epochs):
        model.train()
        for i, (xb, yb) in enumerate(dls.train):
            size = min(accumulate, len(dls.train) - i // accumulate * accumulate)
            (F.cross_entropy(model(xb), yb) / size).backward()
            if (i + 1) % accumulate and i + 1 < len(dls.train):
                continue
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            opt.step()
            if zero:
                opt.zero_grad()
            cycle.step()
        model.eval()
    return model


def same(a, b):
    return all(torch.equal(v, w) for v, w in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# the loop
def test_bit_for_bit_the_loop_by_hand():
    learn = Learner(tiny(), small_dls(seed=3), lr=0.01)
    learn.fit(3, quiet=True)
    assert same(learn.model, by_hand(tiny(), small_dls(seed=3), 3, 0.01))
    assert not same(learn.model, by_hand(tiny(), small_dls(seed=3), 3, 0.01, zero=False)), (
        'without zero_grad it would be another model'
    )


def test_accumulation_and_clipping_are_the_loop_by_hand_too():
    learn = Learner(
        linear(), points(36), lr=0.05, accumulate=2, callbacks=[Clip(0.1)]
    )  # 5 batches: the last stands alone
    learn.fit(2, quiet=True)
    assert same(learn.model, by_hand(linear(), points(36), 2, 0.05, accumulate=2, clip=0.1)) and len(learn.rates) == 6
    assert not same(learn.model, by_hand(linear(), points(36), 2, 0.05, clip=0.1))


def test_two_halves_make_one_step():
    whole, halves = (
        Learner(linear(), points(bs=bs), lr=0.05, accumulate=k, opt_func=torch.optim.SGD) for bs, k in ((8, 1), (4, 2))
    )
    for learn in (whole, halves):
        learn.fit(3, quiet=True)
    assert torch.allclose(whole.model.weight, halves.model.weight, atol=1e-6)


def test_a_torch_dataloader_will_do():
    data = TensorDataset(torch.randn(30, 4), torch.randint(3, (30,)))
    models = []
    for fit in (lambda m, d: Learner(m, d, lr=0.01).fit(2, quiet=True), lambda m, d: by_hand(m, d, 2, 0.01)):
        model = linear()
        dls = Dls.of(
            DataLoader(data, 8, shuffle=True, generator=torch.Generator().manual_seed(1)),
            [(torch.zeros(2, 4), torch.zeros(2).long())],
        )
        fit(model, dls)
        models.append(model)
    assert same(*models)


def test_a_learner_starts_at_epoch_0_of_its_loader_whatever_was_done_with_it_before():
    dls = points()
    fits = []
    for _ in range(2):
        learn = Learner(linear(), dls, lr=0.05)
        learn.fit(2, quiet=True)
        fits.append(learn.model)
    assert same(*fits)


def test_two_fits_start_two_cycles():
    learn = Learner(tiny(), small_dls(), lr=0.01)
    learn.fit(1, quiet=True)
    learn.fit(2, lr=0.001, quiet=True)
    assert [row['epoch'] for row in learn.history] == [0, 1, 2] and max(
        learn.rates[len(learn.dls.train) :]
    ) == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize('schedule', [None, torch.optim.lr_scheduler.CosineAnnealingLR, learner.one_cycle])
def test_schedules(schedule):
    learn = Learner(linear(), points(), lr=0.05, schedule=schedule, opt_func=torch.optim.SGD)
    learn.fit(2, quiet=True)
    assert len(learn.rates) == 10 and (set(learn.rates) == {0.05} if schedule is None else learn.rates[-1] < 0.01)


# the state of the process
def test_precisions_side_by_side():
    learns = [Learner(linear(), points(), lr=0.05, precision=p) for p in ('bf16', 'no', 'bf16')]
    for learn in learns:
        learn.fit(1, quiet=True)
    assert same(learns[0].model, learns[2].model) and not same(learns[0].model, learns[1].model)
    assert torch.allclose(learns[1].model.weight, learns[2].model.weight, atol=0.02)
    assert all('forward' not in vars(learn.model) for learn in learns), 'the model is left as it came, but trained'
    assert learns[0].get_preds()[0].dtype == learns[0].preds.dtype == torch.float32


def test_fp16_without_a_gpu_says_so():
    with pytest.raises(ValueError, match="fp16.*cpu.*'bf16'.*needs a GPU"):
        Learner(linear(), points(), precision='fp16')
    with pytest.raises(ValueError, match='fp8.*bf16'):
        Learner(linear(), points(), precision='fp8')


def test_a_learner_changes_nothing_that_belongs_to_the_process(monkeypatch):
    "Neither when it is made nor when it has trained: no state of accelerate, no settings of torch, on a GPU neither."
    from accelerate.state import AcceleratorState, PartialState

    def settings():
        return (
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.benchmark,
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_autocast_enabled('cpu'),
            torch.get_default_dtype(),
            torch.backends.cudnn.allow_tf32,
            torch.are_deterministic_algorithms_enabled(),
            dict(PartialState._shared_state),
            dict(AcceleratorState._shared_state),
            dict(os.environ),
        )

    before, during = settings(), []

    class Look(Callback):
        def after_batch(self, learn):
            during.append(torch.get_float32_matmul_precision())

    learn = Learner(linear(), points(), precision='bf16', callbacks=[Look()])
    assert settings() == before
    for device in ('cpu', 'cuda'):
        with monkeypatch.context() as m:
            m.setattr('coursehelpers.learner.gpu_settings', lambda _, device=device: gpu_settings(torch.device(device)))
            learn.fit(1, quiet=True)
            learn.lr_find(steps=3, quiet=True)
            with pytest.raises(ZeroDivisionError):
                learn.fit(1, quiet=True, callbacks=[type('Bad', (Callback,), dict(after_batch=lambda *a: 1 / 0))()])
        assert settings() == before
    assert {'highest', 'high'} <= set(during), 'on a GPU the quick way, while it trains'


# groups
def test_frozen_parameters_stay():
    model = tiny()
    for p in model[:2].parameters():
        p.requires_grad_(False)
    before = copy.deepcopy(model)
    Learner(model, small_dls(), lr=0.01).fit(1, quiet=True)
    assert torch.equal(before[0].weight, model[0].weight) and not torch.equal(before[5].weight, model[5].weight)


def test_groups_have_their_own_rates():
    learn = Learner(
        tiny(),
        small_dls(),
        groups=lambda m: [dict(params=m[0].parameters(), lr=0.0), dict(params=m[5].parameters(), lr=0.01)],
    )
    before = copy.deepcopy(learn.model)
    learn.fit(1, quiet=True)
    assert torch.equal(before[0].weight, learn.model[0].weight) and not torch.equal(
        before[5].weight, learn.model[5].weight
    )


def test_the_rates_are_those_of_the_fastest_group():
    learn = Learner(tiny(), small_dls(), schedule=None)
    learn.groups = lambda m: [dict(params=m[0].parameters(), lr=0.01), dict(params=m[5].parameters(), lr=0.001)]
    learn.fit(1, quiet=True)
    assert set(learn.rates) == {0.01}
    rates, losses = try_rates(learn, 1e-4, 1e-2, 5)
    assert rates[0] == pytest.approx(1e-4) and rates[-1] == pytest.approx(1e-2)


def test_a_model_that_is_frozen_cannot_learn():
    learn = Learner(tiny().requires_grad_(False), small_dls())
    with pytest.raises(ValueError, match='every parameter is frozen'):
        learn.fit(1, quiet=True)


# judging
def test_validate_and_predict_agree_with_torch():
    learn = Learner(tiny(), small_dls())
    preds, y = learn.get_preds()
    assert preds.shape == (24, 10) and y.tolist() == learn.dls.pictures.y[learn.dls.valid.rows].tolist()
    assert learn.validate() == dict(valid_loss=F.cross_entropy(preds, y).item(), error_rate=error_rate(preds, y).item())
    assert all(m.training for m in learn.model.modules()), 'as it came'
    learn.fit(1, quiet=True)
    assert not any(m.training for m in learn.model.modules())


def test_lr_find_leaves_no_trace():
    learn = Learner(tiny(), small_dls(seed=1), lr=0.01)
    learn.fit(1, quiet=True)
    learn.model[1].eval()
    known, weights, state = dict(vars(learn)), copy.deepcopy(learn.model.state_dict()), torch.get_rng_state()
    loads = dict(vars(learn.dls.train)), dict(vars(learn.dls.valid))
    lr = learn.lr_find(steps=40, quiet=True)
    assert 1e-7 < lr < 1 and vars(learn) == known and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, weights[k]) for k, v in learn.model.state_dict().items())
    assert (dict(vars(learn.dls.train)), dict(vars(learn.dls.valid))) == loads
    assert not learn.model[1].training and learn.model[0].weight.grad is None


def test_lr_find_puts_every_random_state_back():
    "Dropout and a torch loader draw from the process's random numbers, a generator from its own."
    data, own = TensorDataset(torch.randn(30, 4), torch.randint(3, (30,))), torch.Generator().manual_seed(1)
    learn = Learner(
        nn.Sequential(nn.Dropout(0.5), linear()),
        Dls.of(DataLoader(data, 8, shuffle=True, generator=own), DataLoader(data, 8, shuffle=True)),
    )
    state = torch.get_rng_state(), own.get_state()
    learn.lr_find(steps=10, quiet=True)
    assert torch.equal(torch.get_rng_state(), state[0]) and torch.equal(own.get_state(), state[1])


def test_a_fit_after_lr_find_is_the_fit_without_it():
    models = []
    for search in (True, False):
        learn = Learner(tiny(), small_dls(), lr=0.01)
        if search:
            learn.lr_find(quiet=True)
        learn.fit(1, quiet=True)
        models.append(learn.model)
    assert same(*models)


# callbacks
def test_callbacks_are_told_in_order():
    heard = []

    def say(name, order):
        return type(
            name,
            (Callback,),
            dict(order=order, **{e: lambda self, learn, e=e: heard.append((e, name)) for e in learner.EVENTS}),
        )()

    Learner(linear(), points(16), callbacks=[say('late', 2)]).fit(1, quiet=True, callbacks=[say('early', 1)])
    batch = ['before_batch', 'after_loss', 'before_step', 'after_batch']
    assert [e for e, name in heard if name == 'early'] == [
        'before_fit',
        'before_epoch',
        *batch * 2,
        'after_epoch',
        'after_fit',
    ]
    assert [name for _, name in heard] == ['early', 'late'] * (len(heard) // 2)


def test_stop_in_the_middle_of_an_epoch():
    class Enough(Callback):
        def after_batch(self, learn):
            learn.stop = learn.epoch == 1 and learn.batch == 2

    learn = Learner(linear(), points(), lr=0.05)
    learn.fit(3, quiet=True, callbacks=[Enough()])
    assert len(learn.losses) == 5 + 3 and len(learn.history) == 1 and learn.ended_well


def test_early_stop():
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    learn = Learner(linear(), points())
    learn.validate = lambda: dict(valid_loss=next(losses))
    learn.fit(5, quiet=True, callbacks=[EarlyStop(patience=2)])
    assert len(learn.history) == 4 and learn.ended_well


def test_the_table(capsys):
    Learner(tiny(), small_dls()).fit(2)
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert (
        head.split() == ['epoch', 'train_loss', 'valid_loss', 'error_rate', 'seconds']
        and [r.split()[0] for r in rows] == ['0', '1']
        and not err
    )


def test_quiet_is_quiet(capsys):
    Learner(linear(), points()).fit(2, quiet=True)
    assert capsys.readouterr() == ('', '')


# bad input
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_loss_that_is_no_number_stops(bad):
    calls = []

    def loss(preds, y):
        return F.cross_entropy(preds, y) + (bad if calls.append(1) or len(calls) == 4 else 0)

    learn = Learner(tiny(), small_dls(), loss_func=loss, lr=0.01)
    weights = []

    class Look(Callback):
        def after_batch(self, learn):
            weights.append(copy.deepcopy(learn.model[5].weight))

    with pytest.raises(
        FloatingPointError,
        match=r'epoch 0, batch 3 \(highest learning rate 0.01\).*ten times smaller.*dls.train.batch\(0, 3\)',
    ):
        learn.fit(2, quiet=True, callbacks=[Look()])
    assert len(calls) == 4 and torch.equal(weights[-1], learn.model[5].weight), 'the bad batch makes no step'
    assert torch.equal(learn.xb, learn.dls.train.batch(0, 3)[0])


def test_on_a_device_that_must_not_wait_the_bad_batch_is_still_named():
    learn = Learner(
        linear(), points(400), loss_func=lambda p, y: F.cross_entropy(p, y) + (float('nan') if learn.batch == 17 else 0)
    )

    class Far(Callback):
        def before_fit(self, learn):
            learn.log.every = 32

    with pytest.raises(NonFiniteLoss, match='epoch 0, batch 17'):
        learn.fit(1, quiet=True, callbacks=[Far()])
    assert learn.batch == 31, 'looked at every 32 batches'


@pytest.mark.parametrize(
    'y, words',
    [(3, 'label 3 in epoch 0, batch 0: the model gives 3 scores, so labels go from 0 to 2'), (-1, 'label -1')],
)
def test_labels_out_of_range(y, words):
    dls = points()
    dls.train.y[:] = y
    with pytest.raises(DataError, match=words):
        Learner(linear(), dls).fit(1, quiet=True)


def test_ignored_labels_are_no_error():
    batches = [(torch.randn(4, 4), torch.tensor([0, 1, 2, -100]))]
    Learner(linear(), Dls.of(batches, batches)).fit(1, quiet=True)


def test_width_against_vocab():
    with pytest.raises(DataError, match='gives 5 scores, but the vocab has 3 names. Its last layer must be 3 wide'):
        Learner(linear(5), points()).fit(1, quiet=True)


def test_empty_loaders():
    with pytest.raises(DataError, match='training loader is empty'):
        Learner(linear(), Dls.of([], [])).fit(1, quiet=True)
    with pytest.raises(DataError, match='not one batch'):
        Learner(linear(), Dls.of([], [])).get_preds()


def test_a_batch_larger_than_the_set():
    learn = Learner(linear(), points(10, bs=64), lr=0.05)
    learn.fit(2, quiet=True)
    assert len(learn.losses) == 2


class Plain:
    "No `Callback`, and so without an order: a class with methods of its own."

    def __init__(self, **methods):
        vars(self).update(methods)


# what a cold reader found
def test_judging_inside_an_epoch_leaves_each_module_in_its_own_mode():
    seen = []

    def look(learn):
        learn.model[2].eval()
        if learn.batch == 1:
            learn.validate()
        seen.append([m.training for m in learn.model])

    learn = Learner(nn.Sequential(linear(), nn.Dropout(), nn.BatchNorm1d(3)), points())
    learn.fit(2, quiet=True, callbacks=[Plain(after_batch=look)])
    assert seen == [[True, True, False]] * 10 and not any(m.training for m in learn.model.modules())


def test_a_fit_that_was_stopped_leaves_the_model_in_eval_mode_too():
    learn = Learner(linear(), points())
    learn.fit(2, quiet=True, callbacks=[Plain(after_batch=lambda learn: setattr(learn, 'stop', True))])
    assert len(learn.losses) == 1 and not learn.model.training


def test_a_stop_before_an_epoch_begins_no_batch():
    learn = Learner(linear(), points())

    def enough(learn):
        learn.stop = learn.epoch == 1

    learn.fit(3, quiet=True, callbacks=[Plain(before_epoch=enough)])
    assert len(learn.history) == 1 and len(learn.losses) == 5 and learn.ended_well


def test_whoever_heard_of_the_beginning_hears_of_the_end():
    "Also where a later callback refuses to begin: a hook is taken off, and who never began is not asked to end."
    told = []

    def refuse(learn):
        raise KeyError('no')

    def names(name, order):
        events = ('before_fit', 'after_fit')
        one = Plain(**{event: lambda learn, event=event: told.append((name, event)) for event in events})
        one.order = order
        return one

    refusing = Plain(before_fit=refuse)
    refusing.order = 5
    with pytest.raises(KeyError):
        Learner(linear(), points()).fit(1, quiet=True, callbacks=[names('late', 9), refusing, names('early', 1)])
    assert told == [('early', 'before_fit'), ('early', 'after_fit')]


def test_parameters_outside_the_optimiser_gather_no_gradients():
    "Neither what `groups` leaves out nor what was frozen after a fit was broken off; and `Clip` counts none."

    def trained(stale):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        learn = Learner(model, points(), lr=0.05, groups=lambda m: [m[0].parameters(), m[2].parameters()])
        model[0].requires_grad_(False)
        if stale:
            model[0].weight.grad = torch.full_like(model[0].weight, 1000.0)
        learn.fit(1, quiet=True, callbacks=[Clip(0.1)])
        return learn

    assert same(trained(True).model, trained(False).model) and trained(True).model[0].weight.grad is None
    lengths = []

    def look(learn):
        lengths.append(nn.utils.get_total_norm([p.grad for p in learn.model[2].parameters()]).item())

    learn = Learner(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), points())
    learn.groups = lambda m: [m[2].parameters()]
    late = Plain(before_step=look, order=1)
    learn.fit(1, quiet=True, callbacks=[Clip(0.01), late])
    assert lengths == pytest.approx([0.01] * 5, rel=0.01), 'the whole length is that of what moves'
    assert learn.model[0].weight.grad is None


def test_a_fit_of_one_step_has_the_rate_that_was_asked_for():
    learn = Learner(linear(), points(bs=64), lr=0.01)
    learn.fit(1, quiet=True)
    assert learn.rates == [0.01]


def test_losses_drawn_after_a_load_belong_to_their_epochs(tmp_path):
    learn = Learner(linear(), points(), lr=0.05)
    learn.fit(3, quiet=True)
    learn.save(tmp_path / 'm.safetensors')
    learn.load(tmp_path / 'm.safetensors')
    learn.fit(2, quiet=True)
    assert len(learn.history) == 5 and learn.ends == [5, 10] and len(learn.losses) == len(learn.rates) == 10
    words = losses_figure(learn)[1]
    assert f'validation {learn.history[-1]["valid_loss"]:.3f} after epoch 5' in words


def test_a_loss_that_is_no_number_at_the_lowest_rate():
    learn = Learner(linear(), points(), loss_func=lambda preds, y: F.cross_entropy(preds, y) * float('nan'))
    with pytest.raises(NonFiniteLoss, match='epoch 0, batch 0'):
        learn.lr_find(quiet=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='the weights of a loss lie on the GPU')
def test_a_loss_with_weights_of_its_own_on_a_gpu():
    dls = points(device='cuda')
    dls.device = 'cuda'
    for loss in (nn.CrossEntropyLoss(torch.ones(3)), partial(F.cross_entropy, weight=torch.ones(3, device='cuda'))):
        learn = Learner(linear(), dls, loss)
        learn.fit(1, quiet=True)
        assert learn.history[0]['valid_loss'] > 0


# files
def test_save_and_load(tmp_path):
    learn = Learner(tiny(), small_dls(), lr=0.01)
    learn.fit(1, quiet=True)
    learn.save(tmp_path / 'm.safetensors')
    tensors, info = read(tmp_path / 'm.safetensors')
    assert (
        info['arch'] == 'Sequential'
        and info['vocab'] == learn.dls.vocab
        and info['history'] == learn.history
        and info['versions']['torch']
    )
    other = Learner(nn.Sequential(*[copy.deepcopy(m) for m in tiny()]), small_dls())
    other.load(tmp_path / 'm.safetensors')
    assert same(other.model, learn.model) and other.history == learn.history


def test_another_models_file(tmp_path):
    Learner(tiny(12), Dls.of(*[[(torch.randn(2, 3, 8, 8), torch.zeros(2).long())]] * 2)).save(
        tmp_path / 'm.safetensors'
    )
    learn = Learner(tiny(), small_dls())
    before = copy.deepcopy(learn.model)
    with pytest.raises(
        CheckpointError,
        match=r'(?s)another model.*5.weight: \[10, 32\] now, \[12, 32\] in the file.*Nothing was loaded',
    ):
        learn.load(tmp_path / 'm.safetensors')
    assert same(before, learn.model)
    with pytest.raises(CheckpointError, match='absent.safetensors'):
        learn.load(tmp_path / 'absent.safetensors')


def test_other_labels(tmp_path):
    dls = points()
    Learner(linear(), dls).save(tmp_path / 'm.safetensors')
    dls.vocab = ['a', 'b', 'c']
    with pytest.raises(CheckpointError, match='0: a now, 0 in the file'):
        Learner(linear(), dls).load(tmp_path / 'm.safetensors')


def test_tied_weights(tmp_path):
    write(tmp_path / 't.safetensors', dict(a=(t := torch.arange(3.0)), b=t), {})
    assert read(tmp_path / 't.safetensors')[0]['b'].tolist() == [0, 1, 2]


def calls_of(f):
    "How many Python and C functions `f` calls."
    watch = cProfile.Profile()
    watch.runcall(f)
    return pstats.Stats(watch).total_calls


def test_the_loop_adds_little():
    "What the Learner adds to a step, counted in function calls, as time would be noise; the benchmark measures that."
    batches = [(torch.randn(4, 4), torch.randint(3, (4,)))] * 300
    learn, model = Learner(linear(), Dls.of(batches, batches[:1]), schedule=None), linear()

    def hand():
        opt = torch.optim.AdamW(model.parameters())
        for xb, yb in batches:
            F.cross_entropy(model(xb), yb).backward()
            opt.step()
            opt.zero_grad()

    added = (calls_of(lambda: learn.fit(1, quiet=True)) - calls_of(hand)) / 300
    assert added < 60, f'{added:.0f} calls a step more than the loop by hand'
