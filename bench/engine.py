"""The same training three ways: this course, a plain torch + torchvision loop, and fastai.

Same files, weights, picture size, batches and epochs.

Run it alone on a quiet machine:
    python -m bench engine
Every layer is trained (one cycle, AdamW), on random parts of the photographs; ours is `fine_tune`, in which batch norms
keep their statistics and are folded into the convolutions, the peers' batch norms go on collecting. Each run is
a process of its own, from files on disk to the error on the validation set; rounds are interleaved. Memory is the
highest sum over the process and its workers.
"""
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import psutil

from coursehelpers.nets.weights import create

ARCH, SIZE, BATCH, EPOCHS, LR = 'mobilenetv2_100', 128, 32, 2, 1e-3


def pictures():
    "The three breeds with 200 photographs each: 480 to train on, 120 held out."
    from dataclasses import replace

    import torch

    from coursehelpers.images.sets import stratified, take

    from .loader import photographs
    p = photographs()
    many = (p.y.bincount(minlength=len(p.vocab)) > 100).nonzero()[:, 0]
    p = take(p, torch.isin(p.y, many).nonzero()[:, 0])
    vocab, y = [p.vocab[i] for i in many], torch.searchsorted(many, p.y)
    train, valid = stratified(y, .2)
    return replace(p, vocab=vocab, y=y, train=train, valid=valid)


def ours(seed):
    "Error and seconds of each epoch of `fine_tune`; the head that it fits first is part of the whole job."
    from coursehelpers.data import loaders
    from coursehelpers.settings import seed_everything
    from coursehelpers.vision import vision_learner
    seed_everything(seed)
    learn = vision_learner(loaders(pictures(), SIZE, BATCH, 'cpu', seed=seed), ARCH)
    learn.fine_tune(EPOCHS, quiet=True)
    return learn.history[-1]['error_rate'], [row['seconds'] for row in learn.history]


def plain(seed):
    "The loop written by hand, with torchvision's pipeline and a worker for each core."
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Subset
    from torchvision.transforms import v2

    from coursehelpers.data import imagenet_mean, imagenet_std

    from .loader import WORKERS, Files
    torch.manual_seed(seed)
    p = pictures()
    end = [v2.PILToTensor(), v2.ToDtype(torch.float, scale=True), v2.Normalize(imagenet_mean, imagenet_std)]
    varied = v2.Compose([v2.RandomResizedCrop(SIZE, (.35, 1.), antialias=True), v2.RandomHorizontalFlip(), *end])
    middle = v2.Compose([v2.Resize(SIZE, antialias=True), v2.CenterCrop(SIZE), *end])
    workers = dict(num_workers=WORKERS, persistent_workers=True)
    train = DataLoader(Subset(Files(p, varied), p.train.tolist()), BATCH, shuffle=True, **workers)
    valid = DataLoader(Subset(Files(p, middle), p.valid.tolist()), BATCH, **workers)
    model = create(ARCH, len(p.vocab))
    opt = torch.optim.AdamW(model.parameters(), lr=LR)
    cycle, seconds = torch.optim.lr_scheduler.OneCycleLR(opt, LR, total_steps=EPOCHS * len(train)), []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        model.train()
        for xb, yb in train:
            F.cross_entropy(model(xb), yb).backward()
            opt.step()
            opt.zero_grad()
            cycle.step()
        seconds.append(time.perf_counter() - start)
        model.eval()
        with torch.no_grad():
            wrong = sum(int((model(xb).argmax(1) != yb).sum()) for xb, yb in valid)
    return wrong / len(p.valid), seconds


def fastai(seed):
    "fastai's Learner with its one cycle, its loaders and its `RandomResizedCrop`."
    import fastai.vision.all as fv
    fv.default_device(False)
    fv.set_seed(seed)
    p = pictures()
    block = fv.DataBlock(
        (fv.ImageBlock, fv.CategoryBlock),
        splitter=fv.IndexSplitter(p.valid.tolist()),
        get_y=lambda file: file.stem.rpartition('_')[0],
        item_tfms=[fv.RandomResizedCrop(SIZE, min_scale=.35), fv.FlipItem()],
        batch_tfms=[fv.Normalize.from_stats(*fv.imagenet_stats)])
    dls = block.dataloaders(p.x, bs=BATCH, num_workers=os.cpu_count(), persistent_workers=True)
    model = create(ARCH, len(p.vocab))
    learn = fv.Learner(dls, model, metrics=fv.error_rate, loss_func=fv.CrossEntropyLossFlat())
    seconds, start = [], time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(EPOCHS, LR)
    seconds = [(time.perf_counter() - start) / EPOCHS] * EPOCHS # with validation, a small part of it
    return learn.recorder.values[-1][-1], seconds


def memory_of(process, found):
    "Keep the highest sum of resident megabytes over the process and its children; memory that they share counts once."
    while process.poll() is None:
        try:
            tree = psutil.Process(process.pid)
            found.append(sum(p.memory_full_info().pss for p in [tree, *tree.children(recursive=True)]) / 2**20)
        except psutil.Error:
            pass
        time.sleep(.2)


def job(who, seed):
    "dict(error, epochs, seconds, memory) of one run in a process of its own."
    with tempfile.TemporaryDirectory() as box:
        env = {**os.environ, 'COURSEHELPERS_DATA_CACHE': box}
        command = [sys.executable, '-m', 'bench.engine', who, str(seed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        peak = [0]
        watch = threading.Thread(target=memory_of, args=(process, peak))
        watch.start()
        said = process.communicate()[0]
        watch.join()
    return dict(json.loads(said.splitlines()[-1]), memory=max(peak))


def run(rounds=5):
    "Rows for bench/RESULTS.md."
    found = {who: [] for who in JOBS}
    for seed in range(rounds):
        for who in JOBS:
            found[who].append(job(who, seed))
            print(seed, who, found[who][-1], flush=True)
    rows = [row(found, peer, *what) for peer in PEERS for what in MEASURED]
    told = ', '.join(f'{who} {errors(runs)}' for who, runs in found.items())
    rows[1]['note'] += (f'; {ARCH}, {SIZE} px, 480 photographs of 3 breeds, {EPOCHS} epochs of the whole net; '
                        f'error on a validation set of 120: {told}')
    return rows


PEERS = dict(plain='plain torch + torchvision', fastai='fastai')
MEASURED = [('an epoch, the second', 'epoch', 's'), ('whole job, imports aside', 'seconds', 's'),
            ('peak memory, workers included', 'memory', 'MB')]


def row(found, peer, what, key, unit):
    "Ours beside one peer's: medians over the rounds, and their range."
    ours, theirs = ([r[key] for r in found[who]] for who in ('ours', peer))
    a, b = statistics.median(ours), statistics.median(theirs)
    aimed = (peer, key) == ('fastai', 'epoch')
    note = f'{len(ours)} rounds: ours {spread(ours)}, theirs {spread(theirs)}'
    return dict(what=f'{what} / {PEERS[peer]}', ours=a, theirs=b, unit=unit, ratio=a / b,
                target='at most 1/2' if aimed else '', ok=a <= b / 2 if aimed else None, note=note)


def spread(values): return f'{min(values):.3g} to {max(values):.3g}'


def errors(runs):
    "The mean error of some runs, and its range."
    values = [r['error'] for r in runs]
    return f'{statistics.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})'


JOBS = dict(ours=ours, plain=plain, fastai=fastai)

if __name__ == '__main__':
    for name in ('timm', 'torchvision', 'fastai.vision.all')[:3 if sys.argv[1] == 'fastai' else 2]:
        importlib.import_module(name) # not part of the job
    start = time.perf_counter()
    error, epochs = JOBS[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps(dict(error=error, epoch=epochs[-1], seconds=time.perf_counter() - start)))
