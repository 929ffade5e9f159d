"metrics: standard errors that are right, comparisons as sure as they say, leaks found and clean data left alone."
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from coursehelpers.curves import mae, mse
from coursehelpers.metrics import (
    accuracy,
    bootstrap,
    check_leaks,
    duplicates,
    error_of_mean,
    error_rate,
    measure,
    metric_name,
    moved_by_valid,
    out_of_order,
    paired,
    rmse,
    shared_groups,
    telltales,
)
from coursehelpers.tables.passengers import titanic
from coursehelpers.tables.weather import weather

SEEDS = range(5)


def normal(*shape, seed=0): return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- a number and its error

def test_error_rate_has_the_error_of_a_proportion():
    preds, y = normal(400, 3), torch.arange(400) % 3
    found = measure(error_rate, preds, y)
    assert found.value == pytest.approx((preds.argmax(1) != y).float().mean().item()) and found.n == 400
    assert found.how == 'exact' and found.unit == '%'
    assert found.error == pytest.approx((found.value * (1 - found.value) / 399)**.5, rel=1e-4)
    assert repr(found) == f'error_rate {100 * found.value:.1f} % ± {100 * found.error:.1f} % (400 examples, exact)'


@pytest.mark.parametrize('metric, how', [(mae, 'exact'), (mse, 'exact'), (F.mse_loss, 'exact'), (rmse, 'bootstrap')])
def test_the_error_is_how_far_the_number_scatters(metric, how):
    "The mean claimed error, over many sets of examples, is the scatter of the metric over these sets."
    claims, values = [], []
    for seed in range(150):
        found = measure(metric, normal(80, seed=seed), normal(80, seed=seed + 1000), unit='°C')
        claims.append(found.error)
        values.append(found.value)
        assert found.how == how
    assert np.mean(claims) == pytest.approx(np.std(values), rel=.2)


def test_bootstrap_agrees_with_the_exact_error():
    preds, y = normal(300), normal(300, seed=1)
    assert bootstrap(mae, preds, y, times=1000).std() == pytest.approx(measure(mae, preds, y).error, rel=.1)
    assert torch.equal(bootstrap(rmse, preds, y, 20), bootstrap(rmse, preds, y, 20))


def test_torchmetrics_functions_and_objects():
    from torchmetrics.classification import BinaryAUROC, MulticlassF1Score
    from torchmetrics.functional import r2_score
    y = (normal(200, seed=2) > 0).long()
    scores = y + normal(200)
    auroc = BinaryAUROC()
    auroc.update(scores[:50], y[:50])
    before = auroc.compute()
    found = measure(auroc, scores, y)
    assert found.how == 'bootstrap' and found.metric == 'BinaryAUROC' and .6 < found.value < .95
    assert .01 < found.error < .1
    assert torch.equal(auroc.compute(), before) # what it had gathered is still there
    assert measure(r2_score, scores, y.float()).metric == 'r2_score'
    better = paired(MulticlassF1Score(num_classes=2), F.one_hot(y).float(), normal(200, 2), y)
    assert better.better == 'a' # it says itself that higher is better


def test_a_metric_of_ones_own_by_any_means():
    preds, y = normal(60), normal(60, seed=1)
    def middle(preds, y): return (preds - y).abs().median()
    def plain(preds, y): return float((preds - y).abs().mean()) # no tensor, cannot be mapped
    assert measure(middle, preds, y).how == 'bootstrap'
    assert measure(plain, preds, y).value == pytest.approx(mae(preds, y).item(), rel=1e-5)
    assert metric_name(middle) == 'middle'


def test_all_alike_says_that_zero_is_too_sure():
    found = measure(error_rate, F.one_hot(torch.arange(50) % 2).float(), torch.arange(50) % 2)
    assert found.error == 0 and 'up to 6.0 %' in repr(found)


@pytest.mark.parametrize('preds, y, words', [
    (torch.zeros(5, 1), torch.zeros(5), r'preds\[:, 0\]'), (torch.zeros(5), torch.zeros(4), 'same number of rows'),
    (torch.zeros(1), torch.zeros(1), 'two or more'),
    (torch.full((4,), torch.nan), torch.zeros(4), 'isfinite')])
def test_bad_input(preds, y, words):
    with pytest.raises(ValueError, match=words):
        measure(mae, preds, y)


def test_rmse_refuses_to_broadcast():
    with pytest.raises(ValueError, match=r'\(5, 1\)'):
        rmse(torch.zeros(5, 1), torch.zeros(5))


def test_predictions_with_a_gradient_and_on_no_gradient():
    preds = normal(30).requires_grad_()
    assert measure(mae, preds, normal(30, seed=1)).error > 0


# ---- two models

def test_pairs_see_what_single_errors_do_not():
    y = normal(400)
    hard = normal(400, seed=1) * 3
    a, b = y + hard, y + hard + .2 * hard.sign() + .3 * normal(400, seed=2)
    found = paired(mae, a, b, y, ('first', 'second'), unit='°C')
    assert found.better == 'first' and found.difference < 0 and found.error < found.unpaired / 5
    assert 'first is better than second by 0.' in repr(found)
    assert abs(found.a.value - found.b.value) < 2 * found.unpaired # the single error bars would not have told


@pytest.mark.parametrize('metric', [mae, rmse])
def test_equal_models_are_called_different_one_time_in_twenty(metric):
    calls = [paired(metric, normal(60, seed=3 * i), normal(60, seed=3 * i + 1),
                    normal(60, seed=3 * i + 2)).better is not None for i in range(120)]
    assert sum(calls) <= 14 # 6 expected


def test_right_and_wrong_go_by_mcnemar():
    y = torch.zeros(200, dtype=torch.long)
    def wrong(rows):
        made = torch.tensor([[1., 0]]).repeat(200, 1)
        made[rows] = torch.tensor([0., 1])
        return made
    found = paired(error_rate, wrong(range(0, 12)), wrong(range(10, 40)), y) # 10 wrong only in a, 28 only in b
    from scipy.stats import binomtest
    assert found.chance == pytest.approx(binomtest(10, 38).pvalue) and found.better == 'a'
    assert paired(error_rate, wrong([]), wrong([]), y).better is None
    assert paired(accuracy, wrong(range(12)), wrong(range(10, 40)), y).better == 'a'
    few = paired(error_rate, wrong([]), wrong([0, 1, 2]), y) # three tosses prove nothing
    assert few.better is None and few.chance == pytest.approx(.25) and 'cannot be told apart' in repr(few)


def test_no_difference_at_all():
    a, y = normal(50), normal(50, seed=1)
    assert paired(mae, a, a, y).chance == 1 and paired(rmse, a, a, y).better is None


# ---- leaks: found where planted, silent where not

@pytest.mark.parametrize('seed', SEEDS)
def test_duplicate_rows(seed):
    x = normal(600, 5, seed=seed)
    assert duplicates(x[:500], x[500:]) == []
    exact, near = torch.cat([x[500:], x[[3, 7]]]), torch.cat([x[500:], x[[3, 7]] + 1e-3 * normal(2, 5, seed=seed + 50)])
    assert duplicates(x[:500], exact)[0].where == duplicates(x[:500], near)[0].where == [100, 101]
    frame = pd.DataFrame(x.numpy()).assign(word=['abc'[i % 3] for i in range(600)])
    assert duplicates(frame[:500], frame[500:]) == []
    assert duplicates(frame[:500], frame[490:])[0].where == list(range(10))


def test_duplicates_with_gaps_and_text():
    frame = pd.DataFrame(dict(name=[f'n{i}' for i in range(40)], age=[np.nan, *range(39)],
                              fare=np.linspace(0, 9, 40)**2))
    assert duplicates(frame[:30], frame[30:]) == []
    assert duplicates(frame[:30], pd.concat([frame[30:], frame[:1]]))[0].where == [10]
    # nearly, gap and all
    assert duplicates(frame[:30], pd.concat([frame[30:], frame[:1].assign(fare=1e-3)]))[0].where == [10]
    assert duplicates(frame[:30], pd.concat([frame[30:], frame[:1].assign(age=5.)])) == [] # a gap equals no number
    numbers = pd.DataFrame(normal(40, 4).numpy())
    # the same numbers under another name are no twins
    assert duplicates(numbers[:30].assign(name='a'), numbers[20:].assign(name='b')) == []


@pytest.mark.parametrize('seed', SEEDS)
def test_rows_of_few_values_agree_by_chance(seed):
    people = titanic().drop(columns='survived').sample(frac=1, random_state=seed)
    assert duplicates(people[:1500], people[1500:]) == []


def test_twenty_thousand_rows():
    x = normal(20_000, 12)
    assert duplicates(x[:16_000], torch.cat([x[16_000:], x[:1]]))[0].where == [4000]


def scaler(early):
    "A `prepare` that scales by the training rows, or by all."
    def prepare(train, valid):
        source = torch.cat([torch.as_tensor(train), torch.as_tensor(valid)]) if early else torch.as_tensor(train)
        return [(torch.as_tensor(t) - source.mean(0)) / source.std(0) for t in (train, valid)]
    return prepare


@pytest.mark.parametrize('seed', SEEDS)
def test_statistics_before_the_split(seed):
    x = normal(90, 4, seed=seed)
    assert moved_by_valid(scaler(True), x[:60], x[60:]) and moved_by_valid(scaler(False), x[:60], x[60:]) == []


def frame(seed=0):
    "Sixty rows with numbers, whole numbers, text, a category and gaps."
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(dict(age=rng.normal(30, 9, 60), klass=rng.integers(1, 4, 60),
                             port=rng.choice(['S', 'C', None], 60), kind=pd.Categorical(rng.choice(['p', 'q'], 60))))
    made.loc[rng.choice(60, 9, replace=False), 'age'] = np.nan
    return made


EARLY = {'mean': lambda t, v, b: t.assign(age=t.age.fillna(b.age.mean())),
         'median': lambda t, v, b: t.assign(age=t.age.fillna(b.age.median())),
         'maximum': lambda t, v, b: t.assign(age=t.age / b.age.max()),
         'minimum': lambda t, v, b: t.assign(age=t.age - b.age.min()),
         'mode': lambda t, v, b: t.assign(port=t.port.fillna(b.port.mode()[0])),
         'counts': lambda t, v, b: t.assign(klass=t.klass.map(b.klass.value_counts())),
         'codes': lambda t, v, b: t.assign(port=pd.Categorical(t.port, b.port.value_counts().index).codes)}


@pytest.mark.parametrize('how', EARLY)
@pytest.mark.parametrize('seed', range(3))
def test_every_kind_of_statistic(how, seed):
    table, make = frame(seed), EARLY[how]
    train, valid = table[:40], table[40:]
    def early(train, valid):
        return (make(train.copy(), valid, pd.concat([train, valid])), valid)
    def late(train, valid):
        return (make(train.copy(), valid, train), valid)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning) # pandas on filling objects
        assert moved_by_valid(late, train, valid) == []
        assert moved_by_valid(early, train, valid)


def test_prepare_may_be_random_but_not_without_a_seed():
    x = normal(40, 3)
    def mixed(train, valid):
        return train[torch.randperm(len(train), generator=torch.Generator().manual_seed(0))], valid
    assert moved_by_valid(mixed, x[:30], x[30:]) == []
    with pytest.raises(ValueError, match='seed of its own'):
        moved_by_valid(lambda train, valid: (train[torch.randperm(len(train))], valid), x[:30], x[30:])


def test_prepare_may_change_its_input():
    def careless(train, valid):
        train -= train.mean(0)
        return train, valid
    x = normal(40, 3)
    kept = x.clone()
    assert moved_by_valid(careless, x[:30], x[30:]) == [] and torch.equal(x, kept)


@pytest.mark.parametrize('seed', SEEDS)
def test_target_in_the_features(seed):
    x = normal(400, 4, seed=seed)
    y = x[:, 0] + x[:, 1] + .5 * normal(400, seed=seed + 99)
    def split(x, y):
        return (x[:300], x[300:], (y[:300], y[300:]))
    assert telltales(*split(x, y)) == []
    for disguise in (y * -3 + 1, y**3, y.exp(), y + .05 * normal(400, seed=seed + 7)):
        assert telltales(*split(torch.cat([x, disguise[:, None]], 1), y))[0].where == [4]
    labels = (y > 0).long()
    assert telltales(*split(x, labels)) == []
    told = pd.DataFrame(x.numpy()).assign(boat=['none' if not v else '12' for v in labels])
    assert telltales(*split(told, labels))[0].where == ['boat']


def test_real_tables_have_no_telltale():
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
    for seed, load in enumerate((load_diabetes, load_wine, load_breast_cancer)):
        table = load(as_frame=True).frame.sample(frac=1, random_state=seed)
        n = len(table) // 4
        assert check_leaks(table[n:], table[:n], 'target') == []


def test_too_few_answers_tell_nothing():
    y = torch.tensor([0] * 54 + [1] * 6)
    x = torch.cat([normal(60, 2), 10 * y[:, None]], 1) # tells all, but on four validation rows that may be luck
    assert telltales(x, x[40:58], (y, y[40:58])) == []


@pytest.mark.parametrize('seed', SEEDS)
def test_time_and_groups(seed):
    days = weather(300, seed=seed)
    mixed = days.sample(frac=1, random_state=seed)
    assert out_of_order(days.date[:200], days.date[200:]) == []
    assert len(out_of_order(mixed.date[:200], mixed.date[200:])[0].where) > 60
    assert out_of_order([3, 1], [3, 4])[0].where == [0] # the same day on both sides
    assert shared_groups(list('aab'), list('cd')) == [] and shared_groups(list('aab'), list('bbc'))[0].where == ['b']


@pytest.mark.parametrize('seed', SEEDS)
def test_all_at_once(seed, capsys):
    days = weather(700, seed=seed)
    def prepare(train, valid):
        numbers = [t.drop(columns=['date', 'film']) for t in (train, valid)]
        return [t - numbers[0].mean() for t in numbers]
    days['film'] = ['a'] * 500 + ['b'] * 200
    assert check_leaks(days[:500], days[500:], target='tomorrow', time='date', group='film', prepare=prepare) == []
    assert capsys.readouterr().out.count('✓') == 5
    log = weather(600, seed=seed, after=True, repeats=100).sample(frac=1, random_state=seed)
    def early(train, valid):
        numbers = [t.drop(columns=['date', 'film']) for t in (train, valid)]
        return [t - pd.concat(numbers).mean() for t in numbers]
    log['film'] = 'a'
    found = check_leaks(log[:500], log[500:], target='tomorrow', time='date', group='film', prepare=early)
    assert [leak.check for leak in found] == ['duplicates', 'statistics before the split', 'target in the features',
                                              'order in time', 'groups']
    assert capsys.readouterr().out.count('! ') == 5


def test_what_cannot_be_checked_is_said(capsys):
    x = normal(50, 3)
    assert check_leaks(x[:40], x[40:]) == []
    assert capsys.readouterr().out.count('not checked') == 4
    with pytest.raises(KeyError, match='tomorow'):
        check_leaks(weather(50), weather(50), target='tomorow')
    with pytest.raises(ValueError, match='nothing to compare'):
        check_leaks(x, x[:0])


def test_error_of_mean():
    assert error_of_mean(torch.tensor([1., 3.])).item() == pytest.approx(1)


def test_a_redrawn_set_without_the_rare_label_is_passed_over():
    y = torch.zeros(12)
    y[0] = 1
    def among_the_rare(preds, y): return (preds * y).sum() / y.sum() # 0 / 0 where none was drawn
    values = bootstrap(among_the_rare, normal(12), y)
    assert len(values) < 200 and values.isfinite().all()
