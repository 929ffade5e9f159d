"""37 breeds from 7 photographs each: this course beside fastai, same files, same weights, same picture size, interleaved.

Run it alone on a quiet machine, with COURSEHELPERS_DATA_ROOT naming a folder that holds pets224/ and weights/:
    python -m bench pets
The whole job is timed, from files on disk to the error on the held-out pictures; imports are not. fastai gets its own
recommended form: a DataBlock, Resize, aug_transforms, its timm support, `fine_tune(3)`, and a worker for each core.
"""
import contextlib
import io
import statistics
import time
import warnings

import torch

from coursehelpers.data import loaders
from coursehelpers.files import DataError
from coursehelpers.frozen import choose_decay, fit_linear
from coursehelpers.pets import pets
from coursehelpers.pictures import few
from coursehelpers.settings import seed_everything, settings
from coursehelpers.vision import vision_learner
from coursehelpers.weights import find_weights

ARCH, SIZE = 'mobilenetv2_100', 160
LISTS = 'train_37x7.txt', 'test_37x3.txt'


def our_job(seed, weights):
    "Error on the held-out pictures, by this course."
    seed_everything(seed)
    found = few(pets(None, *LISTS, download=False), 7, seed=seed) # the seed shuffles the pictures, which moves the choice of decay
    dls = loaders(found, SIZE, device='cpu', seed=seed)
    learn = vision_learner(dls, ARCH, weights)
    learn.fine_tune(quiet=True)
    return learn.validate()['error_rate']


def their_job(seed, weights, bs=64):
    "Error on the held-out pictures, by fastai; 64 pictures a batch is its default."
    import fastai.vision.all as fv
    fv.default_device(False)
    fv.set_seed(seed)
    found = pets(None, *LISTS, download=False)
    block = fv.DataBlock((fv.ImageBlock, fv.CategoryBlock), splitter=fv.IndexSplitter(found.valid.tolist()),
                         get_y=lambda file: file.stem.rpartition('_')[0], item_tfms=fv.Resize(SIZE), batch_tfms=fv.aug_transforms())
    dls = block.dataloaders(found.x, bs=bs, num_workers=torch.multiprocessing.cpu_count())
    learn = fv.vision_learner(dls, ARCH, metrics=fv.error_rate, pretrained_cfg_overlay=dict(file=str(weights)), pad_type='same')
    with learn.no_bar(), learn.no_logging(): learn.fine_tune(3)
    return learn.recorder.values[-1][-1]


def timed(job, *args):
    "(error, seconds) of one job, its own printing kept quiet."
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        error = job(*args)
    return error, time.perf_counter() - start


def resplit_errors(weights, times=20):
    "Our error on random 7 + 3 splits of the same photographs, from features computed once: how lucky is the official split?"
    p = pets(None, *LISTS, download=False)
    with contextlib.redirect_stdout(io.StringIO()): learn = vision_learner(loaders(p, SIZE, device='cpu'), ARCH, weights)
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


def run(seeds=5):
    "Rows for bench/RESULTS.md: two dicts, seconds and error."
    weights = find_weights(ARCH)
    if not weights: raise DataError(f'{settings().data.root}/weights: no {ARCH}*.safetensors. Set COURSEHELPERS_DATA_ROOT to a folder that has it.')
    import fastai.vision.all  # noqa: F401, so that no job pays for the import
    jobs = {'ours': our_job, 'theirs': their_job}
    found = {who: [] for who in jobs}
    for seed in range(seeds):
        for who, job in jobs.items():
            found[who].append(timed(job, seed, weights))
            print(f'seed {seed} {who}: error {found[who][-1][0]:.1%}, {found[who][-1][1]:.1f} s', flush=True)
    small_batches = timed(lambda *a: their_job(*a, bs=16), 0, weights)
    errors, seconds = ({who: [r[i] for r in rows] for who, rows in found.items()} for i in (0, 1))
    e, s = {k: statistics.mean(v) for k, v in errors.items()}, {k: statistics.median(v) for k, v in seconds.items()}
    sampling = (e['ours'] * (1 - e['ours']) / 111)**.5
    note = (f'{seeds} seeds: ours {spread(errors["ours"])} (± {sampling:.1%} from 111 test pictures; '
            f'{spread(resplit_errors(weights))} over 20 other 7 + 3 splits of the same photographs), fastai {spread(errors["theirs"])}')
    small = f'fastai with 16 pictures a batch: {small_batches[0]:.1%}, {small_batches[1]:.0f} s'
    return [dict(what='from files to error', ours=s['ours'], theirs=s['theirs'], unit='s', ratio=s['ours'] / s['theirs'], target='at most 1/12',
                 ok=s['ours'] <= s['theirs'] / 12, note=f'median of {seeds}; fastai vision_learner(...).fine_tune(3); {small}'),
            dict(what='error', ours=100 * e['ours'], theirs=100 * e['theirs'], unit='%', ratio=e['ours'] / e['theirs'], target='at most 1/2',
                 ok=e['ours'] <= e['theirs'] / 2, note=note)]
