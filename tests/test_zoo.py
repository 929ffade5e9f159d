"zoo: rows that are kept, comparisons that go on, fronts and labels against brute force, statistics against metrics."
import json
import random
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import matplotlib
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from coursehelpers import zoo
from coursehelpers.base.files import DataError, shipped
from coursehelpers.data import load
from coursehelpers.images.digits import photo_digits
from coursehelpers.nets.catalogue import about
from coursehelpers.nets.costs import LOOKS, comparable, place_labels
from coursehelpers.nets.rows import Row, best_each, keep, measured_rows, my_file, read_rows, results, table
from coursehelpers.plots import figure
from coursehelpers.results import machine
from coursehelpers.zoo import (
    compare_archs,
    measure_arch,
    measure_speed,
    pareto,
    plot_pareto,
    ranking,
    rounds_of,
    throughput,
    versus,
)
from scripts import remeasure as script

matplotlib.use('agg')
SHIPPED = shipped('nets/measured.json')
IMAGENET = 'rate > 0 and pretrained == "in1k"'
random_weights = partial(measure_arch, weights=None, deals=1)


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    "A progress folder of the test's own, and the small profile."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'mine'/'progress.json'))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')


@pytest.fixture(scope='module')
def sixty():
    "Sixty small pictures of five labels."
    return photo_digits(60, 32, labels=range(5, 10), valid=.5)


@pytest.fixture
def toys(sixty, monkeypatch):
    "The sixty, and a weight decay that need not be chosen: its choice takes longest, and is tested elsewhere."
    monkeypatch.setattr(zoo, 'choose_decay', lambda *args: (1e-3, 0.))
    return sixty


@pytest.fixture
def made(monkeypatch):
    "The architectures that learners were made of, in order."
    found, real = [], zoo.vision_learner
    def watched(dls, arch, weights):
        found.append(arch)
        return real(dls, arch, weights)
    monkeypatch.setattr(zoo, 'vision_learner', watched)
    return found


# ---- what is shipped

def test_shipped_rows_are_whole():
    rows = read_rows(SHIPPED)
    fast = [r for r in rows if not r.errors]
    assert len(fast) >= 25 and len({r.device for r in fast}) == 1, 'one machine'
    assert {'levit', 'convnext', 'resnet', 'vit', 'mobilenet'} <= {r.family for r in fast}
    for r in fast:
        assert r.rate > 1 and 1 < r.memory < 20_000 and r.params == about(r.name).params
        assert r.device and r.date and r.versions and r.batch
    on_pets = [r for r in rows if r.errors]
    assert {r.data for r in on_pets} == {'pets 370'} and len({r.device for r in on_pets}) == 1
    assert len({(r.name, r.size) for r in on_pets if r.how == 'frozen features'}) >= 8
    for r in on_pets:
        assert len(r.errors) in (5, 25) and len(r.wrong) == r.held == 370
        times, deals = sum(map(int, r.wrong)), len(r.errors) // 5
        assert r.error == pytest.approx(100 * times / deals / 370, abs=1e-3)
        assert r.seconds and r.params and r.device and r.date and r.versions
    assert versus(on_pets[0], on_pets[-1]).error > 0, 'paired'
    assert SHIPPED.stat().st_size < 40_000 and '/' not in ''.join(r.device for r in rows)


@pytest.mark.long
def test_what_is_shipped_can_be_measured_again():
    "The course's row of the net whose weights come with it, on this machine: the same photographs are wrong."
    (there,) = [r for r in read_rows(SHIPPED)
                if (r.arch, r.size, r.how) == ('mobilenetv2_100', 96, 'frozen features')]
    again = measure_arch(load('pets', full=False), 'mobilenetv2_100', size=96, deals=1)
    assert (again.name, again.data, again.held) == (there.name, there.data, there.held)
    assert abs(again.error - sum(there.errors[:5]) / 5) < 3
    assert abs(versus(again, there).difference) < .05


def test_published_errors_stand_beside_measured_speeds():
    rows = results('imagenet')
    assert rows.source.ne('').all() and not rows.source.eq('you').any()
    (levit,) = rows.query('name == "levit_256.fb_dist_in1k"').itertuples()
    measured = next(r for r in measured_rows() if r.name == 'levit_256')
    assert (levit.error, levit.rate, levit.device) == (18.494, measured.rate, measured.device)
    assert abs(levit.se - .1736) < .001, '50,000 pictures'
    assert rows.rate.isna().any(), 'a net whose speed nobody measured is a row all the same'


def test_the_best_of_each():
    rows = results('imagenet')
    best = best_each(rows)
    assert best.error.is_monotonic_increasing and not best.duplicated(['arch', 'size', 'device']).any()
    lowest = rows.groupby(['arch', 'size', 'device']).error.min()
    assert (best.set_index(['arch', 'size', 'device']).error.sort_index() == lowest.sort_index()).all()


# ---- keeping rows

def test_rows_come_back_as_they_were_and_newer_ones_replace():
    row = Row('a.b', 96, 'toy 4', errors=[10., 20.], held=4, wrong='0012', device='x')
    keep(row)
    keep(Row('c', 96, rate=5., device='x'))
    keep(Row(**{**vars(row), 'errors': [1., 2.]}))
    assert [(r.name, r.errors) for r in read_rows(my_file())] == [('c', []), ('a.b', [1., 2.])]
    assert results('toy').source.tolist() == ['you']
    assert [r.wrong for r in measured_rows('toy 4')] == ['0012']


def test_a_learners_own_speed_gets_the_published_errors():
    keep(Row('levit_256', 224, rate=99., memory=5., params=1, device='gpu: mine', batch=8))
    mine = results('imagenet').query('source == "you"')
    assert mine[['name', 'rate', 'error']].values.tolist() == [['levit_256.fb_dist_in1k', 99., 18.494]]


def test_two_processes_lose_no_row():
    work = [threading.Thread(target=keep, args=(Row(f'n{i}', errors=[1.], held=9),)) for i in range(12)]
    for w in work:
        w.start()
    for w in work:
        w.join()
    assert {r.name for r in read_rows(my_file())} == {f'n{i}' for i in range(12)}


@pytest.mark.parametrize('text', ['[{"name": "x", ', '{"a": 1}', '[{"no": 1}]', ''])
def test_a_damaged_file_is_set_aside_not_deleted(text, capsys):
    my_file().parent.mkdir(parents=True)
    my_file().write_text(text)
    keep(Row('a', errors=[1.], held=5))
    assert [r.name for r in read_rows(my_file())] == ['a']
    assert my_file().with_suffix('.damaged.json').read_text() == text
    assert 'cannot be read' in capsys.readouterr().out


def test_rows_of_a_newer_course_are_read():
    my_file().parent.mkdir(parents=True)
    my_file().write_text(json.dumps([dict(name='a', errors=[1.], held=3, something_new=5)]))
    assert results().query('source == "you"').name.tolist() == ['a']


def test_rows_of_an_older_course_are_read():
    "A line as the first edition wrote it."
    my_file().parent.mkdir(parents=True)
    my_file().write_text('[\n{"name": "test_resnet", "size": 32, "data": "photo_digits 25+60", "errors": [50.0, 60.0], '
                         '"seeds": [0, 1], "held": 60, "fresh": true, "wrong": "abc", "how": "frozen features", '
                         '"weights": "none", "seconds": 0.5, "params": 454245, "device": "cpu: old", '
                         '"versions": "torch 2.14.1, timm 1.0.31", "date": "2026-11-21"}\n]\n')
    (row,) = read_rows(my_file())
    assert row.error == 55 and row.held == 60 and row.label == 'test_resnet'
    with pytest.raises(ValueError, match='test_resnet.*photo_digits 25[+]60.*which of them were wrong'):
        versus(row, row)


# ---- comparing

@pytest.mark.parametrize('deals', [1, 3])
def test_each_dealing_judges_every_picture_once_by_others(deals):
    y = torch.arange(37).repeat_interleave(10)
    rounds = rounds_of(y, deals)
    assert len(rounds) == 5 * deals
    for train, judged in rounds:
        assert not set(train.tolist()) & set(judged.tolist()) and len(train) + len(judged) == 370
        assert y[judged].bincount().unique().tolist() == [2], 'of each label as many'
    for deal in range(deals):
        judged = torch.cat([judged for _, judged in rounds[5 * deal:5 * deal + 5]])
        assert judged.sort().values.tolist() == list(range(370))
    assert all((a[1] == b[1]).all() for a, b in zip(rounds, rounds_of(y, deals))), 'the same at every call'


@pytest.mark.parametrize('epochs', [0, 1])
def test_a_row_says_what_was_measured(toys, epochs):
    row = random_weights(toys, 'test_resnet', epochs=epochs)
    assert (row.name, row.size, row.data, row.held) == ('test_resnet.random', 32, 'photo_digits 60', 60)
    assert row.how == ('1 epochs' if epochs else 'frozen features')
    assert len(row.errors) == 5 and len(row.wrong) == 60 and row.seconds > 0 and row.device == machine()
    assert row.error == pytest.approx(100 * sum(map(int, row.wrong)) / 60)
    assert read_rows(my_file()) == [row]


def test_what_is_judged_was_not_learned_from(monkeypatch, toys):
    "With features that tell each picture apart, what is learned is known by heart; the judged ones are not."
    class Learner:
        model = torch.nn.Linear(1, 1)
        def __init__(self, dls, arch, weights): self.dls = dls
        def features(self, split):
            rows = getattr(self.dls, split).rows
            return torch.eye(len(self.dls.pictures))[rows][None]
    monkeypatch.setattr(zoo, 'vision_learner', Learner)
    assert random_weights(toys, 'test_resnet').error > 60


def test_dealing_again_says_of_each_picture_how_often(toys):
    row = random_weights(toys, 'test_resnet', deals=3)
    assert len(row.errors) == 15 and max(map(int, row.wrong)) <= 3
    gap = versus(row, random_weights(toys, 'test_efficientnet'))
    assert gap.a.value == pytest.approx(row.error / 100) and gap.a.n == 60, 'one dealing beside three'


def test_only_what_is_new_is_measured(toys, made):
    for options in ({}, {}, {'again': True}, {'deals': 2}, {'size': 48}):
        random_weights(toys, 'test_resnet', **options)
    assert len(made) == 1 + 0 + 1 + 1 + 1 and len(read_rows(my_file())) == 3


def test_other_labels_or_pictures_are_measured_anew(toys, made, tmp_path):
    "Name and number alone say too little: what was relabelled, or lies in another folder, is another measurement."
    first = random_weights(toys, 'test_resnet')
    for other in (replace(toys, y=toys.y.flip(0)), replace(toys, x=toys.x.flip(-1))):
        row = random_weights(other, 'test_resnet')
        assert (row.data, row.held) == (first.data, first.held)
        with pytest.raises(ValueError):
            versus(first, row)
    assert len(made) == 3 and len(read_rows(my_file())) == 3
    for parent, colour in (('a', 'red'), ('b', 'noise')):
        for i in range(10):
            file = tmp_path/parent/'mine'/('cat', 'dog')[i % 2]/f'{i}.png'
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = Image.effect_noise((40, 40), 50) if colour == 'noise' else Image.new('RGB', (40, 40), colour)
            noise.save(file)
        random_weights(load(tmp_path/parent/'mine'), 'test_resnet', size=32)
    assert len(made) == 5
    random_weights(load(tmp_path/'a/mine'), 'test_resnet', size=32)
    assert len(made) == 5, 'the same once more'
    cat, dog = tmp_path/'a/mine/cat/0.png', tmp_path/'a/mine/dog/1.png'
    cat.rename(dog.with_name('0.png'))
    dog.rename(cat.with_name('1.png'))
    random_weights(load(tmp_path/'a/mine'), 'test_resnet', size=32)
    assert len(made) == 6, 'two labels were mended'


def test_a_row_from_before_digests_makes_room():
    old = Row('a', 48, 'toy 10', 'frozen features', errors=[9.] * 5, held=10)
    keep(old)
    keep(replace(old, digest='abc'))
    assert [r.digest for r in read_rows(my_file())] == ['abc']


def test_a_broken_off_comparison_goes_on(toys, made, monkeypatch):
    with monkeypatch.context() as m:
        real = zoo.vision_learner
        def breaks(dls, arch, weights):
            if arch == 'test_efficientnet':
                raise KeyboardInterrupt
            return real(dls, arch, weights)
        m.setattr(zoo, 'vision_learner', breaks)
        with pytest.raises(KeyboardInterrupt):
            compare_archs(toys, ['test_resnet', 'test_efficientnet'], weights=None, deals=1)
    found = compare_archs(toys, ['test_resnet', 'test_efficientnet'], weights=None, deals=1)
    assert made == ['test_resnet', 'test_efficientnet'] and len(found) == 2, 'the first was not measured again'


def test_a_net_that_fails_is_named_and_stops_nobody(toys, no_network, capsys):
    archs = ['no_such_net', 'mobilenetv2_100', 'levit_128s']
    found = compare_archs(toys, archs, size=32, deals=1)
    assert found.name.tolist() == ['mobilenetv2_100.tf_ptq8_in1k']
    said = capsys.readouterr().out
    assert 'no_such_net: no result' in said and 'levit_128s: no result' in said
    assert len(read_rows(my_file())) == 1, 'a failure is tried again next time'
    with pytest.raises(DataError):
        compare_archs(toys, ['no_such_net'])


def test_out_of_memory_is_a_reason(toys, monkeypatch, capsys):
    real = zoo.vision_learner
    def full(dls, arch, weights):
        if arch == 'test_resnet':
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GB')
        return real(dls, arch, weights)
    monkeypatch.setattr(zoo, 'vision_learner', full)
    assert len(compare_archs(toys, ['test_resnet', 'test_efficientnet'], weights=None, deals=1)) == 1
    assert 'out of memory' in capsys.readouterr().out


def test_a_net_of_one_size_gets_that_size(toys, monkeypatch):
    asked = []
    monkeypatch.setattr(zoo, 'loaders', lambda pictures, size: asked.append(size) or 1 / 0)
    for arch in ('levit_128s', 'resnet18'):
        with pytest.raises(ZeroDivisionError):
            measure_arch(toys, arch, None, size=64)
    assert asked == [224, 64]


# ---- statistics

def known(wrong, name='a'):
    "A row in which these pictures were wrong so often, of one dealing or more: a list of counts."
    deals = max(1, *wrong)
    errors = [100 * sum(wrong) / deals / len(wrong)] * 5 * deals
    return Row(name, 48, f'toy {len(wrong)}', errors=errors, held=len(wrong), wrong=''.join(map(str, wrong)))


def test_pairing_finds_what_single_errors_hide():
    a = known([1] * 30 + [0] * 70)
    b = known([1] * 20 + [0] * 80, 'b')
    found = versus(a, b)
    assert found.better.startswith('b') and found.error < .6 * found.unpaired
    assert found.difference == pytest.approx(.1) and found.chance == pytest.approx(2 * .5**10), 'a sign test'


def test_equal_rows_are_not_told_apart():
    wrong = [0, 1, 1, 0, 0, 1]
    found = versus(known(wrong), known(wrong))
    assert found.better is None and found.difference == 0 and found.chance == 1


def test_dealings_count_as_shares_not_as_more_pictures():
    g = torch.Generator().manual_seed(0)
    hard = torch.rand(80, generator=g)
    once = [known((hard + .1 * torch.randn(80, generator=g) > t).int().tolist()) for t in (.6, .7)]
    often = [known([5 * int(d) for d in r.wrong]) for r in once]
    assert versus(*often).difference == pytest.approx(versus(*once).difference)
    assert versus(*often).error == pytest.approx(versus(*once).error)


def test_the_chance_is_right_when_nothing_differs():
    "Two nets that are equally good: at most about one in twenty comparisons says otherwise."
    g, told = torch.Generator().manual_seed(1), 0
    for _ in range(300):
        hard = torch.rand(100, generator=g) # for both
        a, b = ([int(5 * w) for w in (hard + .3 * torch.randn(100, generator=g) > .8)] for _ in 'ab')
        told += versus(known(a), known(b)).better is not None
    assert told / 300 < .08


@pytest.mark.parametrize('other', [known([0, 1, 1]), Row('b', 48, 'toy 4', errors=[50.] * 5, held=4),
                                   Row('b', 48, 'other 4', errors=[50.] * 5, held=4, wrong='0011')])
def test_rows_of_other_pictures_are_not_compared(other):
    with pytest.raises(ValueError, match='same pictures'):
        versus(known([0, 1, 1, 0]), other)


def test_a_ranking_says_what_is_shown():
    rows = [known([1] * 11 + [0] * 89, 'near'), known([1] * 40 + [0] * 60, 'far'), known([1] * 10 + [0] * 90, 'best')]
    found = ranking(rows)
    assert found.name.tolist() == ['best', 'near', 'far'] and found.shown.tolist() == ['', 'not shown', 'shown']
    assert found.behind.tolist()[1:] == ['1.0 ± 1.0', '30.0 ± 4.6']


# ---- the front and its figure

def test_pareto_against_brute_force():
    rng = random.Random(0)
    for _ in range(200):
        points = [(rng.randint(0, 6), rng.randint(0, 6)) for _ in range(rng.randint(1, 12))]
        want = [not any((c <= a and e <= b) and (c < a or e < b) for c, e in points) for a, b in points]
        assert pareto(*map(list, zip(*points))) == want


def boxes(texts):
    "Where the texts stand, as pixels, without their hair lines."
    return [Text.get_window_extent(t) for t in texts]


def overlaps(found):
    def touch(a, b): return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1
    return [(i, j) for i, a in enumerate(found) for j, b in enumerate(found[:i]) if touch(a, b)]


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('log', [False, True])
def test_labels_never_overlap(seed, log):
    rng = random.Random(seed)
    fig, ax = figure(6, 4)
    points = [(10**rng.uniform(0, 2), rng.uniform(10, 30)) for _ in range(40)] + [(5, 20)] * 4
    ax.plot(*zip(*points), 'o')
    if log:
        ax.set_xscale('log')
    texts = place_labels(ax, points, [f'some_name_{i}' for i in range(len(points))])
    fig.canvas.draw()
    found, edge = boxes(texts), ax.get_window_extent()
    assert overlaps(found) == [] and len(found) > 20
    assert all(edge.x0 <= b.x0 and b.x1 <= edge.x1 and edge.y0 <= b.y0 and b.y1 <= edge.y1 for b in found)
    dots = ax.transData.transform(points)
    assert not any(b.x0 < x < b.x1 and b.y0 < y < b.y1 for b in found for x, y in dots), 'no label on a point'


@pytest.mark.parametrize('front', [None, pareto])
def test_the_labels_of_two_neighbours_stand_at_their_own_points(front, monkeypatch):
    kept = []
    monkeypatch.setattr(zoo, 'show', lambda fig, alt, **how: kept.append(fig))
    rows = best_each(results('imagenet').query(IMAGENET))
    plot_pareto(rows, front)
    ax = kept[0].axes[0]
    dots = ax.transData.transform(rows[['milliseconds', 'error']])
    labels = rows.label.tolist()
    for text in ax.texts:
        box = Text.get_window_extent(text)
        gaps = ((dots - dots.clip(box.min, box.max))**2).sum(1)
        if text.get_text() in ('resnet50', 'convnext_nano'):
            assert labels[gaps.argmin()] == text.get_text()


@pytest.mark.parametrize('cost', ['milliseconds', 'memory', 'millions'])
def test_the_figures_of_the_lesson_label_their_front_and_nothing_overlaps(cost, monkeypatch):
    kept = []
    monkeypatch.setattr(zoo, 'show', lambda fig, alt, **how: kept.append((fig, alt)))
    rows = best_each(results('imagenet').query(IMAGENET))
    front = plot_pareto(rows, pareto, cost)
    (fig, alt), drawn = kept[0], comparable(rows, cost)
    fig.canvas.draw()
    texts = fig.axes[0].texts
    assert overlaps(boxes(texts)) == [] and len(texts) > .8 * len(drawn)
    assert set(front.label) <= {t.get_text() for t in texts}
    assert all(label in alt for label in front.label)
    for r in front.itertuples():
        assert not ((drawn[cost] <= getattr(r, cost)) & (drawn.error < r.error)).any()


def test_a_front_of_ones_own_is_drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(zoo, 'show', lambda fig, alt, **how: kept.append(alt))
    rows = best_each(results('imagenet').query(IMAGENET))
    mine = plot_pareto(rows, lambda costs, errors: torch.tensor(errors) == min(errors))
    assert len(mine) == 1 and mine.error.item() == rows.error.min() and mine.label.item() in kept[0]
    assert plot_pareto(rows, None).empty and 'not drawn' in kept[1]
    with pytest.raises(ValueError, match=f'1 answers for {len(rows)} points'):
        plot_pareto(rows, lambda costs, errors: [True])


def test_times_of_two_machines_never_share_an_axis():
    rows = table(Row('a', errors=[10.], held=9, rate=5., memory=3., params=7, device=d) for d in ('one', 'two'))
    for cost in ('milliseconds', 'memory'):
        with pytest.raises(ValueError, match="different machines.*'one'; 'two'"):
            comparable(rows, cost)
        assert comparable(rows, cost, 'two').device.tolist() == ['two']
    assert len(comparable(rows, 'millions')) == 1, 'the same net once'
    with pytest.raises(ValueError, match='no row.*s to train'):
        comparable(rows, 'seconds')


def test_families_differ_in_more_than_colour():
    looks = [LOOKS[k] for k in LOOKS if k not in ('test', 'other')]
    assert len({m for _, m in looks}) == len(looks) and set(results().family) <= LOOKS.keys()


# ---- speed

def test_a_speed():
    row = measure_speed('test_resnet', 64, batch=2, seconds=.05, device='cpu')
    assert row.rate > 0 and row.params == 469_688 and row.batch == 2 and not row.errors
    with pytest.raises(DataError):
        measure_speed('no_such_net')


def test_throughput_leaves_disturbances_out():
    assert throughput([9, 9, .5, .5, 40, .5, .5], 4) == 8


@pytest.mark.long
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='only Linux tells the peak')
def test_memory_is_measured_in_a_process_of_its_own():
    small, large = (script.alone('memory_here', 'test_resnet', 64, batch) for batch in (2, 128))
    assert large > small + 2
    with pytest.raises(DataError, match='no_such_net: .*DataError'):
        script.alone('memory_here', 'no_such_net', 64, 1)


def test_speeds_are_written_all_or_none(tmp_path, monkeypatch):
    file = tmp_path/'zoo.json'
    keep(Row('kept', errors=[5.], held=10, data='pets 10'), file)
    before = file.read_bytes()

    def measured(what, arch, *args):
        if arch == 'bad':
            raise DataError('bad: too large')
        return 100. if what == 'memory_here' else dict(name=arch, rate=5.)

    monkeypatch.setattr(script, 'alone', measured)
    with pytest.raises(DataError, match='bad'):
        script.speed(file, .01, ['resnet18', 'bad'])
    assert file.read_bytes() == before
    script.speed(file, .01, ['resnet18'])
    assert [(r.name, r.memory) for r in read_rows(file)] == [('resnet18', 100.), ('kept', None)]


def test_errors_on_pets_are_kept_one_by_one_and_what_cannot_be_had_is_named(tmp_path, monkeypatch, capsys):
    file, asked = tmp_path/'zoo.json', []

    def measured(pictures, name, size, epochs, again):
        asked.append(name)
        if 'levit' in name:
            raise DataError(f'no weights for {name}')
        how = f'{epochs} epochs' if epochs else 'frozen features'
        return Row(name, size, 'pets 370', how, errors=[9.] * 5, held=370, wrong='0' * 370, device=machine())

    monkeypatch.setattr(script, 'measure_arch', measured)
    script.pets(file)
    done = len(script.jobs()) - 4 # two LeViTs, frozen and whole
    assert len(read_rows(file)) == done and 'levit_256.fb_dist_in1k: left out' in capsys.readouterr().out
    asked.clear()
    script.pets(file)
    assert len(asked) == 4, 'what is there is not measured again'
    known_nets = {name for name, _, _ in script.jobs()}
    assert all(about(name).name == name for name in script.FRONT) and len(known_nets) == 8
