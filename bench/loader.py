"""Pictures a second, from files to batches: this course's loader beside torchvision's and fastai's.

Run it alone on a quiet machine:
    python -m bench loader
Each loader gives normalised batches of 64 with a random part of each picture (35 to 100 % of its area), mirrored
or not. The peers get a worker process for each core, which they keep from epoch to epoch. Rounds are interleaved;
seconds are for one epoch over the 940 photographs that come with the course; of first epochs the median of three.
"""
import contextlib
import gc
import io
import os
import statistics
import tempfile
import time
import warnings

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from coursehelpers.base.samples import sample
from coursehelpers.data import imagenet_mean, imagenet_std, loaders
from coursehelpers.images.cache import cached, clear_cache
from coursehelpers.images.reading import read_picture
from coursehelpers.images.sets import Pictures, few, labels_of, places, stratified, take
from coursehelpers.images.transforms import Augment

SIZE, BATCH, SCALE = 160, 64, (.35, 1.)
WORKERS = torch.multiprocessing.cpu_count()


def photographs():
    "All photographs that come with the course, as `Pictures` in files."
    images = sample('oxford-iiit-pet')/'images'
    files = sorted(images.glob('*.jpg'))
    vocab, y = places(labels_of(files, r'(.+)_[0-9]+', images))
    return Pictures('pets', files, y, vocab, torch.arange(len(y)), stratified(y)[1])


class Files(Dataset):
    "The same pictures as torch wants them."
    def __init__(self, pictures, transform): self.pictures, self.transform = pictures, transform
    def __len__(self): return len(self.pictures)
    def __getitem__(self, i):
        return self.transform(Image.open(self.pictures.x[i]).convert('RGB')), int(self.pictures.y[i])


def ours(p): return loaders(p, SIZE, BATCH, 'cpu', augment=Augment(SCALE)).train


def torchvisions(p):
    "The pipeline of torchvision's own reference scripts."
    steps = v2.Compose([v2.RandomResizedCrop(SIZE, SCALE, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor(),
                        v2.ToDtype(torch.float, scale=True), v2.Normalize(imagenet_mean, imagenet_std)])
    return DataLoader(Files(p, steps), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)


def fastais(p, aug):
    "fastai with its `RandomResizedCrop` on each picture, or its `aug_transforms` on the batch."
    import fastai.vision.all as fv
    fv.default_device(False)
    norm = fv.Normalize.from_stats(imagenet_mean, imagenet_std, cuda=False)
    item = fv.Resize(SIZE) if aug else [fv.RandomResizedCrop(SIZE, min_scale=SCALE[0]), fv.FlipItem()]
    batch = [*fv.aug_transforms(), norm] if aug else [norm]
    block = fv.DataBlock((fv.ImageBlock, fv.CategoryBlock), splitter=fv.IndexSplitter(p.valid.tolist()), item_tfms=item,
                         batch_tfms=batch,
                         get_y=lambda file: file.stem.rpartition('_')[0])
    return block.datasets(p.x).dataloaders(bs=BATCH, num_workers=WORKERS, persistent_workers=True,
                                           after_item=[*block.item_tfms, fv.ToTensor],
                                           after_batch=[fv.IntToFloatTensor, *block.batch_tfms], drop_last=False).train


def epoch(loader):
    "(pictures, seconds) of one pass."
    start, n = time.perf_counter(), 0
    for batch in loader:
        n += len(batch[1])
    assert tuple(batch[0].shape[1:]) == (3, SIZE, SIZE)
    return n, time.perf_counter() - start


def decode_rates(p):
    """Pictures a second: ours decoding and squeezing in threads without a cache, and PIL in one thread, opened and
    converted."""
    os.environ['COURSEHELPERS_DATA_CACHE'] = tempfile.mkdtemp()
    start = time.perf_counter()
    cached(p, 224)
    both = len(p) / (time.perf_counter() - start)
    start = time.perf_counter()
    for file in p.x[:300]:
        Image.open(file).convert('RGB').load()
    plain = 300 / (time.perf_counter() - start)
    start = time.perf_counter()
    for file in p.x[:300]:
        read_picture(file, 224)
    return both, plain, 300 / (time.perf_counter() - start)


def measure(makers, p, rounds):
    "{name: (median first epoch in s, [pictures/s of the later epochs])}, interleaved."
    made, first, rates = {}, {name: [] for name in makers}, {name: [] for name in makers}
    for _ in range(3):
        clear_cache()
        for name, make in makers.items():
            made.pop(name, None)
            time.sleep(1)
            start = time.perf_counter()
            made[name] = make(p)
            epoch(made[name])
            first[name].append(time.perf_counter() - start)
    for _ in range(rounds):
        for name, loader in made.items():
            time.sleep(1) # until the workers of the one before are gone
            n, seconds = epoch(loader)
            rates[name].append(n / seconds)
            print(f'{name}: {rates[name][-1]:.0f} pictures/s', flush=True)
    return {name: (statistics.median(first[name]), rates[name]) for name in makers}


def run(rounds=5):
    "Rows for bench/RESULTS.md."
    p = photographs()
    with tempfile.TemporaryDirectory() as box, contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        os.environ['COURSEHELPERS_DATA_CACHE'] = box
        import fastai.vision.all  # noqa: F401, so that no first epoch pays for the import
        names = {'ours': ours, 'torchvision': torchvisions, 'fastai RandomResizedCrop': lambda p: fastais(p, False),
                 'fastai aug_transforms': lambda p: fastais(p, True)}
        for warm in (lambda: ours(take(p, few(p, 2).train)),
                     lambda: next(iter(torchvisions(take(p, few(p, 2).train))))):
            warm() # what a process does only once is in nobody's epoch
        clear_cache()
        gc.collect()
        # the objects of the imported libraries are not searched for garbage within somebody's epoch
        gc.freeze()
        found = measure(names, p, rounds)
    decode, plain, one = decode_rates(p)
    rate = {name: statistics.median(rates) for name, (_, rates) in found.items()}
    spread = {name: f'{min(rates):,.0f} to {max(rates):,.0f}' for name, (_, rates) in found.items()}
    rows = []
    for name, factor in (('torchvision', 3), ('fastai RandomResizedCrop', 4), ('fastai aug_transforms', 12)):
        rows.append(dict(what=f'loader, second epoch on / {name}', ours=1000 / rate['ours'], theirs=1000 / rate[name],
                         unit='ms a picture', ratio=rate[name] / rate['ours'],
                         target=f'at most 1/{factor}', ok=rate['ours'] >= factor * rate[name],
                         note=f'{len(p)} photographs at {SIZE} px, median of {rounds} epochs; ours {rate["ours"]:,.0f} '
                              f'pictures/s ({spread["ours"]}), theirs {rate[name]:,.0f} ({spread[name]})'))
        rows.append(dict(what=f'first epoch, nothing decoded yet / {name}', ours=found['ours'][0],
                         theirs=found[name][0], unit='s', ratio=found['ours'][0] / found[name][0],
                         target='at most 1', ok=found['ours'][0] <= found[name][0], note='making the loader included'))
    rows.append(dict(what='decode / PIL in one thread', ours=1000 / decode, theirs=1000 / plain, unit='ms a picture',
                     ratio=plain / decode, target='', ok=None,
                     note=f'ours: all cores, squeezed to 224 px, written to the cache; one thread alone '
                          f'{1000 / one:.2f} ms'))
    return rows
