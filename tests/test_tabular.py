"tabular: nothing is learned from validation rows, gradients by hand are autograd's, torch and Learner step alike."
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from coursehelpers.base.files import DataError
from coursehelpers.curves import mse
from coursehelpers.data import Dls
from coursehelpers.learner import Learner
from coursehelpers.metrics import check_leaks, moved_by_valid
from coursehelpers.tables.passengers import passengers, titanic
from coursehelpers.tabular import (
    Features,
    aboard,
    apart,
    baseline_by,
    best_possible,
    by_autograd,
    deep,
    deep_gradient,
    dummies,
    fit,
    hidden,
    hidden_gradient,
    linear,
    linear_gradient,
    missed,
    part,
    ready,
    sigmoid_gradient,
    squashed,
    start,
    twin_inputs,
)
from tests.test_sections import sections

LESSON = Path(__file__).parents[1]/'nbs/full/05_titanic.ipynb'
MODELS = dict(linear=(linear, linear_gradient, [], .5), sigmoid=(squashed, sigmoid_gradient, [], 2),
              hidden=(hidden, hidden_gradient, [10], 2), deep=(deep, deep_gradient, [10, 10], 2),
              deeper=(deep, deep_gradient, [7, 5, 3], 1))
CROWD = Features(['Sex', 'Pclass', 'Embarked'], numbers=['Age', 'SibSp', 'Parch'], logs=['Fare'])


@pytest.fixture(scope='module')
def everybody(): return ready(*part(titanic()), Features(['class', 'sex', 'age']), 'survived')


# ---- splitting, and what may be learned from which rows

@pytest.mark.parametrize('n, share, seed', [(2201, .2, 0), (891, .2, 3), (10, .5, 1), (3, .4, 0)])
def test_part_keeps_every_row_once(n, share, seed):
    rows = pd.DataFrame(dict(row=range(n)), index=np.arange(n)[::-1] + 5)
    train, valid = part(rows, share, seed)
    assert len(valid) == round(n * share) and sorted([*train.row, *valid.row]) == list(range(n))
    assert train.index.tolist() == list(range(len(train))) and valid.index.tolist() == list(range(len(valid)))
    assert part(rows, share, seed)[0].equals(train) and rows.index[0] == n + 4


@pytest.mark.parametrize('n, share', [(5, 0.), (5, 1.), (2, .1), (0, .2), (5, 1.5), (5, -1.)])
def test_part_refuses_an_empty_side(n, share):
    with pytest.raises(ValueError, match='Both parts need rows'):
        part(titanic()[:n], share)


def test_the_torch_seed_stays():
    torch.manual_seed(1)
    part(titanic())
    start(6, 3, 1)
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(1))


def test_validation_rows_have_no_say():
    train, valid = part(passengers(), seed=2)
    whole = CROWD.words + CROWD.numbers
    def prepare(train, valid):
        return [Features(['Sex', 'Pclass', 'Embarked'], ['Age', 'SibSp', 'Parch'],
                                                 ['Fare']).fit(train).x(train), valid.index.to_numpy()]
    assert not moved_by_valid(prepare, train[whole], valid[whole])
    def early(train, valid):
        return [Features(['Sex'], ['Age'], ['Fare']).fit(pd.concat([train, valid])).x(train),
                                      valid.index.to_numpy()]
    assert moved_by_valid(early, train[whole], valid[whole]) # the check can tell


def test_ready_learns_from_the_training_rows_alone():
    train, valid = part(passengers(), seed=2)
    (x, _), _ = ready(train, valid, CROWD, 'Survived')
    (again, _), _ = ready(train, valid.assign(Age=99., Fare=500., Sex='male', Embarked='Q'), CROWD, 'Survived')
    assert torch.equal(x, again) and torch.equal(x, CROWD.fit(train).x(train))


@pytest.mark.parametrize('seed', [0, 3])
def test_aboard_are_the_passengers_that_ship(seed):
    (x, y), (new_x, new_y), names = aboard(seed)
    assert x.shape == (713, 10) and new_x.shape == (178, 10) and len(names) == 10 and names[-1] == 'one'
    assert y.sum() + new_y.sum() == 342 and torch.isfinite(x).all() and torch.isfinite(new_x).all()
    assert y.tolist() == part(passengers(), seed=seed)[0].Survived.tolist()
    scaled = x[:, 5:9] # numbers; words and the ones stay as they are
    assert scaled.mean(0).abs().max() < 1e-9 and (scaled.std(0) - 1).abs().max() < 1e-9


def test_equal_people_in_both_parts_are_no_leak(capsys):
    train, valid = part(titanic())
    assert check_leaks(train, valid, target='survived') == []
    some, others = (rows.drop(columns=['PassengerId', 'Survived']) for rows in part(passengers()))
    twice = pd.concat([some, others[:40]]) # the same persons again are one
    assert any(leak.check == 'duplicates' for leak in check_leaks(twice, others))


# ---- features

def test_features_by_hand():
    train = pd.DataFrame(dict(port=['S', 'S', None, 'C', 'S'], age=[20., None, 30, 40, 30], fare=[0., 1, 3, np.nan, 7],
                              stuck=[4] * 5))
    f = Features(['port'], ['age', 'stuck'], ['fare']).fit(train)
    assert f.names == ['port_C', 'age', 'stuck', 'log_fare', 'one']
    x = f.x(train)
    assert x.dtype == torch.float64 and x.shape == (5, 5) and x[:, 0].tolist() == [0, 0, 0, 1, 0]
    assert x[:, -1].tolist() == [1] * 5
    age = torch.tensor([20., 30, 30, 40, 30]).double()
    # the median fills; a column without spread is only moved
    assert torch.allclose(x[:, 1], (age - age.mean()) / age.std()) and x[:, 2].tolist() == [0] * 5
    fare = torch.tensor([0., 1, 3, 2, 7]).double().log1p()
    fare[3] = torch.tensor([0., 1, 3, 7]).double().log1p().quantile(.5) # the median of the logarithms
    assert torch.allclose(x[:, 3], (fare - fare.mean()) / fare.std())
    # other order, a column more, a number as text
    later = f.x(pd.DataFrame(dict(fare=[None], age=['31'], port=[None], stuck=[5], more=['x']), index=[9]))
    assert torch.allclose(later[0, 1], (31 - age.mean()) / age.std()) and later[0, 0] == 0 and later[0, 2] == 1


@pytest.mark.parametrize('change, words', [
    (dict(Sex='other'), r"column Sex: 'other' in row 0 was not in the training rows, which have female, male"),
    (dict(Pclass=4), 'column Pclass: 4 in row 0'),
    (dict(Fare=-3.), 'column Fare: -3.0 in row 0 is no number that has a logarithm'),
    (None, "there is no column 'Age'. The table has: PassengerId")])
def test_rows_that_features_cannot_use(change, words):
    f = CROWD.fit(passengers())
    rows = passengers()[:4].astype(object)
    rows = rows.drop(columns='Age') if change is None else rows.assign(**change)
    with pytest.raises(DataError, match=words):
        f.x(rows)


@pytest.mark.parametrize('column', ['Sex', 'Age', 'Fare'])
def test_a_column_without_values_is_named(column):
    with pytest.raises(DataError, match=f'column {column} has no value in the 891 training rows'):
        Features(['Sex'], ['Age'], ['Fare']).fit(passengers().assign(**{column: None}))


@pytest.mark.parametrize('bad', [2, 'yes', None, .5])
def test_an_answer_that_is_none(bad):
    rows = titanic().astype(object)
    rows.loc[7, 'survived'] = bad
    with pytest.raises(DataError, match='column survived: .* in row 7 is neither 0 nor 1'):
        ready(rows, titanic(), Features(['sex']), 'survived')
    with pytest.raises(DataError, match='no column'):
        ready(titanic(), titanic()[['sex']], Features(['sex']), 'survived')


def test_dummies_refuse_gaps_and_strangers():
    assert dummies(pd.Series([2, 1, 2]), [1, 2]).tolist() == [[0, 1], [1, 0], [0, 1]]
    for strange in ('x', None):
        pytest.raises(ValueError, dummies, pd.Series(['a', strange], dtype=object), ['a'])


# ---- the table

def test_the_table_and_its_floor():
    train, valid = part(titanic(), seed=4)
    y = torch.tensor(valid.survived).double()
    true = [float(train[(train['class'] == c) & (train.sex == s)].survived.mean() > .5)
            for c, s in zip(valid['class'], valid.sex)]
    assert baseline_by(train, valid, ['class', 'sex'], 'survived').tolist() == true
    # their own answers do not matter
    assert baseline_by(train, valid.assign(survived=1 - valid.survived), ['class', 'sex'], 'survived').tolist() == true
    few, many = pd.DataFrame(dict(sex=['f'], survived=[0])), pd.DataFrame(dict(sex=['f'] * 9, survived=[1] * 9))
    assert baseline_by(few, many, ['sex'], 'survived').tolist() == [0] * 9
    three = ['class', 'sex', 'age']
    floor, codes = best_possible(valid, three, 'survived'), valid.groupby(three).ngroup().to_numpy()
    for seed in range(30): # no function of the kind gets below the floor
        says = np.random.default_rng(seed).integers(0, 2, 14)[codes]
        assert missed(torch.tensor(says).double(), y) >= floor


def test_missed_refuses_a_column():
    assert missed(torch.tensor([.5, .51]), torch.tensor([1, 1])) == .5
    with pytest.raises(ValueError, match='preds'):
        missed(torch.zeros(4, 1), torch.zeros(4))


# ---- gradients by hand

@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('name', MODELS)
def test_gradients_by_hand_are_autograds(name, seed, everybody):
    model, gradient, sizes, _ = MODELS[name]
    (x, y), _ = everybody
    params = [p + .3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)).double()
              for p in start(6, *sizes, 1, seed=seed)]
    assert apart(gradient(x, y, *params), by_autograd(model, params, x, y)) < 1e-10
    assert not any(p.requires_grad for p in params)


@pytest.mark.parametrize('name', MODELS)
def test_gradients_on_single_passengers(name):
    model, gradient, sizes, _ = MODELS[name]
    (x, y), _ = ready(*part(passengers()), CROWD, 'Survived')
    params = start(x.shape[1], *sizes, 1, seed=1)
    assert apart(gradient(x, y, *params), by_autograd(model, params, x, y)) < 1e-10


def test_apart_is_strict():
    with pytest.raises(ValueError, match='shapes'):
        apart([torch.zeros(3)], [torch.zeros(3, 1)])
    with pytest.raises(ValueError, match='shapes'):
        apart([torch.zeros(3)], [])


def test_fit_wants_a_gradient_for_each_parameter(everybody):
    (x, y), _ = everybody
    with pytest.raises(ValueError):
        fit(hidden, linear_gradient_of_w1, start(6, 3, 1), x, y, .1, 1)


def linear_gradient_of_w1(x, y, w1, w2, b): return [torch.zeros_like(w1)]


# ---- the same by torch and by the Learner

def as_torch(params, squash=True):
    "The model `deep` (or `linear`) as torch writes it, with a copy of these weights."
    layers = []
    for w, b in zip([params[0], *params[1::2]], [None, *params[2::2]]):
        w = w.reshape(len(w), -1)
        layers += [nn.ReLU(), nn.Linear(*w.shape, bias=b is not None, dtype=w.dtype)]
        with torch.no_grad():
            layers[-1].weight.copy_(w.T)
            if b is not None: layers[-1].bias.copy_(b)
    return nn.Sequential(*layers[1:], nn.Sigmoid() if squash else nn.Identity(), nn.Flatten(0))


@pytest.mark.parametrize('name', MODELS)
def test_torch_and_the_learner_make_the_same_steps(name, everybody):
    model, gradient, sizes, lr = MODELS[name]
    (x, y), (new_x, new_y) = everybody
    mine, module = start(6, *sizes, 1), as_torch(start(6, *sizes, 1), squash=name != 'linear')
    learn = Learner(as_torch(mine, squash=name != 'linear'), Dls.of([(x, y)], [(new_x, new_y)]), loss_func=mse,
                    metrics=(missed,), opt_func=torch.optim.SGD, schedule=None)
    losses, opt, theirs = fit(model, gradient, mine, x, y, lr, 60), torch.optim.SGD(module.parameters(), lr), []
    for _ in range(60):
        opt.zero_grad()
        loss = nn.functional.mse_loss(module(x), y)
        loss.backward()
        opt.step()
        theirs.append(loss.item())
    learn.fit(60, lr, quiet=True)
    assert np.abs(np.array(losses) - theirs).max() < 1e-10 and np.abs(np.array(losses) - learn.losses).max() < 1e-10
    trained = [p.detach().t().reshape(m.shape) for p, m in zip(module.parameters(), mine, strict=True)]
    assert apart(trained, mine) < 1e-10 and losses[-1] < losses[0]
    assert learn.history[-1]['missed'] == pytest.approx(missed(model(new_x, *mine), new_y).item())


def test_the_spreadsheet_gets_what_the_lesson_has():
    "Sixty of the training rows, as the lesson's functions see them."
    given = twin_inputs()
    train, _ = part(passengers())
    assert given['people'].PassengerId.tolist() == train.PassengerId[:60].tolist()
    assert given['x'].shape == (60, 6) and given['y'].tolist() == train.Survived[:60].tolist()
    models = dict(linear=(linear, linear_gradient), sigmoid=(squashed, sigmoid_gradient),
                  hidden=(hidden, hidden_gradient))
    for (model, gradient), (lr, params), loss in zip(models.values(), given['models'].values(), (.1501, .1509, .1464)):
        own = [p.clone() for p in params]
        assert fit(model, gradient, own, given['x'], given['y'], lr, 21)[-1] == pytest.approx(loss, abs=5e-5)


# ---- the lesson itself

def run(monkeypatch, tmp_path, *headings):
    "The imports of the lesson and these sections, run; gives their names."
    matplotlib.use('agg')
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path))
    imports, found = sections(LESSON)
    space = {'__name__': 'lesson'}
    exec(imports, space)
    for heading in headings:
        for source in found[heading]:
            exec(source, space)
    return space


def test_slider_callback_at_minimum_default_and_maximum(monkeypatch, tmp_path, capsys):
    "No runner sees an exception inside an interact callback, so it is called as a plain function."
    space, said = run(monkeypatch, tmp_path, '## Loss and metric part ways'), []
    for weight in (-4., 0., 8.):
        capsys.readouterr()
        space['move_weight'](weight=weight)
        said.append(capsys.readouterr().out)
    assert all('loss' in out for out in said) and len(set(said)) == 3


def test_the_lesson_uses_the_passengers_that_ship(monkeypatch, tmp_path):
    "Offline, with an empty data folder: the last models are of 713 real people, and one of them is named."
    space = run(monkeypatch, tmp_path, '## Gaps and long tails', '## Squash it')
    assert len(space['x']) == 713 and 'Wilhelms, Mr. Charles' in space['train'].Name.tolist()
