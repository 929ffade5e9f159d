"transforms: the geometry is right, both roads agree, and threads change nothing."
import os
import subprocess
import sys
import threading

import pytest
import torch
from torchvision.transforms import v2 as T
from torchvision.transforms.v2 import functional as TF

from coursehelpers.base.threads import each
from coursehelpers.images import transforms
from coursehelpers.images.transforms import (
    Augment,
    centre_views,
    crop_on_cpu,
    crop_on_device,
    draw_views,
    resident,
    sent,
)

MEAN, STD = torch.tensor([.485, .456, .406]), torch.tensor([.229, .224, .225])
ZERO, ONE = torch.zeros(3), torch.ones(3)


def smooth(n, size, seed=0):
    "Random pictures without fine detail, uint8 (n, 3, size, size)."
    g = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 5, 5, generator=g)
    return (torch.nn.functional.interpolate(coarse, size=(size, size), mode='bicubic', align_corners=False).clamp(0, 1)
            * 255).byte().contiguous(memory_format=torch.channels_last)


def generator(seed=0): return torch.Generator().manual_seed(seed)


def test_the_middle_is_what_torchvision_crops():
    "A 90 x 60 picture squeezed into a square, then its middle: as resize and centre crop of the original."
    original = smooth(1, 90)[..., 15:75, :] # 60 high, 90 wide
    square = TF.resize(original, [60, 60], antialias=True)
    mine = crop_on_cpu(square, torch.tensor([0]), centre_views(torch.tensor([1.5])), 40, ZERO, ONE)[0][0]
    theirs = TF.center_crop(TF.resize(original, [40, 60], antialias=True), [40, 40])[0] / 255
    assert (mine - theirs).abs().mean() < .005 and (mine - theirs.flip(-1)).abs().mean() > .02


def test_normalised_as_torchvision_does():
    x = smooth(4, 32)
    mine = crop_on_cpu(x, torch.arange(4), centre_views(torch.ones(4)), 32, MEAN, STD)[0]
    assert torch.allclose(mine, TF.normalize(TF.to_dtype(x, torch.float32, scale=True), MEAN.tolist(), STD.tolist()),
                          atol=1e-5)


def test_random_parts_are_distributed_as_torchvisions():
    "Area and shape of the parts: the same means and spreads over 3,000 draws, on a picture of 300 x 200."
    torch.manual_seed(0)
    crop, picture = T.RandomResizedCrop(8, (.35, 1)), torch.empty(3, 200, 300)
    def drawn():
        params = crop.make_params([picture])
        return [params[k] for k in ('top', 'left', 'height', 'width')]

    top, left, height, width = torch.tensor([drawn() for _ in range(3000)]).float().T
    theirs = torch.stack([left / 300, top / 200, width / 300, height / 200], 1)
    mine = draw_views(Augment((.35, 1)), torch.full((3000,), 1.5), generator())[:, :4]
    assert (mine.mean(0) - theirs.mean(0)).abs().max() < .015 and (mine.std(0) - theirs.std(0)).abs().max() < .015


@pytest.mark.parametrize('how', [Augment(), Augment(light=.4), Augment((.9, 1), flip=False)])
def test_both_roads_agree(how):
    # so large that whole pixels of the box do not matter
    x, views = smooth(40, 256), draw_views(how, torch.ones(40), generator(1))
    a, b = crop_on_cpu(x, torch.arange(40), views, 64, MEAN, STD)[0], crop_on_device(x, views, 64, MEAN, STD)
    inner = (a - b)[..., 4:-4, 4:-4].abs().mean((1, 2, 3))
    assert inner.max() < .06 and (a - b.flip(-1)).abs().mean() > .3


@pytest.mark.parametrize('size', [33, 64, 100, 150]) # a quarter of the pixels, up to more than there are
@pytest.mark.parametrize('channels', [1, 3])
def test_upright_parts_are_the_cpus_to_the_byte(size, channels):
    "Of noise, where every pixel of the filter counts; squeezed pictures; mirrored, lighter, at the edge."
    x, aspect = torch.randint(0, 256, (40, channels, 128, 128), dtype=torch.uint8,
                              generator=generator()), torch.linspace(.5, 2, 40)
    mean, std = torch.zeros(channels), torch.ones(channels)
    for views in (draw_views(Augment((.05, 1), light=.2), aspect, generator(1)), centre_views(aspect)):
        a, b = crop_on_cpu(x, torch.arange(40), views, size, mean, std)[0], crop_on_device(x, views, size, mean, std)
        assert (a - b).abs().max() < 2.1 / 255 and (a - b).abs().mean() < .4 / 255
        assert a.stride() == b.stride() or channels == 1


def test_pictures_that_stay_as_they_are_stay_so():
    x = torch.randint(0, 256, (4, 3, 48, 48), dtype=torch.uint8, generator=generator())
    assert torch.allclose(crop_on_device(x, centre_views(torch.ones(4)), 48, ZERO, ONE) * 255, x.float(), atol=1e-3)


def test_turned_views_do_not_flicker():
    "Noise that shrinks to a quarter is a mean of many pixels, not a choice of a few: its spread is a quarter."
    noise, views = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8,
                                 generator=generator()), centre_views(torch.ones(1))
    views[0, 5] = 1e-4 # all but upright: the road of the turned
    assert crop_on_device(noise, views, 32, ZERO, ONE).std() < .1 < .28 < (noise / 255).std()


def test_full_precision_whoever_calls():
    x, views = smooth(8, 64), draw_views(Augment(), torch.ones(8), generator())
    plain = crop_on_device(x, views, 40, MEAN, STD)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(crop_on_device(x, views, 40, MEAN, STD), plain)


def test_a_turned_view_is_turned():
    x = smooth(1, 64)
    views = centre_views(torch.ones(1))
    views[0, 5] = torch.pi / 2
    turned = crop_on_device(x, views, 64, ZERO, ONE)
    assert min((turned - torch.rot90(x, k, (2, 3)) / 255).abs().mean() for k in (1, 3)) < .01


def test_each_picture_gets_its_own_view():
    x = smooth(1, 48).expand(16, -1, -1, -1)
    xb = crop_on_cpu(x, torch.arange(16), draw_views(Augment(), torch.ones(16), generator()), 32, MEAN, STD)[0]
    assert len({tuple(v.flatten()[:50].tolist()) for v in xb}) == 16


@pytest.mark.long
def test_the_number_of_cores_changes_nothing():
    "Bit for bit the same batch from one thread and from many."
    code = ("import torch; from coursehelpers.images.transforms import *; from coursehelpers.base.threads import "
            "cores; g = torch.Generator().manual_seed(3);"
            "x = torch.randint(0, 255, (20, 3, 50, 50), dtype=torch.uint8, generator=g);"
            "xb = crop_on_cpu(x, torch.arange(20), draw_views(Augment(light=.1), torch.ones(20), g), 32, "
            "torch.full((3,), .4), torch.full((3,), .2))[0];"
            "import hashlib; print(cores(), hashlib.sha256(xb.numpy().tobytes()).hexdigest())")
    runs = [subprocess.run([sys.executable, '-c', code], env={**os.environ, 'LOCAL_WORLD_SIZE': n}, capture_output=True,
                           text=True, check=True).stdout.split() for n in ('1', '64')]
    assert runs[1][0] == '1' and runs[0][1] == runs[1][1]


def test_torch_keeps_its_threads_and_its_random_numbers():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    crop_on_cpu(smooth(8, 32), torch.arange(8), draw_views(Augment(), torch.ones(8), generator()), 16, MEAN, STD)
    found = []
    other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert found == [threads] == [torch.get_num_threads()] and torch.equal(torch.get_rng_state(), state)


def test_an_exception_in_a_thread_comes_back():
    def fail(i):
        if i == 5: raise KeyError('five')
    with pytest.raises(KeyError, match='five'):
        each(fail, 9)


def test_works_within_inference_mode():
    "Made for frozen features too; the batch can be trained on afterwards."
    with torch.inference_mode():
        xb = crop_on_cpu(smooth(2, 16), torch.arange(2), centre_views(torch.ones(2)), 16, MEAN, STD)[0]
    assert not xb.is_inference()


# ---- pictures that stay on the device: meta stands in for one

@pytest.fixture
def room(monkeypatch):
    "A device with so many free bytes; its uses are counted."
    asked = []
    def make(free):
        monkeypatch.setattr(transforms, '_room', lambda device: asked.append(device) or free)
        return asked
    return make


def test_pictures_move_once_and_for_all(room):
    asked, x = room(1e9), smooth(4, 16)
    there = resident(x, 'meta')
    assert there.device.type == 'meta' and there.dtype == torch.uint8
    assert resident(x, torch.device('meta')) is there and len(asked) == 1


def test_two_fifths_are_for_pictures(room):
    x = smooth(4, 16) # 3,072 bytes
    room(3072 / .39)
    assert resident(x, 'meta').device.type == 'meta'
    x = smooth(4, 16)
    room(3072 / .41)
    assert resident(x, 'meta') is x
    room(1e9)
    assert resident(x, 'meta') is x, 'decided once'


def test_the_copy_goes_with_the_pictures(room):
    import gc
    import weakref
    room(1e9)
    x = smooth(4, 16)
    copy = weakref.ref(resident(x, 'meta'))
    assert copy() is not None
    del x
    gc.collect()
    assert copy() is None


def test_what_is_sent_arrives():
    v = torch.arange(3)
    assert sent(v, 'cpu') is v and sent(v, 'meta').device.type == 'meta'


def test_pinned_on_the_way_to_cuda(monkeypatch):
    calls = []
    class Fake:
        device = torch.device('cpu')
        def pin_memory(self):
            calls.append('pinned')
            return self
        def to(self, device, non_blocking):
            calls.append((str(device), non_blocking))
            return self
    sent(Fake(), 'cuda')
    sent(Fake(), 'mps')
    assert calls == ['pinned', ('cuda', True), ('mps', True)]
