"digits and photo_digits: the same for the same seed, masks exact to the pixel, no digit on both sides."
import pytest
import torch

from coursehelpers.images import digits as module
from coursehelpers.images.digits import digits, photo_digits


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits
    d, theirs = digits(), load_digits()
    assert (d.x[:, 0].numpy() == (theirs.images * 255 / 16).round()).all() and (d.y.numpy() == theirs.target).all()
    assert not set(d.train.tolist()) & set(d.valid.tolist()) and len(d.train) + len(d.valid) == len(d) == 1797


@pytest.mark.parametrize('size', [24, 64, 450])
def test_photo_digits_are_the_same_for_the_same_seed(size):
    a, b, c = photo_digits(30, size, seed=4), photo_digits(30, size, seed=4), photo_digits(30, size, seed=5)
    assert a.x.shape == (30, 3, size, size) and a.x.dtype == torch.uint8
    assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.masks, b.masks)
    assert not torch.equal(a.x, c.x)


def test_photo_digits_do_not_touch_the_global_random_numbers():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    photo_digits(10, 24)
    assert torch.equal(before, torch.get_rng_state())


def test_masks_are_exact():
    "Inverted inside its mask, every picture is a plain crop of one of the two photographs, byte for byte."
    p, size = photo_digits(12, 32, seed=1), 32
    plain = torch.where(p.masks[:, None], 255 - p.x, p.x)
    windows = module._sources()[2].unfold(2, size, 1).unfold(3, size, 1) # (2, 3, tops, lefts, size, size)
    for x, mask in zip(plain, p.masks, strict=True):
        first = windows[..., 0, 0] == x[:, 0, 0][None, :, None, None]
        last = windows[..., -1, -1] == x[:, -1, -1][None, :, None, None]
        same = (first & last).all(1)
        assert any(torch.equal(windows[i, :, t, left], x) for i, t, left in same.nonzero().tolist())
        assert .03 < mask.float().mean() < .5


def test_no_handwritten_digit_is_in_both_splits(monkeypatch):
    seen = []
    monkeypatch.setattr(module, '_placed', lambda digits, size,
                        g: seen.append(digits) or torch.zeros(len(digits), size, size, dtype=torch.bool))
    p = photo_digits(3000, 8, valid=.3)
    train, valid = ({tuple(d.flatten().tolist()) for d in seen[0][rows]} for rows in (p.train, p.valid))
    assert not train & valid and len(train) > 1000 and len(valid) > 400


@pytest.mark.parametrize('labels, vocab', [(range(5), list('01234')), ([7, 3], list('37')), (None, list('0123456789'))])
def test_photo_digits_of_some_labels(labels, vocab):
    p = photo_digits(100, 16, labels=labels)
    assert p.vocab == vocab and set(p.y.tolist()) == set(range(len(vocab))) and len(p.valid) == 20
