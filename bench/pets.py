"""Photographs to a classifier: this course beside fastai, same files, same weights, same picture size, interleaved.
Three sets from the photographs that come with the course: 37 breeds with 7 each; 3 breeds with 160; and everything, 750
of 37 breeds (3 of them have 160, the others 8).

Run it alone on a quiet machine:
    python -m bench pets        # the first set, which the course stands on; with one seed: python -m bench.pets
    python -m bench more_pets   # the two larger ones
The whole job is timed, from files on disk to the error on the validation pictures; imports are not. fastai gets its own
recommended form: a DataBlock, Resize, aug_transforms, its timm support, `fine_tune(3)`, and a worker for each core.
"""
import contextlib
import io
import os
import statistics
import tempfile
import time
import warnings
from dataclasses import replace
from functools import partial

import torch

from coursehelpers.data import loaders
from coursehelpers.images.pets import pets
from coursehelpers.images.sets import few, stratified
from coursehelpers.nets.frozen import choose_decay, fit_linear
from coursehelpers.nets.weights import find_weights
from coursehelpers.results import standard_error
from coursehelpers.settings import seed_everything
from coursehelpers.vision import vision_learner

from .engine import pictures as three_breeds
from .loader import photographs

ARCH, SIZE = 'mobilenetv2_100', 192


def split(p, seed):
    "A fifth of each label for validation, another fifth for each seed."
    train, valid = stratified(p.y, .2, seed)
    return replace(p, train=train, valid=valid)


SETS = { # our split of 37 x 7 is fixed: there the seed shuffles the pictures, which moves the choice of decay
    '37 breeds x 7': lambda seed: few(pets(), 7, seed=seed),
    '3 breeds x 160': lambda seed: split(three_breeds(), seed),
    '750 photographs of 37 breeds': lambda seed: split(photographs(), seed)}


def our_job(name, seed, weights, epochs=None):
    "Error on the validation pictures, by this course; no picture was decoded before."
    seed_everything(seed)
    with tempfile.TemporaryDirectory() as box, empty_cache(box):
        learn = vision_learner(loaders(SETS[name](seed), SIZE, device='cpu', seed=seed), ARCH, weights)
        learn.fine_tune(epochs, quiet=True)
        return learn.validate()['error_rate']


@contextlib.contextmanager
def empty_cache(box):
    "Keep decoded pictures in `box` for now."
    before = os.environ.get('COURSEHELPERS_DATA_CACHE')
    os.environ['COURSEHELPERS_DATA_CACHE'] = box
    try:
        yield
    finally:
        if before is None: del os.environ['COURSEHELPERS_DATA_CACHE']
        else: os.environ['COURSEHELPERS_DATA_CACHE'] = before


def their_job(name, seed, weights, bs=64):
    "Error on the validation pictures, by fastai; 64 pictures a batch is its default."
    import fastai.vision.all as fv
    fv.default_device(False)
    fv.set_seed(seed)
    found = SETS[name](seed)
    block = fv.DataBlock((fv.ImageBlock, fv.CategoryBlock), splitter=fv.IndexSplitter(found.valid.tolist()),
                         get_y=lambda file: file.stem.rpartition('_')[0], item_tfms=fv.Resize(SIZE),
                         batch_tfms=fv.aug_transforms())
    dls = block.dataloaders(found.x, bs=bs, num_workers=torch.multiprocessing.cpu_count())
    learn = fv.vision_learner(dls, ARCH, metrics=fv.error_rate, pretrained_cfg_overlay=dict(file=str(weights)),
                              pad_type='same')
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(3)
    return learn.recorder.values[-1][-1]


def timed(job, *args):
    "(error, seconds) of one job, its own printing kept quiet."
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        error = job(*args)
    return error, time.perf_counter() - start


def resplit_errors(weights, times=20):
    """Our error on random 7 + 3 splits of the same photographs, from features computed once: how lucky is the official
    split?"""
    p = pets()
    with contextlib.redirect_stdout(io.StringIO()):
        learn = vision_learner(loaders(p, SIZE, device='cpu'), ARCH, weights)
    z, y, errors = torch.cat([learn.features('train'), learn.features('valid')], 1), learn.dls.pictures.y, []
    for seed in range(times):
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        test = torch.cat([order[y[order] == label][:3] for label in range(37)])
        train = order[~torch.isin(order, test)]
        decay, _ = choose_decay(z[:, train].mean(0), y[train], 37)
        w, b = fit_linear(z[:, train].flatten(0, 1), y[train].repeat(len(z)), 37, decay)
        errors.append(((z[:, test].mean(0) @ w.T + b).argmax(1) != y[test]).float().mean().item())
    return errors


def spread(values):
    "Mean and standard deviation in words."
    return f'{statistics.mean(values):.1%} ± {statistics.stdev(values) if len(values) > 1 else 0:.1%}'


def row(what, ours, theirs, unit, target, note):
    "A row for bench/RESULTS.md; `target` is the highest ratio that meets it, or None."
    words, ok = '', None
    if target is not None:
        words = f'at most {target:g}' if target >= 1 else f'at most 1/{1 / target:g}'
        ok = ours <= theirs * target
    return dict(what=what, ours=ours, theirs=theirs, unit=unit, ratio=ours / theirs, target=words, ok=ok, note=note)


def compared(name, jobs, targets, seeds, weights):
    "Rows of one set: for each of our jobs seconds and error beside fastai's. targets: {job: (of time, of error)}."
    found = {who: [] for who in jobs}
    for seed in range(seeds):
        for who, job in jobs.items():
            found[who].append(timed(job, name, seed, weights))
            print(f'{name}, seed {seed}, {who}: error {found[who][-1][0]:.1%}, {found[who][-1][1]:.1f} s', flush=True)
    errors, seconds = ({who: [r[i] for r in rs] for who, rs in found.items()} for i in (0, 1))
    n, rows = len(SETS[name](0).valid), []
    their_seconds, their_error = seconds.pop('fastai'), 100 * statistics.mean(errors['fastai'])
    for who, mine in seconds.items():
        of_time, of_error = targets[who]
        error = statistics.mean(errors[who])
        note = (f'median of {seeds} seeds: ours {min(mine):.2f} to {max(mine):.2f}, '
                f'fastai vision_learner(...).fine_tune(3) {min(their_seconds):.1f} to {max(their_seconds):.1f}')
        rows.append(row(f'{name}, {who}: from files to error', statistics.median(mine),
                        statistics.median(their_seconds), 's', of_time, note))
        note = (f'mean of {seeds} seeds, {n} validation pictures (± {standard_error(error, n):.1%}): '
                f'ours {spread(errors[who])}, fastai {spread(errors["fastai"])}')
        rows.append(row(f'{name}, {who}: error', 100 * error, their_error, '%', of_error, note))
    return rows


def run_sets(plan, seeds):
    "Rows for bench/RESULTS.md: two dicts, seconds and error, for each set and each of our ways in `plan`."
    weights = find_weights(ARCH)
    import fastai.vision.all  # noqa: F401, so that no job pays for the import
    ways = {'fine_tune()': our_job, 'fine_tune(0)': partial(our_job, epochs=0),
            'fine_tune(3)': partial(our_job, epochs=3), 'fastai': their_job}
    rows = []
    for name, targets in plan.items():
        rows += compared(name, {who: ways[who] for who in (*targets, 'fastai')}, targets, seeds, weights)
    return rows


def run(seeds=5):
    "The rows of the photographs that lessons use, 37 breeds with 7 each."
    rows = run_sets({'37 breeds x 7': {'fine_tune()': (1/25, .5), 'fine_tune(3)': (1/4, .7)}}, seeds)
    weights = find_weights(ARCH)
    small = timed(partial(their_job, bs=16), '37 breeds x 7', 0, weights)
    rows[0]['note'] += f'; fastai with 16 pictures a batch: {small[0]:.1%}, {small[1]:.0f} s'
    errors = resplit_errors(weights)
    mean = 100 * statistics.mean(errors)
    rows.insert(2, dict(what='37 breeds x 7, fine_tune(): error over random splits', ours=mean, theirs=None, unit='%',
                        ratio=None, target='at most 15.5 %', ok=mean <= 15.5,
                        note=f'{len(errors)} random 7 + 3 splits of the same 370 photographs: {spread(errors)}'))
    return rows


if __name__ == '__main__':
    for found in run(1):
        print(found)
