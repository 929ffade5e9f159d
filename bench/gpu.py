"""Does the data keep up with the network, and is all of it quicker than elsewhere? Meant for a GPU; on a machine
without one it measures a smaller job on the CPU.

    python -m bench gpu
Three questions. (a) Pictures a second of a training that is fed by our loader, against the same Learner on one batch
of random numbers that lies on the device already: what is lost is the cost of feeding it. (b) The same job by fastai:
same files, network, size, batches, random parts, precision; the second epoch on. (c) The error on all the held-out
pets after three epochs of fine-tuning, where data and weights are present. For (a) and (b) photographs
are taken from the data root if pets lie there; else those that come with the course.
"""

import contextlib
import gc
import io
import os
import random
import statistics
import tempfile
import time
import warnings
from dataclasses import replace

import torch

from coursehelpers.base.files import DataError
from coursehelpers.base.samples import sample
from coursehelpers.data import Dls, loaders
from coursehelpers.images.cache import cached
from coursehelpers.images.pets import find_pets, pets, whole_pets
from coursehelpers.images.sets import Pictures, labels_of, places, stratified, take
from coursehelpers.images.transforms import Augment
from coursehelpers.learner import Callback, Learner
from coursehelpers.nets.weights import create, find_weights
from coursehelpers.settings import device as best_device
from coursehelpers.settings import seed_everything
from coursehelpers.vision import fast_precision, vision_learner

GPU = dict(arch='convnext_tiny', size=224, batch=64, images=6400, rounds=5)
CPU = dict(arch='resnet18', size=96, batch=32, images=200, rounds=3)
SCALE = (0.35, 1.0)


def wait(device):
    "Until the device has done everything that it was asked for."
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    if device.type == 'mps':
        torch.mps.synchronize()


def files(images):
    "(labelled photographs, as many as asked for, repeated if they are few; a word about them)."
    home = find_pets() or sample('oxford-iiit-pet')
    found = sorted((home / 'images').glob('*.jpg'))
    random.Random(0).shuffle(found)  # by name they lie breed after breed
    some = [found[i % len(found)] for i in range(images)]
    vocab, y = places(labels_of(some, r'(.+)_[0-9]+', home / 'images'))
    word = 'photographs of pets' + (f', {len(found)} of them repeated' if len(found) < images else '')
    return Pictures('pets', some, y, vocab, *stratified(y, 0.05)), word


class Clock(Callback):
    "Seconds for the training batches of each epoch, judging left out; the device is done when the clock stops."

    order = 2000

    def __init__(self):
        self.seconds = []

    def state_dict(self):
        return {}

    def before_epoch(self, learn):
        wait(learn.device)
        self.start = time.perf_counter()

    def after_batch(self, learn):
        if learn.batch == len(learn.dls.train) - 1:
            wait(learn.device)
            self.seconds.append(time.perf_counter() - self.start)


class Still:
    "The same batch, so many times: nothing has to be fed."

    def __init__(self, batch, times):
        self.batch, self.times = batch, times

    def __len__(self):
        return self.times

    def __iter__(self):
        return iter([self.batch] * self.times)


def whole_batches(p, batch):
    "The pictures with as many to train on as fill whole batches, so that both jobs have batches of one size."
    return replace(p, train=p.train[: len(p.train) // batch * batch], valid=p.valid[:batch])


def ours(dls, how, device, epochs):
    "Seconds of the training part of each epoch."
    seed_everything(0)
    clock, model = Clock(), create(how['arch'], 37, None).to(memory_format=torch.channels_last)
    learn = Learner(model, dls, lr=1e-4, precision=fast_precision(device), metrics=(), callbacks=[clock])
    learn.validate = dict  # judging is another job
    learn.fit(epochs, quiet=True)
    del learn, model
    return clock.seconds


def fed_and_not(p, how, device):
    "({fed, held: pictures/s of the rounds}) taking turns, after an epoch to warm up in each."
    n, b = len(p.train), how['batch']
    fed = Dls.of(loaders(p, how['size'], b, device, augment=Augment(SCALE)).train, [], device=device)
    g = torch.Generator().manual_seed(0)
    still = (
        torch.randn(b, 3, how['size'], how['size'], generator=g).to(device, memory_format=torch.channels_last),
        torch.randint(len(p.vocab), (b,), generator=g).to(device),
    )
    held, rates = Dls.of(Still(still, n // b), [], device=device), dict(fed=[], held=[])
    for i in range(how['rounds']):
        for name, dls in list(dict(fed=fed, held=held).items())[:: 1 if i % 2 else -1]:  # nobody is always the first
            rates[name].append(n / ours(dls, how, device, 2)[-1])  # the second epoch: the first warms up
            print(f'gpu, {name}: {rates[name][-1]:.0f} pictures/s', flush=True)
    return rates


def theirs(p, how, device, epochs):
    """Seconds of the training part of each epoch, by fastai in its recommended form: random parts by the workers,
    mixed precision, channels-last."""
    import fastai.vision.all as fv

    fv.default_device(device.type != 'cpu')
    fv.set_seed(0)
    held, size = set(p.valid.tolist()), how['size']
    rows = p.train.tolist() + p.valid.tolist()
    block = fv.DataBlock(
        (fv.ImageBlock, fv.CategoryBlock(vocab=p.vocab)),
        get_items=lambda _: rows,
        get_x=lambda i: p.x[i],
        get_y=lambda i: p.vocab[p.y[i]],
        splitter=fv.FuncSplitter(lambda i: i in held),
        item_tfms=[fv.RandomResizedCrop(size, min_scale=SCALE[0]), fv.FlipItem()],
        batch_tfms=[fv.Normalize.from_stats(*fv.imagenet_stats)],
    )
    dls = block.dataloaders(
        None, bs=how['batch'], num_workers=torch.multiprocessing.cpu_count(), persistent_workers=True, device=device
    )
    seconds = []

    class Watch(fv.Callback):
        order = 2000

        def before_train(self):
            wait(device)
            self.start = time.perf_counter()

        def after_train(self):
            wait(device)
            seconds.append(time.perf_counter() - self.start)

    learn = fv.Learner(
        dls, create(how['arch'], 37, None), loss_func=fv.CrossEntropyLossFlat(), cbs=[Watch(), fv.ChannelsLast()]
    )
    if device.type == 'cuda':
        learn.to_bf16() if fast_precision(device) == 'bf16' else learn.to_fp16()
    learn.validate = learn._do_epoch_validate = lambda *a, **k: None
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-4)
    return seconds


def against_fastai(p, how, device):
    "{ours, fastai: [pictures/s]}: median of the epochs after the first, in turns."
    rates, n = dict(ours=[], fastai=[]), len(p.train)
    fed = Dls.of(loaders(p, how['size'], how['batch'], device, augment=Augment(SCALE)).train, [], device=device)
    for i in range(max(2, how['rounds'] - 1)):
        for name, job in list(
            dict(ours=lambda: ours(fed, how, device, 3), fastai=lambda: theirs(p, how, device, 3)).items()
        )[:: 1 if i % 2 else -1]:
            with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
                warnings.simplefilter('ignore')
                rates[name] += [n / s for s in job()[1:]]
            gc.collect()
            print(f'gpu, {name}: {rates[name][-1]:.0f} pictures/s', flush=True)
    return rates


def full_pets(device):
    "A row: the error on all 3,669 held-out pets after three epochs, or what is missing for it."
    what, target = 'error on full pets, convnext_tiny, 3 epochs', 'at most 5.5 %'

    def row(note, ours=None, ok=None):
        return dict(what=what, ours=ours, theirs=None, unit='%', ratio=None, target=target, ok=ok, note=note)

    weights, home = find_weights('convnext_tiny'), find_pets()
    lacking = [
        f'no {name} in the data root'
        for name, there in (('weights/convnext_tiny*.safetensors', weights), ('pets', home))
        if not there
    ]
    p = pets(whole_pets(download=False)) if home else None
    if p and len(p) < 7000:
        lacking.append(f'only {len(p)} of 7,349 pets are there')
    if device.type != 'cuda':
        lacking.append('no GPU')
    if lacking:
        return row('not measured: ' + '; '.join(lacking))
    start = time.perf_counter()
    seed_everything(0)
    learn = vision_learner(loaders(p, 224, 64, device), 'convnext_tiny', weights)
    learn.fine_tune(3, quiet=True)
    error, n = learn.validate()['error_rate'], len(learn.dls.valid.rows)
    within, seconds = 100 * (error * (1 - error) / n) ** 0.5, time.perf_counter() - start
    return row(
        f'one seed, {n} pictures, ± {within:.1f}; {seconds:.0f} s with decoding',
        ours=100 * error,
        ok=error <= 0.055,
    )


def spread(rates):
    return f'{min(rates):,.0f} to {max(rates):,.0f}'


def run():
    "Rows for bench/RESULTS.md."
    device = best_device()
    real, how = device.type == 'cuda', GPU if device.type == 'cuda' else CPU
    place = torch.cuda.get_device_name() if real else f'{device.type} only: no target is claimed'
    with tempfile.TemporaryDirectory() as box:
        os.environ['COURSEHELPERS_DATA_CACHE'] = f'{box}/cache'
        found, what = files(how['images'])
        p = whole_batches(found, how['batch'])
        if len(p.train) < 2 * how['batch']:
            raise DataError(f'{len(p.train)} pictures are too few to measure with.')
        import fastai.vision.all  # noqa: F401, so that no first round pays for the import

        with contextlib.redirect_stdout(io.StringIO()):
            cached(take(p, torch.arange(len(p))), 8)  # the pool of threads and the codecs
        feeding, peers = fed_and_not(p, how, device), against_fastai(p, how, device)
    rate = {name: statistics.median(v) for name, v in {**feeding, **peers}.items()}
    part, times = rate['fed'] / rate['held'], rate['ours'] / rate['fastai']
    job = (
        f'{place}; {how["arch"]}, {how["size"]} px, batch {how["batch"]}, '
        f'precision {fast_precision(device)}, {len(p.train)} {what}'
    )
    return [
        dict(
            what='training fed by the loader / one batch held on the device',
            ours=1000 / rate['fed'],
            theirs=1000 / rate['held'],
            unit='ms a picture',
            ratio=rate['held'] / rate['fed'],
            target='at most 1/.95 = 1.05',
            ok=part >= 0.95 if real else None,
            note=f'{part:.1%} of its pictures/s: fed {spread(feeding["fed"])}, held {spread(feeding["held"])}; '
            f'{how["rounds"]} turns; {job}',
        ),
        dict(
            what='the same job by fastai, second epoch on',
            ours=1000 / rate['ours'],
            theirs=1000 / rate['fastai'],
            unit='ms a picture',
            ratio=1 / times,
            target='at most 1/3',
            ok=times >= 3 if real else None,
            note=f'{times:.1f} times its pictures/s: ours {spread(peers["ours"])}, '
            f'fastai {spread(peers["fastai"])}; {job}',
        ),
        full_pets(device),
    ]
