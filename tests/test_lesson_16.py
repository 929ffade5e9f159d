"What lesson 16 builds and others lean on: work that is done once, and loops that are left early."
import pytest
import torch

from coursehelpers.base.files import DataError
from coursehelpers.data import Batches, Loader, Views, loaders
from coursehelpers.images.digits import digits

ROWS = torch.arange(100)


def block(cls=Batches, **options): return cls(ROWS[:, None].float(), ROWS, ROWS, 8, shuffle=True, **options)


def labels(batches): return torch.cat([yb for _, yb in batches]).tolist()


@pytest.mark.parametrize('loader', [block(), block(Loader), block(Loader, ahead=2)], ids=['batches', 'loader', 'ahead'])
def test_an_epoch_is_shuffled_once_not_for_each_batch(loader, monkeypatch):
    calls, order = [], loader.order
    monkeypatch.setattr(loader, 'order', lambda epoch: calls.append(epoch) or order(epoch), raising=False)
    assert sorted(labels(loader)) == ROWS.tolist() and calls == [0]


@pytest.mark.parametrize('ahead', [0, 2])
def test_a_loop_left_early_hurts_nobody(ahead):
    loader = block(Loader, ahead=ahead)
    for _ in loader:
        break
    assert loader.epoch == 1 and labels(loader) == labels([block().batch(1, i) for i in range(13)])


def test_no_batch_touches_the_global_random_numbers():
    dls = loaders(digits(), batch_size=64, device='cpu')
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for _ in dls.train:
        pass
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize('size, singly', [(8, False), (32, False), (48, True)])
def test_small_pictures_are_made_a_whole_batch_at_a_time(size, singly):
    look = Views(digits(), size, 'cpu', [.5], [.5])
    assert look.singly is singly and look.plain(ROWS[:3]).shape == (3, 1, size, size)


def test_a_mean_of_zero_is_a_mean():
    xb, _ = loaders(digits(), device='cpu', augment=False, mean=0, std=1).valid.batch(0, 0)
    assert xb.min() == 0 and xb.max() == 1


class Torn(Views):
    "Pictures of which the first of each batch cannot be read."
    def make(self, rows, views): return super().make(rows, views)[0], {0: 'torn.jpg: damaged'}


@pytest.mark.parametrize('world', [1, 2])
def test_of_several_processes_none_leaves_out_a_picture_alone(world):
    "Its weight counts every row of its share."
    p = digits()
    loader = Loader(Torn(p, 8, 'cpu', [.5], [.5]), p.y, ROWS, 8)
    loader.world = world
    if world == 1:
        assert len(loader.batch(0, 0)[1]) == 7 and loader.report == ['torn.jpg: damaged']
        return
    with pytest.raises(DataError, match='(?s)torn.jpg.*several processes'):
        loader.batch(0, 0)
