"Masks from any file to a cut-out: what cannot be used is said in one sentence; every encoder finds its way back up."
import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from coursehelpers.base.files import DataError
from coursehelpers.data import load
from coursehelpers.images.digits import photo_digits
from coursehelpers.images.masks import ignored, mask_folder, masked, read_mask
from coursehelpers.images.overlays import overlay, tints
from coursehelpers.images.transforms import Augment, centre_views, crop_masks, crop_on_cpu, draw_views
from coursehelpers.segmentation import (
    MaskDls,
    UNet,
    confusion,
    encoder_of,
    iou,
    mask_loaders,
    mean_iou,
    segmentation_learner,
    segmentation_loss,
    soft_dice,
)

CODES = {0: 'road', 7: 'car', 9: None}
learner = partial(segmentation_learner, arch='test_efficientnet', weights=None)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def numbers(w=40, h=30):
    "A car in the middle of a road, with a border above it."
    v = np.zeros((h, w), np.uint8)
    v[10:20, 10:25] = 7
    v[9, 10:25] = 9
    return v


@pytest.fixture
def street(tmp_path):
    "Six pictures and their masks."
    for folder in ('images', 'masks'):
        (tmp_path/folder).mkdir()
    for i in range(6):
        Image.new('RGB', (40, 30), (40 * i, 90, 20)).save(tmp_path/'images'/f'{i}.jpg')
        Image.fromarray(numbers()).save(tmp_path/'masks'/f'{i}.png')
    return tmp_path


def small(street, **options):
    return mask_loaders(mask_folder(street, codes=CODES, **options), size=64, batch_size=4)


# Files

def test_palettes_bits_and_sixteen_bits_hold_numbers(tmp_path):
    v = numbers()
    want = np.where(v == 7, 1, np.where(v == 9, ignored, 0))
    palette = Image.fromarray(v).convert('P')
    palette.putpalette([10, 20, 30] * 10)
    palette.save(tmp_path/'p.png')
    Image.fromarray(v.astype('uint16')).save(tmp_path/'deep.png')
    Image.fromarray(v).save(tmp_path/'l.png')
    for name in ('p.png', 'deep.png', 'l.png'):
        found = read_mask(tmp_path/name, CODES)
        assert found.dtype == np.uint8 and (found == want).all(), name
    Image.fromarray(v == 7).save(tmp_path/'bit.png')
    assert (read_mask(tmp_path/'bit.png', ['road', 'car']) == (v == 7)).all()


@pytest.mark.parametrize('spoil, words', [
    (lambda m: Image.fromarray(numbers()).convert('RGB').save(m), 'RGB'),
    (lambda m: Image.fromarray(numbers()).convert('LA').save(m), 'LA'),
    (lambda m: Image.fromarray(numbers() + 1).save(m), 'codes are'),
    (lambda m: Image.fromarray(numbers()).resize((20, 15), 0).save(m), '20 x 15'), # nearest
    (lambda m: m.unlink(), 'no such mask'), (lambda m: m.write_bytes(b''), 'empty'),
    (lambda m: m.write_bytes(m.read_bytes()[:60]), 'cannot be read'), (lambda m: m.write_text('<html>'), 'web page')],
    ids=['colours', 'alpha', 'unknown', 'size', 'missing', 'empty', 'cut', 'page'])
def test_a_bad_mask_is_named_with_a_remedy(street, spoil, words):
    spoil(street/'masks/3.png')
    with pytest.raises(DataError, match=words) as e:
        small(street)
    assert '3.png' in str(e.value) and len(str(e.value).splitlines()) == 1


def test_a_jpeg_is_no_place_for_numbers(tmp_path):
    Image.fromarray(10 * numbers()).save(tmp_path/'m.jpg', quality=60)
    with pytest.raises(DataError, match='as PNG'):
        read_mask(tmp_path/'m.jpg', {0: 'road', 70: 'car', 90: None})


def turned(street, mask):
    "The first picture lies on its side, with a camera's note; its mask is drawn so."
    noted = Image.Exif()
    noted[0x0112] = 6
    Image.new('RGB', (40, 30)).save(street/'images/0.jpg', exif=noted)
    Image.fromarray(mask).save(street/'masks/0.png')


def test_a_turned_picture_has_a_turned_mask(street):
    turned(street, numbers(30, 40))
    assert len(small(street).pictures) == 6
    turned(street, numbers())
    with pytest.raises(DataError, match='EXIF'):
        small(street)


@pytest.mark.parametrize('options, words', [
    (dict(codes=None), 'codes=None.* 0, 7, 9'), (dict(codes={0: 'road', 7: None}), 'two names'),
    (dict(codes=CODES, masks='labels'), 'labels: no such folder'),
    (dict(codes=CODES, mask='{stem}_P.png'), '_P.png: no such mask')])
def test_what_a_folder_lacks_is_said(street, options, words):
    with pytest.raises(DataError, match=words):
        mask_loaders(mask_folder(street, **options), size=32)


def test_masks_beside_their_pictures_and_splits_in_folders(street):
    for file in (street/'masks').iterdir():
        file.rename(street/'images'/f'{file.stem}_mask.png')
    both = mask_folder(street, masks='images', mask='{stem}_mask.png', codes=CODES)
    assert len(both) == 6 and all(file.suffix == '.jpg' for file in both.files)
    for i, split in enumerate(['train', 'val', 'train', 'val', 'train', 'test']):
        for kind, file in (('leftImg8bit', f'{i}.jpg'), ('gtFine', f'{i}_mask.png')):
            (street/kind/split/'ulm').mkdir(parents=True, exist_ok=True)
            (street/'images'/file).rename(street/kind/split/'ulm'/file)
    found = load(street, masks='gtFine', images='leftImg8bit', codes=CODES, mask=lambda f: f'{f.stem}_mask.png')
    assert [file.stem for file in found.files] == ['0', '2', '4', '1', '3'] and len(found.train) == 3
    assert masked(found, 32).masks.shape == (5, 32, 32)


def test_nothing_to_learn_is_said(street):
    for file in (street/'masks').iterdir():
        Image.fromarray(0 * numbers()).save(file)
    with pytest.raises(DataError, match='road alone'):
        small(street)
    exact = photo_digits(20)
    with pytest.raises(DataError, match='no masks'):
        mask_loaders(replace(exact, masks=None), size=32)
    with pytest.raises(DataError, match='valid split'):
        mask_loaders(replace(exact, vocab=['photograph', 'digit'], valid=exact.valid[:0]))


def test_pets_and_their_trimaps():
    found = load('pets', masks=True, full=False, each=30)
    assert len(found.train) == 30 and len(found.valid) == 120 and found.vocab == ['background', 'animal']
    one = read_mask(found.masks[0], found.codes)
    assert set(np.unique(one)) == {0, 1, ignored}


# Views

@pytest.mark.parametrize('turn', [0, 20])
def test_mask_and_picture_are_cut_alike(turn):
    shape = torch.zeros(8, 64, 64, dtype=torch.uint8)
    for i, mask in enumerate(shape):
        mask[8 + 2 * i:40, 12:30 + 3 * i] = 1
    x = (200 * shape)[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    views = draw_views(Augment((.4, 1.), turn=turn), torch.full((8,), 1.5), torch.Generator().manual_seed(1))
    rows = torch.arange(8)
    if turn:
        from coursehelpers.images.transforms import crop_on_device
        xb = crop_on_device(x, views, 48, torch.zeros(3), torch.ones(3))
    else:
        xb, _ = crop_on_cpu(x, rows, views, 48, torch.zeros(3), torch.ones(3))
    yb = crop_masks(shape, rows, views, 48)
    differ = (xb[:, 0] > 100 / 255) != (yb == 1)
    assert differ.float().mean() < .03 # along the edge alone


def test_batches_come_again_and_valid_is_the_middle(street):
    dls = small(street)
    (xa, ya), (xb, yb) = dls.train.batch(2, 0), dls.train.batch(2, 0)
    assert torch.equal(xa, xb) and torch.equal(ya, yb) and ya.dtype == torch.int64
    assert torch.equal(dls.targets_of(dls.pictures.valid), dls.valid.batch(0, 0)[1].byte())
    assert type(dls.with_(size=48)) is MaskDls and dls.with_(size=48).train.batch(0, 0)[1].shape[1:] == (48, 48)


# Scores and the loss

def test_scores_are_scikit_learns():
    from sklearn.metrics import accuracy_score, f1_score, jaccard_score

    from coursehelpers.segmentation import dice, pixel_accuracy
    y, said = torch.randint(4, (3, 20, 20)), torch.randint(4, (3, 20, 20))
    counts, a, b = confusion(said, y, 4), y.flatten(), said.flatten()
    assert iou(counts).tolist() == pytest.approx(jaccard_score(a, b, average=None).tolist())
    assert dice(counts).tolist() == pytest.approx(f1_score(a, b, average=None).tolist())
    assert pixel_accuracy(counts).item() == pytest.approx(accuracy_score(a, b))
    y[:] = ignored
    assert confusion(said, y, 4).sum() == 0


def test_a_name_that_occurs_nowhere_does_not_count():
    counts = torch.tensor([[3, 1, 0], [1, 3, 0], [0, 0, 0]])
    assert mean_iou(counts).item() == pytest.approx(.6)


def test_the_loss_forgets_what_nobody_judges():
    scores, y = torch.randn(2, 3, 8, 8, requires_grad=True), torch.randint(3, (2, 8, 8))
    y[0] = ignored
    loss = segmentation_loss(scores, y)
    loss.backward()
    assert torch.isclose(loss, segmentation_loss(scores[1:], y[1:])) and not scores.grad[0].any()
    assert scores.grad[1].any()
    y[:] = ignored
    assert segmentation_loss(scores, y) == 0 and soft_dice(scores.detach(), y).isfinite()


@pytest.mark.parametrize('loss_func', [soft_dice, nn.CrossEntropyLoss(ignore_index=ignored)], ids=['dice', 'entropy'])
def test_another_loss_can_be_given(street, loss_func):
    learn = learner(small(street), loss_func=loss_func)
    learn.fit(1, quiet=True)
    assert learn.loss_func is loss_func and np.isfinite(learn.history[-1]['valid_loss'])


def test_a_true_mask_lies_on_its_small_picture():
    "A mask made smaller is not beside its picture, made smaller."
    mask = torch.zeros(1, 96, 96, dtype=torch.uint8)
    mask[:, 30:66, 24:72] = 1
    views = centre_views(torch.ones(1))
    xb, _ = crop_on_cpu(255 * mask[:, None], torch.arange(1), views, 32, torch.zeros(1), torch.ones(1))
    assert torch.equal(xb[:, 0] > .5, crop_masks(mask, torch.arange(1), views, 32) == 1)


# Nets

@pytest.mark.parametrize('arch, size', [('test_efficientnet', 75), ('test_convnext', 64), ('test_vit', 160),
                                        ('test_mambaout', 64), ('test_byobnet', 33), ('resnet18', 64),
                                        ('swin_tiny_patch4_window7_224', 224), ('levit_128s', 224)])
def test_any_encoder_that_shows_its_layers(arch, size):
    net = UNet(encoder_of(arch, None), 3).eval()
    with torch.no_grad():
        assert net(torch.randn(1, 3, size, size)).shape == (1, 3, size, size)


def test_an_encoder_that_shows_nothing_is_named():
    with pytest.raises(DataError, match='resnet81'):
        encoder_of('resnet81')
    with pytest.raises(DataError, match='efficientvit_m0_nope|no architecture'):
        encoder_of('efficientvit_m0_nope', None)


def test_grey_pictures_and_squares_of_one_size():
    exact = photo_digits(24)
    grey = replace(exact, x=exact.x.float().mean(1, keepdim=True).byte(), vocab=['photograph', 'digit'])
    learn = learner(mask_loaders(grey, size=32, batch_size=8))
    learn.fit(1, quiet=True)
    assert learn.predict(Image.new('RGB', (90, 50))).shape == (50, 90)
    colour = mask_loaders(replace(exact, vocab=['photograph', 'digit']), size=32, batch_size=8)
    fixed = learner(colour, arch='test_vit')
    assert fixed.dls.size == 160 and fixed.predict(Image.new('RGB', (90, 50))).shape == (50, 90)


def test_weights_stay_frozen_until_they_are_not():
    exact = replace(photo_digits(20), vocab=['photograph', 'digit'])
    learn = segmentation_learner(mask_loaders(exact, size=48, batch_size=8), 'mobilenetv2_100')
    before = {k: v.clone() for k, v in learn.model.encoder.state_dict().items()}
    learn.fit(1, quiet=True)
    assert all(torch.equal(v, before[k]) for k, v in learn.model.encoder.state_dict().items())
    learn.unfreeze()
    learn.fit(1, quiet=True)
    moved = {k for k, v in learn.model.encoder.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and not any('running' in k for k in moved)
    assert set(learn.history[-1]) >= {'valid_loss', 'pixel_accuracy', 'mean_iou'}
    assert mean_iou(learn.counts()).item() == pytest.approx(learn.history[-1]['mean_iou'])


def test_saved_and_loaded(tmp_path, street):
    learn, other = (learner(small(street)) for _ in range(2))
    learn.fit(1, quiet=True)
    learn.save(tmp_path/'masks.safetensors')
    other.load(tmp_path/'masks.safetensors')
    picture = street/'images/0.jpg'
    assert torch.equal(learn.scores(picture), other.scores(picture))


# Cut-outs

def test_a_cutout_has_the_pictures_own_size(street, tmp_path):
    learn = learner(small(street))
    noted = Image.Exif()
    noted[0x0112] = 6
    Image.new('RGB', (300, 200)).save(tmp_path/'turned.jpg', exif=noted)
    for file, size in ((tmp_path/'turned.jpg', (200, 300)), (street/'images/1.jpg', (40, 30)),
                       (np.zeros((20, 900, 3), np.uint8), (900, 20))):
        found = learn.cutout(file)
        assert found.size == size and found.mode == 'RGBA'
        assert ((np.array(found)[..., 3] == 255) == (learn.predict(file).numpy() > 0)).all()
    road = np.array(learn.cutout(street/'images/1.jpg', 'road'))[..., 3]
    car = np.array(learn.cutout(street/'images/1.jpg', 'car'))[..., 3]
    assert (road.astype(int) + car == 255).all()
    with pytest.raises(ValueError, match='bus.*road, car'):
        learn.cutout(street/'images/1.jpg', 'bus')
    with pytest.raises(DataError, match='gone.jpg'):
        learn.cutout(tmp_path/'gone.jpg')


def test_names_differ_in_more_than_colour():
    mask = torch.arange(1, 9).byte().repeat_interleave(12)[None].expand(12, -1).contiguous()
    seen = set()
    for place in range(1, 9):
        tint = tints(mask)[:, 12 * (place - 1):12 * place]
        seen.add(tuple((tint[..., 3] > 150).flatten().tolist()))
    assert len(seen) >= 4
    on = overlay(torch.full((3, 12, 96), 100, dtype=torch.uint8), mask)
    assert on.shape == (3, 12, 96) and on.dtype == torch.uint8


def test_random_masks_survive_every_road(tmp_path):
    "What is written as palette, grey or sixteen bits is read back, whatever the numbers."
    rng = random.Random(0)
    for i in range(20):
        values = rng.sample(range(256), rng.randint(2, 12))
        pixels = np.random.default_rng(i).choice(values, (rng.randint(1, 40), rng.randint(1, 40))).astype('uint8')
        table = {v: rng.choice(['a', 'b', None]) for v in values} | {values[0]: 'a', values[1]: 'b'}
        im = Image.fromarray(pixels)
        if i % 2:
            im = im.convert('P')
        im.save(tmp_path/f'{i}.png')
        vocab = list(dict.fromkeys(n for n in table.values() if n))
        want = [[ignored if table[v] is None else vocab.index(table[v]) for v in row] for row in pixels.tolist()]
        assert read_mask(tmp_path/f'{i}.png', table).tolist() == want
