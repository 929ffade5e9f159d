"""The Learner beside a loop written by hand and beside fastai's Learner: same network, same batches, same schedule, interleaved.

Run it alone on a quiet machine:
    python -m bench learner
The batches are made beforehand and lie in memory, so that only the loop is measured: forward, loss, backward, step, schedule, and
what a loop does beside them. Nobody validates, prints or draws. The weights afterwards are compared bit for bit.
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
    block = lambda i, o: nn.Sequential(nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU())
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
    opt_func = lambda groups, lr, **_: fv.OptimWrapper(groups, torch.optim.AdamW, lr=lr)
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


def run(times=15, epochs=3, sizes=(64, 16)):
    "Rows for bench/RESULTS.md: milliseconds a batch for two batch sizes, against the hand-written loop and against fastai."
    jobs, rows = {'ours': ours, 'hand': by_hand, 'fastai': theirs}, []
    for job in jobs.values():
        timed(job, 16, 1)  # whatever happens only once
    for size in sizes:
        found = {name: [] for name in jobs}
        for i in range(times):
            for name in list(jobs)[:: 1 if i % 2 else -1]:  # nobody is always the first
                found[name].append(timed(jobs[name], size, epochs))
        assert all(same(a[1], b[1]) for a, b in zip(found['ours'], found['hand'], strict=True)), (
            'the weights differ from those of the loop by hand'
        )
        ms = {name: 1000 * statistics.median(t for t, _ in runs) for name, runs in found.items()}
        paired = statistics.median(a[0] / b[0] for a, b in zip(found['ours'], found['hand'], strict=True))
        spread = {
            name: f'{1000 * min(t for t, _ in runs):.2f} to {1000 * max(t for t, _ in runs):.2f}'
            for name, runs in found.items()
        }
        rows.append(
            dict(
                what=f'a step, batch {size}, against a loop by hand',
                ours=ms['ours'],
                theirs=ms['hand'],
                unit='ms',
                ratio=paired,
                target='at most 1.03' if size == 64 else '',
                ok=paired <= 1.03 if size == 64 else True,
                note=f'median of {times} interleaved pairs; ours {spread["ours"]}, by hand {spread["hand"]}; weights identical bit for bit',
            )
        )
        rows.append(
            dict(
                what=f'a step, batch {size}, against fastai',
                ours=ms['ours'],
                theirs=ms['fastai'],
                unit='ms',
                ratio=ms['ours'] / ms['fastai'],
                target='below 1',
                ok=ms['ours'] < ms['fastai'],
                note=f'fastai fit_one_cycle without validation and output: {spread["fastai"]}',
            )
        )
    rows[0]['note'] += f'; process at {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MB at most'
    return rows
