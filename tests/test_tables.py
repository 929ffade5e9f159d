"tables: the published totals, the passengers that ship, and a station whose noise floor is where it says."
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from coursehelpers.base import samples
from coursehelpers.base.files import DataError, shipped
from coursehelpers.tables.language import pydoc
from coursehelpers.tables.passengers import passengers, titanic
from coursehelpers.tables.weather import best_forecast, weather


def rmse(a, b): return float(((a - b)**2).mean()**.5)


# ---- the ship

def test_dawsons_totals():
    people = titanic()
    assert people.shape == (2201, 4) and people.survived.sum() == 711 and not people.isna().any().any()
    survived = people.groupby('class').survived.agg(['sum', 'size']).T.to_dict('list')
    assert survived == dict(crew=[212, 885], first=[203, 325], second=[118, 285], third=[178, 706])
    assert people.groupby(['sex', 'age']).size().to_dict() == {('female', 'adult'): 425, ('female', 'child'): 45,
                                                               ('male', 'adult'): 1667, ('male', 'child'): 64}


def test_the_891_passengers():
    found = passengers()
    assert found.shape == (891, 12) and found.Survived.sum() == 342
    assert found.PassengerId.tolist() == list(range(1, 892))
    gaps = found.isna().sum()
    assert gaps[gaps > 0].to_dict() == dict(Age=177, Cabin=687, Embarked=2)
    assert found.Survived.isin([0, 1]).all() and found.Pclass.isin([1, 2, 3]).all() and (found.Fare >= 0).all()


@pytest.mark.parametrize('spoil', [lambda file: file.write_bytes(file.read_bytes()[:-1]),
                                   lambda file: file.write_bytes(b''), lambda file: file.unlink()],
                         ids=['cut off', 'empty', 'missing'])
def test_passengers_that_were_changed_are_named(spoil, tmp_path, monkeypatch):
    for name in ('titanic_train.csv', 'checksums.txt'):
        shutil.copy(shipped('samples')/name, tmp_path)
    monkeypatch.setattr(samples, 'shipped', lambda name: tmp_path)
    samples.sample.cache_clear()
    assert len(passengers()) == 891
    spoil(tmp_path/'titanic_train.csv')
    samples.sample.cache_clear()
    with pytest.raises(DataError, match='titanic_train.csv.*Install the course again'):
        passengers()
    samples.sample.cache_clear()


def test_tables_wait_until_they_are_asked_for():
    "Pictures need no pandas and no scikit-learn to start: a second of imports on a laptop."
    code = ('import sys, coursehelpers.vision, coursehelpers.data; '
            'print([m for m in ("pandas", "sklearn", "scipy", "openpyxl") if m in sys.modules])')
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == '[]'


# ---- the station

@pytest.mark.parametrize('noise', [.5, 2., 4.])
@pytest.mark.parametrize('seed', range(5))
def test_the_best_forecast_reaches_the_floor(seed, noise):
    days = weather(6000, seed=seed, noise=noise)
    assert days.attrs['noise_floor'] == noise
    miss = days.tomorrow - best_forecast(days)
    assert abs(rmse(miss, 0) - noise) < 4 * noise / (2 * len(days))**.5 # four standard errors of a standard deviation
    assert abs(miss.mean()) < 4 * noise / len(days)**.5


def test_nothing_in_the_row_says_more():
    "What the best forecast leaves over is independent of every column of today, and of the day before."
    days = weather(8000, seed=3)
    miss = days.tomorrow - best_forecast(days)
    for name in days.columns.drop(['date', 'tomorrow']):
        assert abs(np.corrcoef(miss, days[name])[0, 1]) < 4 / len(days)**.5, name
    assert abs(np.corrcoef(miss[1:], miss[:-1])[0, 1]) < 4 / len(days)**.5
    from sklearn.tree import DecisionTreeRegressor
    x = days.drop(columns=['date', 'tomorrow']).values
    preds = DecisionTreeRegressor(max_depth=4, random_state=0).fit(x[:6000], miss[:6000]).predict(x[6000:])
    assert rmse(preds, miss[6000:]) > .99 * rmse(miss[6000:], 0)


def test_no_forecaster_beats_it_but_a_good_one_comes_near():
    from sklearn.ensemble import ExtraTreesRegressor
    days = weather(6000, seed=1)
    season = np.cos(2 * np.pi * days.date.dt.dayofyear / 365.25)
    x = np.c_[days.drop(columns=['date', 'tomorrow']).values, season]
    preds = ExtraTreesRegressor(40, min_samples_leaf=3, random_state=0).fit(x[:4500],
                                                                            days.tomorrow[:4500]).predict(x[4500:])
    best = rmse(best_forecast(days)[4500:], days.tomorrow[4500:])
    like_today = rmse(days['max'][4500:], days.tomorrow[4500:])
    assert best < rmse(preds, days.tomorrow[4500:]) < like_today


@pytest.mark.parametrize('change, more',
                         [({}, 0), (dict(max=30.), 7.), (dict(wind=4., direction=180.), 1.4),
                          (dict(wind=4., direction=0.), -1.4), (dict(wind=9., direction=90.), 0), (dict(rain=2.), -1),
                          (dict(pressure=1023.), .6),
                                          (dict(cloud=0.), 1.25), (dict(cloud=1.), -1.25),
                                          (dict(humidity=90., min=-9.), 0)])
def test_the_recipe_as_it_is_told(change, more):
    "One day in July at the height of the season, 20 °C, changed in one thing at a time."
    row = dict(date=pd.Timestamp('2001-07-21'), max=20., min=9., humidity=60., pressure=1013., wind=0., direction=0.,
               cloud=.5, rain=0.)
    def forecast(**change):
        return best_forecast(pd.DataFrame([{**row, **change}]))[0]
    assert forecast(**change) - forecast() == pytest.approx(more, abs=.01)
    assert forecast() == pytest.approx(22 - .7 * 2, abs=.05)


def test_rows_follow_each_other():
    days = weather(500, seed=2)
    assert days.date.is_monotonic_increasing and days.date.is_unique and not days.isna().any().any()
    assert (days.tomorrow[:-1].values == days['max'][1:].values).all() and (days['min'] < days['max']).all()
    assert days.cloud.between(0, 1).all() and days.humidity.between(0, 100).all()
    assert days.direction.between(0, 360).all() and (days.rain >= 0).all() and (days.wind > 0).all()
    warm = days.groupby(days.date.dt.month)['max'].mean()
    assert warm[7] - warm[1] > 12


def test_same_seed_same_weather_and_the_global_random_numbers_stay():
    np.random.seed(5)
    a = weather(50, seed=1)
    assert np.random.rand() == np.random.RandomState(5).rand()
    assert a.equals(weather(50, seed=1)) and not a.equals(weather(50, seed=2))


def test_the_temptations():
    days = weather(400, seed=1, after=True, repeats=40)
    assert len(days) == 440 and days.duplicated().sum() == 40 and days.date.is_monotonic_increasing
    assert weather(400, seed=1, repeats=300).date.value_counts().max() == 2
    assert np.corrcoef(days.orchard, days.tomorrow)[0, 1] > .995
    # the weather itself is the same
    assert weather(400, seed=1).equals(days.drop_duplicates(ignore_index=True).drop(columns='orchard'))


def test_pydoc_is_a_book(monkeypatch):
    text = pydoc()
    assert text == pydoc() and len(text) > 300_000 and 'yield' in text
    monkeypatch.setitem(__import__('sys').modules, 'pydoc_data.topics', None)
    with pytest.raises(DataError, match='full Python'):
        pydoc()
