"zoo: rows that are kept, comparisons that go on, fronts and labels against brute force, statistics against metrics."
import base64
import json
import random
import threading

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.text import Text
from scipy.stats import t as student_t

from coursehelpers import zoo
from coursehelpers.base.files import DataError, shipped
from coursehelpers.images.digits import photo_digits
from coursehelpers.images.sets import few
from coursehelpers.metrics import error_rate, paired
from coursehelpers.nets.catalogue import about
from coursehelpers.nets.costs import LOOKS, comparable, place_labels
from coursehelpers.nets.rows import Row, best_each, keep, measured_rows, my_file, read_rows, results, table
from coursehelpers.plots import figure
from coursehelpers.zoo import (
    Ranking,
    compare_archs,
    gap,
    measure_arch,
    measure_speed,
    pareto,
    plot_pareto,
    pretrain,
    speed_here,
    throughput,
    wrong_of,
)
from scripts import remeasure as script

matplotlib.use('agg')
SHIPPED = shipped('nets/measured.json')
IMAGENET = 'rate > 0 and pretrained == "in1k"'


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    "A progress folder of the test's own, and the small profile."
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'mine'/'progress.json'))
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')


def draw(seed): return few(photo_digits(120, 32, seed=seed, labels=range(5, 10), valid=.5), 5, seed=seed)


def job(*archs, **options):
    return compare_archs(draw, [(a, None) for a in archs], quiet=True, **{'seeds': [0, 1], 'device': 'cpu', **options})


@pytest.fixture
def ran(monkeypatch):
    "The architectures that were trained, in order: one name for each seed."
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
    on_pets = [r for r in rows if r.data.startswith('pets')]
    assert len({tuple(r.seeds) for r in on_pets}) == 1 and gap(on_pets[0], on_pets[-1]).se > 0, 'paired'
    for r in on_pets:
        assert len(r.errors) == len(r.seeds) >= 5 and r.seconds and 0 < r.error < 100
        assert wrong_of(r).shape == (len(r.seeds), r.held)
        assert torch.allclose(100 * wrong_of(r).float().mean(1), torch.tensor(r.errors), atol=1e-4)
    assert SHIPPED.stat().st_size < 40_000 and '/' not in ''.join(r.device + r.weights for r in rows)


def test_published_errors_stand_beside_measured_speeds():
    rows = results('imagenet')
    assert rows.source.ne('').all() and not rows.mine.any()
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

def test_rows_come_back_as_they_were_and_newer_ones_replace(tmp_path):
    row = Row('a.b', 96, 'toy', [10., 20.], [0, 1], 50, device='x')
    keep(row)
    keep(Row('c', 96, rate=5., device='x'))
    keep(Row(**{**vars(row), 'errors': [1., 2.]}))
    assert [(r.name, r.errors) for r in read_rows(my_file())] == [('c', []), ('a.b', [1., 2.])]
    assert results('toy').mine.tolist() == [True]


def test_a_learners_own_speed_gets_the_published_errors():
    keep(Row('levit_256', 224, rate=99., memory=5., params=1, device='gpu: mine', batch=8))
    mine = results('imagenet').query('mine')
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
    assert results().query('mine').name.tolist() == ['a']


def test_rows_of_an_older_course_are_read():
    "A line as the first edition wrote it."
    my_file().parent.mkdir(parents=True)
    my_file().write_text('[\n{"name": "test_resnet", "size": 32, "data": "photo_digits 25+60", "errors": [50.0, 60.0], '
                         '"seeds": [0, 1], "held": 60, "fresh": true, "wrong": "abc", "how": "frozen features", '
                         '"weights": "none", "seconds": 0.5, "params": 454245, "device": "cpu: old", '
                         '"versions": "torch 2.14.1, timm 1.0.31", "date": "2026-11-21"}\n]\n')
    (row,) = read_rows(my_file())
    assert row.error == 55 and row.fresh and row.seeds == [0, 1] and row.label == 'test_resnet'


# ---- comparing

def test_the_same_pictures_and_seeds_for_all(monkeypatch):
    seen, run = [], zoo.vision_learner
    def watched(dls, arch, weights):
        p = dls.pictures
        seen.append((arch, p.train.tolist(), p.x[p.valid].sum().item(), torch.initial_seed()))
        return run(dls, arch, weights)
    monkeypatch.setattr(zoo, 'vision_learner', watched)
    found = job('test_resnet', 'test_efficientnet')
    (a0, a1, b0, b1) = seen
    assert a0[1:] == b0[1:] and a1[1:] == b1[1:] and a0[2] != a1[2] and (a0[3], a1[3]) == (0, 1)
    assert all(r.fresh and r.seeds == [0, 1] and r.held == 60 and r.mine for r in found)
    assert found.best.error <= found[1].error


def test_a_broken_off_comparison_goes_on(ran, monkeypatch):
    with monkeypatch.context() as m:
        real = zoo.vision_learner
        def breaks(dls, arch, weights):
            if arch == 'test_efficientnet':
                raise KeyboardInterrupt
            return real(dls, arch, weights)
        m.setattr(zoo, 'vision_learner', breaks)
        with pytest.raises(KeyboardInterrupt):
            job('test_resnet', 'test_efficientnet')
    assert ran == ['test_resnet'] * 2, 'two seeds'
    done = job('test_resnet', 'test_efficientnet')
    assert ran[2:] == ['test_efficientnet'] * 2 and len(done.gaps) == 1, 'the first was not measured again'


def test_again_or_other_seeds_are_measured(ran):
    for options in ({}, {}, {'again': True}, {'seeds': [5]}):
        job('test_resnet', **options)
    assert len(ran) == 2 + 0 + 2 + 1


def test_a_net_that_fails_is_a_row_and_stops_nobody(root, no_network, capsys):
    archs = ['no_such_net', ('test_resnet', None), 'levit_128s', ('test_resnet', root/'gone.safetensors')]
    found = compare_archs(draw, archs, seeds=[0, 1], device='cpu')
    assert [bool(r.errors) for r in found] == [True, False, False, False] and found.best.name == 'test_resnet'
    said = ' '.join(r.problem for r in found[1:])
    assert 'no_such_net' in said and 'levit_128s' in said and 'gone.safetensors' in said
    assert 'no result' in repr(found) and 'no result' in capsys.readouterr().out
    assert [r.name for r in read_rows(my_file())] == ['test_resnet'], 'a failure is tried again next time'


def test_out_of_memory_is_a_reason(monkeypatch):
    def full(*args): raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GB')
    monkeypatch.setattr(zoo, 'vision_learner', full)
    assert 'out of memory' in measure_arch(draw, 'test_resnet', None, seeds=[0], device='cpu').problem


def test_a_validation_set_that_all_seeds_share_is_noticed():
    p = photo_digits(120, 32, labels=range(5), valid=.5)
    row = measure_arch(lambda seed: few(p, 4, seed=seed), 'test_resnet', None, seeds=[0, 1, 2], device='cpu')
    assert not row.fresh and row.data == 'photo_digits 20+60'
    assert row.se > 1.05 * torch.tensor(row.errors).std().item() / 3**.5


def test_epochs_and_sizes_are_other_measurements():
    a, b = job('test_resnet')[0], job('test_resnet', epochs=1)[0]
    assert (a.how, b.how) == ('frozen features', '1 epochs') and len(read_rows(my_file())) == 2
    with pytest.raises(ValueError, match='not the same job'):
        gap(a, b)


def test_a_tiny_net_learns_once_and_is_found_by_its_name(no_network, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path/'cache'))
    name, file = pretrain('test_efficientnet', images=60, epochs=1)
    when = file.stat().st_mtime_ns
    assert file.parent == tmp_path/'cache'/'weights' and name == 'test_efficientnet.digits_0_4_60'
    assert 'error' in capsys.readouterr().out
    assert pretrain('test_efficientnet', images=60, epochs=1) == (name, file)
    assert file.stat().st_mtime_ns == when and capsys.readouterr().out == ''
    assert pretrain('test_efficientnet', images=60, epochs=1, seed=1)[1] != file
    found = measure_arch(draw, name, file, seeds=[0], device='cpu')
    assert found.errors and found.weights == file.name


# ---- statistics

def known(wrong, fresh=False, name='a'):
    "A row with exactly these mistakes, bool (seeds, held)."
    s, n = wrong.shape
    packed = base64.b85encode(np.packbits(wrong.numpy()).tobytes()).decode()
    return Row(name, 48, 'toy', (100 * wrong.float().mean(1)).tolist(), list(range(s)), n, fresh, packed)


@pytest.mark.parametrize('shape', [(1, 37), (5, 64), (3, 8)])
def test_mistakes_come_back(shape):
    wrong = torch.rand(shape) < .3
    assert torch.equal(wrong_of(known(wrong)), wrong)


def test_mistakes_are_kept_with_a_row():
    row = job('test_resnet')[0]
    assert torch.allclose(100 * wrong_of(row).float().mean(1), torch.tensor(row.errors), atol=1e-4)


def test_one_seed_agrees_with_metrics_paired():
    torch.manual_seed(0)
    y, a = torch.randint(3, (200,)), torch.randn(200, 3)
    b = a + torch.randn(200, 3)
    said = paired(error_rate, a, b, y)
    mine = gap(*(known((p.argmax(1) != y)[None]) for p in (a, b)))
    assert abs(mine.difference - 100 * said.difference) < 1e-4 and abs(mine.se - 100 * said.error) < 1e-4


@pytest.mark.parametrize('fresh', [True, False])
def test_the_chance_is_right_when_nothing_differs(fresh):
    "Two nets that are equally good: about one in twenty comparisons says otherwise, and not more."
    torch.manual_seed(1)
    told = 0
    for _ in range(400):
        drawn = 5 if fresh else 1 # with the same pictures a net finds the same hard in each seed
        hard = torch.rand(drawn, 100) # how hard a picture is, for both
        taste = .3 * torch.randn(2, drawn, 100) # what this net finds hard
        a, b = (known(hard + own + .05 * torch.randn(5, 100) > .8, fresh) for own in taste)
        told += not gap(a, b).tie
    assert told / 400 < .08


def test_pairing_finds_what_single_errors_hide():
    torch.manual_seed(2)
    luck = 10 * torch.randn(6)
    a, b = (Row(name, 48, 'toy', (30 + luck + d + .3 * torch.randn(6)).tolist(), list(range(6)), 100, True)
            for name, d in (('a', 2.), ('b', 0.)))
    found = gap(a, b)
    assert not found.tie and found.se < .3 * (a.se**2 + b.se**2)**.5 and Ranking([a, b]).best is b


def test_both_spreads_count_where_seeds_share_their_pictures():
    torch.manual_seed(3)
    a, b = (known(torch.rand(4, 60) < p) for p in (.5, .3))
    seeds = torch.tensor(a.errors) - torch.tensor(b.errors)
    pictures = 100 * (wrong_of(a).double().mean(0) - wrong_of(b).double().mean(0))
    v, w = seeds.var().item() / 4, pictures.var().item() / 60
    df = (v + w)**2 / (v**2 / 3 + w**2 / 59) # Welch (1947)
    found = gap(a, b)
    assert abs(found.se - (v + w)**.5) < 1e-4
    assert abs(found.chance - 2 * student_t.sf(abs(found.difference) / found.se, df)) < 1e-6


def test_no_seeds_and_no_pictures_cannot_be_told():
    a, b = (Row(n, 48, 'toy', [e], [0], 100) for n, e in (('a', 10.), ('b', 12.)))
    with pytest.raises(ValueError, match='no telling'):
        gap(a, b)


def test_equal_rows_are_a_tie():
    wrong = torch.rand(3, 50) < .4
    found = gap(known(wrong), known(wrong))
    assert found.tie and found.difference == 0 and found.chance == 1


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


@pytest.mark.parametrize('seed', range(6))
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


@pytest.mark.parametrize('cost', ['milliseconds', 'memory', 'millions'])
def test_the_figures_of_the_lesson_label_their_front_and_nothing_overlaps(cost, monkeypatch):
    kept = []
    monkeypatch.setattr(zoo, 'show', lambda fig, alt, **how: kept.append((fig, alt)))
    rows = best_each(results('imagenet').query(IMAGENET))
    front = plot_pareto(rows, cost)
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
    mine = plot_pareto(rows, front=lambda costs, errors: torch.tensor(errors) == min(errors))
    assert len(mine) == 1 and mine.error.item() == rows.error.min() and mine.label.item() in kept[0]
    assert plot_pareto(rows, front=None).empty and 'not drawn' in kept[1]


def test_times_of_two_machines_never_share_an_axis():
    rows = table(Row('a', errors=[10.], held=9, rate=5., memory=3., params=7, device=d) for d in ('one', 'two'))
    for cost in ('milliseconds', 'memory'):
        with pytest.raises(ValueError, match="different machines.*'one'; 'two'"):
            comparable(rows, cost)
        assert comparable(rows, cost, 'two').device.tolist() == ['two']
    assert len(comparable(rows, 'millions')) == 1, 'the same net once'
    with pytest.raises(ValueError, match='no row.*s for the whole job'):
        comparable(rows, 'seconds')


def test_families_differ_in_more_than_colour():
    looks = [LOOKS[k] for k in LOOKS if k not in ('test', 'other')]
    assert len({m for _, m in looks}) == len(looks) and set(results().family) <= LOOKS.keys()


# ---- speed

def test_speed_in_a_process_of_its_own():
    row = measure_speed('test_resnet', 64, batch=2, seconds=.05, device='cpu')
    assert row.rate > 0 and row.params == 469_688 and not row.problem and row.batch == 2 and not row.errors


def test_more_pictures_take_more_memory():
    small, large = (speed_here('test_resnet', 64, batch, .01, 'cpu') for batch in (2, 256))
    assert small['memory'] is None or large['memory'] > small['memory'] + 5


def test_where_the_system_says_nothing_of_memory(monkeypatch):
    "Windows: no /proc, and no library without a name."
    def nothing(*args, **kwargs): raise FileNotFoundError
    def no_name(name): raise TypeError
    monkeypatch.setattr(zoo.Path, 'read_text', nothing)
    monkeypatch.setattr(zoo.Path, 'write_text', nothing)
    monkeypatch.setattr(zoo.ctypes, 'CDLL', no_name)
    found = speed_here('test_resnet', 64, 2, .01, 'cpu')
    assert found['memory'] is None and found['rate'] > 0


def test_a_speed_that_cannot_be_measured_has_a_reason():
    row = measure_speed('levit_128s', 64, batch=1, seconds=.01, device='cpu')
    assert 'Error' in row.problem and row.rate is None and 'no result' in repr(row)
    with pytest.raises(DataError):
        measure_speed('no_such_net')


def test_throughput_leaves_disturbances_out():
    assert throughput([9, 9, .5, .5, 40, .5, .5], 4) == 8


def test_remeasure_writes_all_or_nothing(tmp_path, root, monkeypatch):
    file = tmp_path/'zoo.json'
    keep(Row('kept', errors=[5.], held=10, data='pets 1+1'), file)
    before, bad = file.read_bytes(), Row('resnet18', problem='too large')
    def measured(arch, size, seconds): return bad if arch == 'bad' else Row(arch, size, rate=5.)
    monkeypatch.setattr(script, 'measure_speed', measured)
    monkeypatch.setattr(script, 'find_pets', lambda: None)
    with pytest.raises(DataError, match='nothing was written.*\n.*too large'):
        script.remeasure(file, .01, ['resnet18', 'bad'])
    assert file.read_bytes() == before
    script.remeasure(file, .01, ['resnet18'])
    assert [r.name for r in read_rows(file)] == ['resnet18', 'kept']
