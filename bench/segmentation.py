"""Photographs and trimaps to masks: this course beside fastai's `unet_learner` and torchvision's segmentation heads.
Same encoder with the same weights, same photographs, same size, same number of epochs, in turns.

Run it alone on a quiet machine:
    python -m bench segmentation        # three seeds
    python -m bench.segmentation 1 64 2 # a try on one core: seeds, pixels, epochs
The official trimaps of the sample; each seed splits them anew, a fifth of each breed for validation. Every model is
judged by the same counts on the same pixels: the middle of each photograph, the border left out. Seconds run from
files on disk to the trained model, imports aside. fastai gets its own form: a DataBlock, Resize, aug_transforms, a
worker for each core, `fine_tune`, which trains the frozen net for one epoch and the whole one for the others; its masks
are rewritten with the border as a number that its loss leaves out, before the clock starts. torchvision's heads are
trained by our loop on our loaders, each at the best of three rates, which are tried on another split.
"""
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from coursehelpers.images.masks import ignored, read_mask
from coursehelpers.images.pets import pets_masks
from coursehelpers.nets.weights import create
from coursehelpers.segmentation import confusion, mask_loaders, mean_iou, segmentation_learner
from coursehelpers.settings import seed_everything

from .pets import empty_cache

ARCH, BATCH = 'mobilenetv2_100', 16


class LRASPP(nn.Module):
    "torchvision's head for mobile nets (Howard and others 2019) on a timm encoder."
    def __init__(self, encoder, n):
        super().__init__()
        from torchvision.models.segmentation.lraspp import LRASPPHead
        channels = encoder.feature_info.channels()
        self.encoder, self.head = encoder, LRASPPHead(channels[2], channels[-1], n, 128)

    def forward(self, x):
        layers = self.encoder(x)
        return F.interpolate(self.head(dict(low=layers[2], high=layers[-1])), x.shape[-2:], mode='bilinear')


class FCN(nn.Module):
    "torchvision's fully convolutional head (Long and others 2015) on a timm encoder."
    def __init__(self, encoder, n):
        super().__init__()
        from torchvision.models.segmentation.fcn import FCNHead
        self.encoder, self.head = encoder, FCNHead(encoder.feature_info.channels()[-1], n)

    def forward(self, x):
        return F.interpolate(self.head(self.encoder(x)[-1]), x.shape[-2:], mode='bilinear')


def dls_of(seed, size):
    "Our loaders of that split."
    return mask_loaders(pets_masks(seed=seed), size, BATCH, 'cpu', seed=seed)


def ours(seed, size, epochs, **options):
    "This course: (the trained model, its loaders)."
    seed_everything(seed)
    learn = segmentation_learner(dls_of(seed, size), ARCH, **options)
    learn.fit(epochs, quiet=True)
    return learn.model, learn.dls


def numbers_for(pictures, folder):
    "Masks for fastai: places, and 255 for the border."
    for file in pictures.masks:
        Image.fromarray(read_mask(file, pictures.codes)).save(Path(folder)/file.name)


def body(pretrained=True):
    "The encoder as fastai takes it: a row of layers."
    model = create(ARCH, 0)
    return nn.Sequential(model.conv_stem, model.bn1, *model.blocks)


def by_fastai(seed, size, epochs, masks):
    "fastai's `unet_learner`: (the trained model, None)."
    import fastai.vision.all as fv
    fv.default_device(False)
    fv.set_seed(seed)
    p = pets_masks(seed=seed)
    block = fv.DataBlock((fv.ImageBlock, fv.MaskBlock(codes=p.vocab)), splitter=fv.IndexSplitter(p.valid.tolist()),
                         get_y=lambda file: Path(masks)/f'{file.stem}.png', item_tfms=fv.Resize(size),
                         batch_tfms=[*fv.aug_transforms(), fv.Normalize.from_stats(*fv.imagenet_stats)])
    dls = block.dataloaders(p.files, bs=BATCH, num_workers=os.cpu_count())
    learn = fv.unet_learner(dls, body, normalize=False, n_out=2, cut=lambda model: model,
                            loss_func=fv.CrossEntropyLossFlat(axis=1, ignore_index=ignored))
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(epochs - 1)
    return learn.model, None


@torch.no_grad()
def judged(model, dls):
    "Mean IoU in percent of any model on our validation pixels."
    model.eval()
    return 100 * mean_iou(sum(confusion(model(xb).argmax(1), yb, 2) for xb, yb in dls.valid)).item()


def timed(job, seed, size, *args):
    "(mean IoU, seconds) of one job that finds no picture decoded."
    with tempfile.TemporaryDirectory() as box, empty_cache(box), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with contextlib.redirect_stdout(io.StringIO()):
            start = time.perf_counter()
            model, dls = job(seed, size, *args)
            took = time.perf_counter() - start
            return judged(model, dls or dls_of(seed, size)), took


def best_rate(job, size, epochs, rates=(1e-3, 3e-3, 1e-2)):
    "The rate with the highest mean IoU on a split that no seed uses."
    return max(rates, key=lambda lr: timed(partial(job, lr=lr), 100, size, epochs)[0])


def compared(seeds, size, epochs):
    "{who: [(mean IoU, seconds)] by seed}."
    import fastai.vision.all  # noqa: F401, so that no job pays for the import
    import torchvision.models.segmentation  # noqa: F401
    jobs = {'ours': ours}
    for name, head in (('LRASPP', LRASPP), ('FCN', FCN)):
        job = partial(ours, net=head)
        jobs[name] = partial(job, lr=best_rate(job, size, epochs))
    found = {who: [] for who in (*jobs, 'fastai')}
    with tempfile.TemporaryDirectory() as masks:
        numbers_for(pets_masks(), masks)
        jobs['fastai'] = partial(by_fastai, masks=masks)
        for seed in range(seeds):
            for who, job in jobs.items():
                found[who].append(timed(job, seed, size, epochs))
                print(f'seed {seed}, {who}: mean IoU {found[who][-1][0]:.1f} %, {found[who][-1][1]:.1f} s', flush=True)
    return found


def spread(values):
    "Mean and standard deviation in words."
    return f'{statistics.mean(values):.1f} ± {statistics.stdev(values) if len(values) > 1 else 0:.1f}'


def row(found, who, size, epochs):
    "Our mean IoU beside a peer's, and their difference, seed by seed."
    mine, theirs = ([r[0] for r in found[w]] for w in ('ours', who))
    a, b = statistics.mean(mine), statistics.mean(theirs)
    apart = [x - y for x, y in zip(mine, theirs)]
    note = (f'{len(mine)} splits, {size} px, {epochs} epochs: ours {spread(mine)}, theirs {spread(theirs)}, '
            f'difference {spread(apart)}; higher is better')
    return dict(what=f'mean IoU / {who}', ours=a, theirs=b, unit='%', ratio=a / b, target='at least 1', ok=a >= b,
                note=note)


def run(seeds=3, size=128, epochs=4):
    "Rows for bench/RESULTS.md."
    found = compared(seeds, size, epochs)
    rows = [row(found, who, size, epochs) for who in found if who != 'ours']
    a, b = (statistics.median(r[1] for r in found[who]) for who in ('ours', 'fastai'))
    note = ', '.join(f'{who} {statistics.median(r[1] for r in runs):.1f} s' for who, runs in found.items())
    rows.append(dict(what='from files to a trained model / fastai', ours=a, theirs=b, unit='s', ratio=a / b,
                     target='at most 1/2', ok=a <= b / 2, note=f'medians: {note}'))
    return rows


if __name__ == '__main__':
    for line in run(*map(int, sys.argv[1:])):
        print(line)
