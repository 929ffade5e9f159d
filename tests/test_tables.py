"tables: the published totals, passengers from a file or from OpenML, and a station whose noise floor is where it says."
import warnings
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from coursehelpers.base.files import DataError
from coursehelpers.tables.language import pydoc
from coursehelpers.tables.passengers import kaggle_columns, made_up, passengers, titanic, titanic_kaggle
from coursehelpers.tables.weather import best_forecast, weather

pytestmark = pytest.mark.filterwarnings('ignore:.*rows, and the original:UserWarning') # most tables here are small

SHARED = Path(__file__).parents[2]/'shared'/'data'


def rmse(a, b): return float(((a - b)**2).mean()**.5)


# ---- the ship

def test_dawsons_totals():
    people = titanic()
    assert people.shape == (2201, 4) and people.survived.sum() == 711 and not people.isna().any().any()
    survived = people.groupby('class').survived.agg(['sum', 'size']).T.to_dict('list')
    assert survived == dict(crew=[212, 885], first=[203, 325], second=[118, 285], third=[178, 706])
    assert people.groupby(['sex', 'age']).size().to_dict() == {('female', 'adult'): 425, ('female', 'child'): 45,
                                                               ('male', 'adult'): 1667, ('male', 'child'): 64}


@pytest.mark.skipif(not (SHARED/'titanic_train.csv').is_file(),
                    reason='the 891 passengers (../shared/data) are not here')
def test_the_891_passengers():
    found = titanic_kaggle(SHARED)
    assert found.shape == (891, 12) and found.columns.tolist() == kaggle_columns
    assert found.Survived.sum() == 342 and found[['Age', 'Cabin', 'Embarked']].isna().sum().tolist() == [177, 687, 2]


@pytest.mark.parametrize('name', ['titanic_train.csv', 'train.csv'])
def test_passengers_from_a_file(tmp_path, name):
    (tmp_path/name).write_text(','.join(kaggle_columns) + ',more\n7,1,3,"Doe, J",male,,1,0,A1,7.25,,S,x\n')
    found = titanic_kaggle(tmp_path)
    assert found.shape == (1, 12) and found.Name[0] == 'Doe, J' and np.isnan(found.Age[0])


@pytest.mark.parametrize('text, words',
                         [('Name,Age\nx,1\n', 'no column PassengerId'), ('', 'cannot be read'),
                          ('"a', 'no column|cannot be read'), (','.join(kaggle_columns) + '\n', 'no rows')])
def test_a_file_that_is_none(tmp_path, text, words):
    (tmp_path/'titanic_train.csv').write_text(text)
    with pytest.raises(DataError, match=words) as e:
        titanic_kaggle(tmp_path)
    assert 'titanic_train.csv' in str(e.value) and 'remove the file' in str(e.value)


@pytest.mark.parametrize('many', [890, 892])
def test_another_number_of_rows_is_said(many, tmp_path):
    "A table that was cut off at the end of a line looks whole: the warning names the file, the rows and what to do."
    made_up(many).to_csv(tmp_path/'train.csv', index=False)
    with pytest.warns(UserWarning, match=f'train.csv: {many} rows.*891.*Put the original'):
        assert len(titanic_kaggle(tmp_path)) == len(passengers(tmp_path)) == many


def test_891_rows_are_no_news(tmp_path):
    made_up().to_csv(tmp_path/'train.csv', index=False)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert titanic_kaggle(tmp_path).equals(made_up())


def crowd(file, change=lambda rows: rows, sep=',', end='\n', encoding='utf-8', **how):
    "A made-up table of passengers in a file, changed."
    change(made_up(30, seed=1).astype(object)).to_csv(file, index=False, sep=sep, lineterminator=end, encoding=encoding,
                                                      **how)
    return made_up(30, seed=1)


@pytest.mark.parametrize('how', [
    dict(), dict(end='\r\n'), dict(end='\r'), dict(encoding='utf-8-sig'), dict(sep=';'), dict(sep='\t'),
    dict(quoting=1), dict(change=lambda rows: rows[rows.columns[::-1]]),
    dict(change=lambda rows: rows.rename(columns=str.upper)),
    dict(change=lambda rows: rows.rename(columns=lambda c: f' {c.lower()} ')),
    dict(change=lambda rows: rows.assign(boat='?', notes='a, "b"; c\nd')), dict(na_rep='NA'), dict(na_rep='  '),
    dict(na_rep='NULL'),
    dict(change=lambda rows: rows.assign(Sex=rows.Sex.str.upper(), Pclass=rows.Pclass.map('{}.0'.format),
                                         Embarked=rows.Embarked.str.lower(),
                                         Survived=rows.Survived.map(' {} '.format)))],
                         ids=lambda how: str(sorted(how)) if how else 'as it came')
def test_passengers_from_a_file_that_was_saved_again(how, tmp_path):
    "Line ends, marks, order, case, further columns and ways to write a gap: the same table comes back."
    true = crowd(tmp_path/'train.csv', **how)
    pd.testing.assert_frame_equal(titanic_kaggle(tmp_path), true)


def test_decimal_commas_blank_lines_and_old_encodings(tmp_path):
    true = crowd(tmp_path/'train.csv', sep=';',
                 change=lambda rows: rows.assign(Fare=rows.Fare.map(str).str.replace('.', ','),
                                                 Age=rows.Age.map(lambda a: '' if a != a
                                                                  else f'{a:.1f}'.replace('.', ','))))
    pd.testing.assert_frame_equal(titanic_kaggle(tmp_path), true)
    file = tmp_path/'train.csv'
    old = file.read_bytes().replace(b'Nobody, No. 3"', 'N\xf6body, No. 3"'.encode('cp1252'))
    file.write_bytes(b'\n\n' + old.replace(b'\n', b'\n;;;;;;;;;;;\n', 3) + b'\n\n')
    assert titanic_kaggle(tmp_path).Age.equals(true.Age)


@pytest.mark.parametrize('column, value, wanted', [
    ('Age', 'abc', "Age is 'abc'. It must be years, 0 to 120"), ('Age', -1, "Age is '-1'"), ('Age', 1e9, 'Age is'),
    ('Age', 'inf', "Age is 'inf'"), ('Age', '1_0', "Age is '1_0'"),
    ('Survived', 'yes', "Survived is 'yes'. It must be 0 or 1"), ('Survived', 2, "Survived is '2'"),
    ('Survived', None, 'Survived is empty'), ('Survived', .5, "Survived is '0.5'"),
    ('Survived', True, "Survived is 'True'"), ('Pclass', 4, "Pclass is '4'. It must be 1, 2 or 3"),
    ('Pclass', 'first', "Pclass is 'first'"), ('Pclass', ' ', 'Pclass is empty'),
    ('Fare', -3, "Fare is '-3'. It must be a number, 0 or more"),
    ('Fare', 'free', "Fare is 'free'"), ('Fare', 'inf', "Fare is 'inf'"), ('Fare', '7,25', "Fare is '7,25'"),
    ('Sex', 'man', "Sex is 'man'. It must be male or female"), ('Sex', None, 'Sex is empty'),
    ('SibSp', 1.5, "SibSp is '1.5'"), ('Parch', -1, "Parch is '-1'"),
    ('Embarked', 'X', "Embarked is 'X'. It must be S, C or Q"),
    ('PassengerId', None, 'PassengerId is empty'), ('PassengerId', 2, 'PassengerId 2 stands in line 3 already')])
def test_a_value_that_cannot_be_meant(column, value, wanted, tmp_path):
    "The message names file, line, column and value, and says what to do."
    def change(rows):
        rows.loc[6, column] = value
        return rows
    crowd(tmp_path/'train.csv', change)
    with pytest.raises(DataError) as e:
        titanic_kaggle(tmp_path)
    for words in (f'{tmp_path/"train.csv"}, line 8', wanted, 'Put the original train.csv'):
        assert words in str(e.value)


def test_the_line_is_the_files_own(tmp_path):
    "A cell over two lines and a blank line before it: the number is the one that an editor shows."
    file = tmp_path/'train.csv'
    crowd(file, lambda rows: rows.assign(Name=['two\nlines' if i == 1 else 'x' for i in range(30)],
                                         Fare=['bad' if i == 2 else 1 for i in range(30)]))
    file.write_text('\n' + file.read_text())
    with pytest.raises(DataError) as e:
        titanic_kaggle(tmp_path)
    n = int(str(e.value).split('line ')[1].split(':')[0])
    assert 'bad' in file.read_text().splitlines()[n - 1]


HEADING = ','.join(kaggle_columns)


@pytest.mark.parametrize('data, words', [
    (b'', 'it is empty'), (b'\n \n', 'it is empty'), (b'\xef\xbb\xbf', 'it is empty'),
    (b'PK\x03\x04\0\0', 'it is no text'), ('PassengerId'.encode('utf-16'), 'it is no text'),
    (b'<html>gone</html>', 'no column PassengerId'),
    (f'{HEADING},sex\n'.encode(), 'the column Sex stands there 2 times'),
    (','.join(c for c in kaggle_columns if c != 'Survived').encode(), 'test.csv'),
    (f'{HEADING}\n1,0,3,"Doe, J",male,22\n'.encode(), 'line 2: 6 cells under a heading of 12'),
    (f'{HEADING}\n1,0,3,Doe, J,male,22,1,0,A1,7.25,,S\n'.encode(), 'line 2: 13 cells'),
    (f'{HEADING}\n1,0,3,"Doe'.encode(), 'cannot be read as a table')])
def test_a_file_that_is_no_such_table(data, words, tmp_path):
    (tmp_path/'train.csv').write_bytes(data)
    with pytest.raises(DataError, match=words) as e:
        titanic_kaggle(tmp_path)
    assert str(tmp_path/'train.csv') in str(e.value) and 'remove the file' in str(e.value)


@pytest.mark.skipif(not (SHARED/'titanic_train.csv').is_file(),
                    reason='the 891 passengers (../shared/data) are not here')
def test_every_cell_is_as_pandas_reads_it():
    true = pd.read_csv(SHARED/'titanic_train.csv')
    pd.testing.assert_frame_equal(titanic_kaggle(SHARED), true.assign(Name=true.Name.str.strip()))


def test_made_up_passengers(tmp_path, capsys):
    crowd = made_up(500, seed=3)
    assert crowd.equals(made_up(500, seed=3)) and crowd.columns.tolist() == kaggle_columns and crowd.attrs['made_up']
    assert crowd.dtypes.astype(str).tolist() == ['int64', 'int64', 'int64', 'object', 'object', 'float64', 'int64',
                                                 'int64', 'object', 'float64', 'object', 'object']
    assert passengers(tmp_path).equals(made_up()) and 'made up' in capsys.readouterr().out
    crowd.to_csv(tmp_path/'titanic_train.csv', index=False)
    assert passengers(tmp_path).equals(crowd) and 'made up' not in capsys.readouterr().out
    (tmp_path/'titanic_train.csv').write_text('x')
    with pytest.raises(DataError, match='no column'):
        passengers(tmp_path) # a broken file is told, not passed over


def openml_frame():
    "Two rows as scikit-learn gives OpenML's table: categories, floats with gaps, and columns known only afterwards."
    return pd.DataFrame(dict(pclass=[1, 3], survived=pd.Categorical(['1', '0']), name=['Allen, Miss', 'Zimmer, Mr'],
                             sex=pd.Categorical(['female', 'male']), age=[29., np.nan], sibsp=[0, 1], parch=[0, 2],
                             ticket=['24160', 'A5'], fare=[211.3, np.nan], cabin=['B5', None],
                             embarked=pd.Categorical(['S', None]), boat=['2', None], body=[np.nan, 5.],
                             **{'home.dest': ['St Louis', None]}))


def test_passengers_from_openml_get_the_same_columns(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(sklearn.datasets, 'fetch_openml', lambda *args, **kwargs: asked.append((args, kwargs))
                        or sklearn.utils.Bunch(frame=openml_frame()))
    found = titanic_kaggle(tmp_path)
    assert asked[0][0] == ('titanic',) and asked[0][1]['data_home'] == str(tmp_path)
    assert found.columns.tolist() == kaggle_columns and found.PassengerId.tolist() == [1, 2]
    assert found.Survived.tolist() == [1, 0] and found.Survived.dtype.kind == 'i'
    assert found.Sex.tolist() == ['female', 'male']
    assert found.Cabin.isna().tolist() == [False, True] and found.Embarked.isna().tolist() == [False, True]
    assert found.Sex.dtype == object


def test_no_file_and_no_network_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*args, **kwargs): raise URLError('no network')
    monkeypatch.setattr(sklearn.datasets, 'fetch_openml', refuse)
    with pytest.raises(DataError) as e:
        titanic_kaggle(tmp_path)
    for words in (str(tmp_path), 'titanic_train.csv', 'no network', 'titanic()'):
        assert words in str(e.value)


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
