"""The Learner beside a loop written by hand and beside fastai's Learner: same network, same batches, same schedule,
interleaved.

Run it alone on a quiet machine:
    python -m bench learner
The batches are made beforehand and lie in memory, so that only the loop is measured: forward, loss, backward, step,
schedule, and what a loop does beside them. Nobody validates, prints or draws. The weights afterwards are compared
bit for bit.
"""

import gc
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.data import Dls
from coursehelpers.learner import Learner

BATCHES, SIZE, LR = 40, 32, 0.01


def net():
    "A small CNN with batch norm, always the same."
    torch.manual_seed(0)

    def block(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU())

    return nn.Sequential(
        block(3, 16), block(16, 32), block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


def make_batches(size):
    "Random pictures and labels in batches of `size`."
    g = torch.Generator().manual_seed(0)
    return [
        (torch.randn(size, 3, SIZE, SIZE, generator=g), torch.randint(10, (size,), generator=g)) for _ in range(BATCHES)
    ]


def by_hand(model, batches, epochs):
    "The loop as one would write it: it keeps the losses and looks whether they are numbers, as everybody should."
    opt = torch.optim.AdamW(model.parameters(), lr=LR)
    cycle, losses = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=epochs * len(batches)), []
    for _ in range(epochs):
        model.train()
        for xb, yb in batches:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            opt.step()
            opt.zero_grad()
            cycle.step()
            losses.append(loss.item())
            assert losses[-1] == losses[-1]


def ours(model, batches, epochs):
    "The same by the Learner."
    learn = Learner(model, Dls.of(batches, batches[:1]), lr=LR, metrics=())
    learn.validate = dict  # nobody else validates either
    learn.fit(epochs, quiet=True)


def theirs(model, batches, epochs):
    "The same by fastai: torch's own AdamW and schedule for it, no recorder on the screen, no validation."
    import fastai.vision.all as fv

    dls = fv.DataLoaders(
        *[fv.DataLoader(b, bs=None, num_workers=0, device=torch.device('cpu')) for b in (batches, batches[:1])],
        device=torch.device('cpu'),
    )

    def opt_func(groups, lr, **_):
        return fv.OptimWrapper(groups, torch.optim.AdamW, lr=lr)

    learn = fv.Learner(dls, model, loss_func=F.cross_entropy, lr=LR, opt_func=opt_func, train_bn=True)
    learn.validate = learn._do_epoch_validate = lambda *a, **k: None
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, LR, pct_start=0.3, moms=(0.95, 0.85, 0.95))


def timed(job, size, epochs):
    "(seconds a batch, the weights afterwards)."
    model, batches = net(), make_batches(size)
    gc.collect()
    start = time.perf_counter()
    job(model, batches, epochs)
    return (time.perf_counter() - start) / (epochs * BATCHES), model.state_dict()


def same(a, b):
    return all(torch.equal(v, w) for v, w in zip(a.values(), b.values(), strict=True))


JOBS = {'ours': ours, 'hand': by_hand, 'fastai': theirs}


def measure(size, times, epochs):
    "Milliseconds a batch of each job, in turns; the weights of ours must be those of the loop by hand."
    found = {name: [] for name in JOBS}
    for i in range(times):
        for name in list(JOBS)[:: 1 if i % 2 else -1]:  # nobody is always the first
            found[name].append(timed(JOBS[name], size, epochs))
    for (_, a), (_, b) in zip(found['ours'], found['hand'], strict=True):
        assert same(a, b), 'the weights differ from those of the loop by hand'
    return {name: [1000 * seconds for seconds, _ in runs] for name, runs in found.items()}


def spread(times):
    return f'{min(times):.2f} to {max(times):.2f}'


def compared(size, ms):
    "Two rows: ours against the loop by hand, pair by pair, and against fastai."
    median = {name: statistics.median(times) for name, times in ms.items()}
    paired = statistics.median(a / b for a, b in zip(ms['ours'], ms['hand'], strict=True))
    judged = size == 64  # smaller batches are only told
    return [
        dict(
            what=f'a step, batch {size}, against a loop by hand',
            ours=median['ours'],
            theirs=median['hand'],
            unit='ms',
            ratio=paired,
            target='at most 1.03' if judged else '',
            ok=paired <= 1.03 if judged else True,
            note=f'median of {len(ms["ours"])} interleaved pairs; ours {spread(ms["ours"])}, '
            f'by hand {spread(ms["hand"])}; weights identical bit for bit',
        ),
        dict(
            what=f'a step, batch {size}, against fastai',
            ours=median['ours'],
            theirs=median['fastai'],
            unit='ms',
            ratio=median['ours'] / median['fastai'],
            target='below 1',
            ok=median['ours'] < median['fastai'],
            note=f'fastai fit_one_cycle without validation and output: {spread(ms["fastai"])}',
        ),
    ]


def run(times=15, epochs=3, sizes=(64, 16)):
    "Rows for bench/RESULTS.md: milliseconds a batch, against the hand-written loop and against fastai."
    for job in JOBS.values():
        timed(job, 16, 1)  # whatever happens only once
    rows = []
    for size in sizes:
        rows += compared(size, measure(size, times, epochs))
    rows[0]['note'] += f'; process at {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MB at most'
    return rows
