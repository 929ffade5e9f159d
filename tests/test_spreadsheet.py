"The spreadsheet twin: its numbers are torch's, it is alive, and a file that cannot be used says why."
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from openpyxl import Workbook, load_workbook
from openpyxl.formula.translate import Translator
from openpyxl.utils import get_column_letter as column
from openpyxl.worksheet.formula import ArrayFormula

from coursehelpers.base.files import DataError
from coursehelpers.tables.passengers import passengers
from coursehelpers.tables.twin import FEATURES, FIRST, packaged, read_twin
from coursehelpers.tabular import Features, hidden, linear, squashed, start, twin_inputs
from scripts import write_twin as writer
from scripts.write_twin import calculated, recalculate, write_twin

pytestmark = pytest.mark.xdist_group('office') # LibreOffice calculates on one worker

MODELS = {'linear': linear, 'sigmoid': squashed, 'hidden': hidden}
SHEETS = ['Read me', 'losses', 'people', 'linear', 'sigmoid', 'hidden', 'matrix',
          'linear_steps', 'sigmoid_steps', 'hidden_steps']


@pytest.fixture(scope='session')
def office():
    "Skip where there is no LibreOffice; on CI that is a failure."
    try:
        writer.find_office()
    except DataError as e:
        pytest.fail(str(e), pytrace=False) if os.environ.get('CI') else pytest.skip(str(e))


def given(n=12, skip=107, seed=3):
    "Arguments for `write_twin`: other people than the package's, gaps among their ages, and random weights."
    people = passengers()[skip:skip + n]
    g = torch.Generator().manual_seed(seed)
    flat = [torch.randn(6, generator=g).double() for _ in range(2)]
    models = dict(linear=(.3, flat[:1]), sigmoid=(2., flat[1:]), hidden=(1.5, start(6, 2, 1, seed=seed)))
    return dict(people=people, models=models)


def numbers(people):
    "Features and answers of people, as lesson 05 makes them."
    features = Features(['Sex', 'Pclass'], ['Age'], logs=['Fare']).fit(people)
    assert features.names == FEATURES
    return features.x(people), torch.tensor(people.Survived.to_numpy()).double()


def double(values):
    "Numbers as a float64 tensor: a workbook calculates in 64 bits."
    return torch.tensor(values, dtype=torch.float64)


def descend(model, params, x, y, lr, steps):
    "Loss, share of wrong answers, weights and slopes before each step, by autograd."
    params, seen = [p.detach().clone().requires_grad_() for p in params], []
    for _ in range(steps + 1):
        p = model(x, *params)
        loss = ((p - y)**2).mean()
        slopes = torch.autograd.grad(loss, params)
        wrong = ((p > .5) != (y > .5)).double().mean()
        seen.append([loss.detach(), wrong, *(p.detach().clone() for p in params), *slopes])
        with torch.no_grad():
            for p, slope in zip(params, slopes):
                p -= lr * slope
    return [torch.stack(one) for one in zip(*seen)]


def differences(twin, people, models):
    "The largest differences between a workbook and torch: of the people, and of all that each model holds."
    x, y = numbers(people)
    found = {'people': max((twin.x - x).abs().max().item(), (twin.y - y).abs().max().item())}
    for name, (lr, params) in models.items():
        sheet = twin.models[name]
        ours = [double(lr), *descend(MODELS[name], params, x, y, lr, twin.steps)]
        theirs = [double(sheet.lr), sheet.loss, sheet.wrong, *sheet.weights, *sheet.slopes]
        assert [a.shape for a in ours] == [b.shape for b in theirs]
        found[name] = max((a - b).abs().max().item() for a, b in zip(ours, theirs))
    assert list(found) == ['people', *MODELS]
    return found


def worst(twin, people, models): return max(differences(twin, people, models).values())


def changed(book, to, **cells):
    "A copy of a workbook with other things in some cells: sheet_A1=value. The book stays as it is."
    places = {name: book[name.rsplit('_', 1)[0]][name.rsplit('_', 1)[1]] for name in cells}
    old = {name: cell.value for name, cell in places.items()}
    for name, cell in places.items():
        cell.value = cells[name]
    book.save(to)
    for name, cell in places.items():
        cell.value = old[name]
    return to


def one_step_more(book, to):
    "A copy in which the last block of each sheet of steps was copied to the right; so it is in the book from here on."
    for name, width in (('linear_steps', 2), ('sigmoid_steps', 2), ('hidden_steps', 4)):
        sheet = book[name]
        first = sheet.max_column - width + 1
        for row in sheet.iter_rows(2, sheet.max_row, first, sheet.max_column):
            for cell in row:
                place, value = f'{column(cell.column + width)}{cell.row}', cell.value
                if isinstance(value, str):
                    value = Translator(value, cell.coordinate).translate_formula(place)
                sheet[place] = value
    book.save(to)
    return to


# {file: {what must notice it: the cells that are wrong}}
MISTAKES = {'first': {'linear': dict(linear_steps_D6='=B6+linear!$B$4*B14'),
                      'sigmoid': dict(sigmoid_steps_C22='=2*(B22-people!$N11)/people!$B$3'),
                      'hidden': dict(hidden_steps_B33='=MMULT(people!$H22:$M22,B$6:B$11)')},
            'second': {'linear': dict(linear_steps_B4='=0'),
                       'hidden': dict(hidden_steps_B14='=SUMPRODUCT(people!$H$11:$H$22*E$22:E$33*(B$22:B$33>0))')},
            'third': {'people': dict(people_H12='=1-IF(B12="female",1,0)')}}


@pytest.fixture(scope='session')
def books(office, tmp_path_factory):
    "{name: a workbook of 12 people and 3 steps as LibreOffice calculated and saved it}, all in one go."
    folder = tmp_path_factory.mktemp('books')
    file = write_twin(folder/'small.xlsx', **given(), steps=3)
    book = load_workbook(file)
    files = [file, changed(book, folder/'rate.xlsx', sigmoid_B4=.07, linear_B3=1, sigmoid_B3=0, hidden_B3=2),
             changed(book, folder/'person.xlsx', people_B13='male', people_C14=2, people_D16=None, people_E17=80,
                     people_N18=1, hidden_steps_D12=-1.5),
             changed(book, folder/'large.xlsx', sigmoid_steps_B11=-1000)]
    files += [changed(book, folder/f'{name}.xlsx', **{cell: value for cells in mistakes.values()
                                                      for cell, value in cells.items()})
              for name, mistakes in MISTAKES.items()]
    files.append(one_step_more(book, folder/'more.xlsx'))
    return {made.stem: made for made in calculated(files, folder/'out')} | {'written': file}


@pytest.fixture(scope='session')
def shipped():
    "The package's workbook: what it says, its values and its formulas."
    return read_twin(), load_workbook(packaged(), data_only=True), load_workbook(packaged())


@pytest.fixture(scope='session')
def values(books):
    "The small workbook, values in place of formulas."
    return load_workbook(books['small'], data_only=True)


# The package's workbook

def test_the_packaged_numbers_are_torchs(shipped):
    "Cell by cell: features, and every loss, weight and slope of three models and 20 steps."
    twin, inputs = shipped[0], twin_inputs()
    assert twin.steps == 20 and len(twin.x) == 60 and torch.equal(twin.y, inputs['y'])
    assert torch.allclose(twin.x, inputs['x'], rtol=0, atol=1e-12)
    assert worst(twin, inputs['people'], inputs['models']) < 1e-9


def test_each_model_learns(shipped):
    "Far below one guess for all; and the losses only fall."
    twin, guess = shipped[0], shipped[0].y.var(unbiased=False)
    for model in twin.models.values():
        assert model.loss[-1] < .65 * guess and model.wrong[-1] < .5 * twin.y.mean()
        assert (model.loss.diff() < 0).all()


def column_of(sheet, head, rows, nth=0):
    "The numbers below a head; the nth of that name."
    heads = [cell.column for cell in sheet[FIRST - 1] if cell.value == head]
    return [sheet.cell(row, heads[nth]).value for row in rows]


def is_(sheet, head, wanted, nth=0):
    "Does a column of a sheet hold these numbers?"
    found = double(column_of(sheet, head, range(FIRST, FIRST + len(wanted)), nth))
    return torch.allclose(found, wanted, rtol=0, atol=1e-12)


def shows(book, twin, at):
    "Do the sheets of the models show these steps of what the sheets of steps hold, person by person?"
    x, y = twin.x, twin.y
    for name, step in at.items():
        sheet, model = book[name], twin.models[name]
        params, slopes = ([w[step] for w in of] for of in (model.weights, model.slopes))
        p = MODELS[name](x, *params)
        assert is_(sheet, 'prediction', p) and is_(sheet, 'error', p - y) and is_(sheet, 'lived', y)
        assert all(is_(sheet, head, x[:, i]) for i, head in enumerate(FEATURES))
        marks = column_of(sheet, 'wrong?', range(FIRST, FIRST + len(y)))
        assert [mark == 'wrong' for mark in marks] == ((p > .5) != (y > .5)).tolist()
        for j, (w, slope) in enumerate(zip(params[0].reshape(6, -1).T, slopes[0].reshape(6, -1).T)):
            assert all(is_(sheet, f'{head} ×', x[:, i] * w[i], j) for i, head in enumerate(FEATURES))
            rows = [[sheet[f'{c}{3 + j + 2 * k}'].value for c in 'FGHIJK'] for k in range(3)]
            expected = torch.stack([w, slope, w - model.lr * slope])
            assert torch.allclose(double(rows), expected, rtol=0, atol=1e-12)
        assert abs(sheet['B5'].value - model.loss[step]) < 1e-12 and abs(sheet['B6'].value - model.wrong[step]) < 1e-12
    return True


def matrix_agrees(book, twin, step):
    "Is the sheet `matrix` the hidden layer at that step?"
    (w1, w2, b), sheet = (w[step] for w in twin.models['hidden'].weights), book['matrix']
    h = torch.relu(twin.x @ w1)
    assert is_(sheet, 'sum 1', twin.x @ w1[:, 0]) and is_(sheet, 'unit 2', h[:, 1]) and is_(sheet, 'sum', h @ w2 + b)
    assert is_(sheet, 'prediction', torch.sigmoid(h @ w2 + b)) and abs(sheet['K7'].value) < 1e-20
    s1, s2, s3 = (s[step] for s in twin.models['hidden'].slopes)
    found = [[sheet[f'{c}{r}'].value for c in 'IJ'] for r in range(3, 9)]
    assert torch.allclose(double(found), s1, rtol=0, atol=1e-12)
    found = [sheet[c].value for c in ('H3', 'H4', 'H6')]
    return torch.allclose(double(found), torch.stack([*s2, s3]), rtol=0, atol=1e-12)


def test_the_packaged_sheets_show_the_last_step(shipped):
    twin, book, _ = shipped
    assert shows(book, twin, dict.fromkeys(MODELS, 20)) and matrix_agrees(book, twin, 20)
    losses = book['losses']
    found = double([[losses.cell(6 + s, c).value for c in (2, 3, 4, 6, 7, 8)] for s in range(21)])
    models = twin.models.values()
    assert torch.equal(found, torch.stack([*(m.loss for m in models), *(m.wrong for m in models)], 1))
    assert losses['B28'].value == pytest.approx(twin.y.var(unbiased=False).item())
    assert losses['F28'].value == pytest.approx(twin.y.mean().item())


def held(cell):
    "What stands in a cell: an array formula as its range and text."
    return (cell.value.ref, cell.value.text) if isinstance(cell.value, ArrayFormula) else cell.value


def test_the_packaged_file_is_what_is_written_today(shipped, tmp_path):
    "The same formulas, inputs and looks, cell by cell. Otherwise: python -m scripts.write_twin."
    now, then = load_workbook(write_twin(tmp_path/'now.xlsx', **twin_inputs())), shipped[2]
    assert now.sheetnames == then.sheetnames == SHEETS
    for name in SHEETS:
        arrays = [cell.value.ref for row in now[name].iter_rows() for cell in row
                  if isinstance(cell.value, ArrayFormula)]
        inside = {cell.coordinate for ref in arrays for row in now[name][ref] for cell in row}
        inside -= {ref.split(':')[0] for ref in arrays} # their values come from LibreOffice
        assert now[name].dimensions == then[name].dimensions and now[name].freeze_panes == then[name].freeze_panes
        other = [a.coordinate for row in now[name].iter_rows() for a in row
                 if a.coordinate not in inside and held(a) != held(then[name][a.coordinate])]
        assert not other, (name, other[:5])


@pytest.mark.long
def test_calculated_afresh_nothing_moves(office, shipped, tmp_path):
    "All values, those of every person too; and the bytes are the same every time."
    first, second = (recalculate(write_twin(tmp_path/f'{name}.xlsx', **twin_inputs())) for name in 'ab')
    assert first.read_bytes() == second.read_bytes()
    again, (_, then, _), compared = load_workbook(first, data_only=True), shipped, 0
    for sheet in then:
        for row in sheet.iter_rows():
            for cell in row:
                now = again[sheet.title][cell.coordinate].value
                compared += isinstance(now, float)
                assert now == cell.value or abs(now - cell.value) < 1e-12, (sheet.title, cell.coordinate)
    assert compared > 10_000


@pytest.fixture(scope='session')
def parts():
    "{name: bytes} of the packaged zip."
    with zipfile.ZipFile(packaged()) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {2020}
        return {name: archive.read(name) for name in archive.namelist()}


def test_nothing_is_hidden(parts, shipped):
    "No macro, link, volatile or unknown function, hidden sheet, row or column; no clock, no user; small."
    kinds = (r'\[Content_Types\].xml|_rels/.rels|docProps/(app|core).xml|xl/.*\.rels|'
             r'xl/(workbook|styles|sharedStrings|theme/theme1|worksheets/sheet\d+|charts/chart1|drawings/drawing1).xml')
    assert not [name for name in parts if not re.fullmatch(kinds, name)]
    text = ' '.join(data.decode() for data in parts.values())
    formulas = {str(getattr(cell.value, 'text', cell.value)) for sheet in shipped[2] for row in sheet.iter_rows()
                for cell in row if cell.data_type == 'f'}
    assert {f for formula in formulas for f in re.findall(r'([A-Z][A-Z0-9.]*)\(', formula)} == set(writer.FUNCTIONS)
    assert not re.search(r'hidden="1"|state="\w*[hH]idden"|TargetMode="External"|file://|<cp:lastModifiedBy', text)
    machine = {'/home/', '/root/', f'{tempfile.gettempdir()}/',
               *(f'{p}/' for p in Path(__file__).resolve().parents if len(p.parts) > 1)}
    assert not [place for place in machine if place in text]
    assert set(re.findall(r'\d{4}-\d\d-\d\dT[\d:]+Z', parts['docProps/core.xml'].decode())) == {'2020-01-01T00:00:00Z'}
    assert packaged().stat().st_size < 300_000


def test_array_formulas_only_for_matrix_products(shipped):
    "A person who clicks elsewhere finds a plain formula."
    for sheet in shipped[2]:
        arrays = sum(isinstance(cell.value, ArrayFormula) for row in sheet.iter_rows() for cell in row)
        assert arrays == (8 if sheet.title == 'matrix' else 0)


def test_the_chart_shows_the_losses(parts):
    chart = parts['xl/charts/chart1.xml'].decode()
    found = re.findall(r"<(?:\w+:)?f>([^<]+)</", chart)
    assert found == [f for c in 'BCD' for f in (f"'losses'!{c}5", "'losses'!$A$6:$A$26", f"'losses'!${c}$6:${c}$26")]
    assert chart.count('delete val="0"') == 2
    assert all(f'<a:t>{t}</a:t>' in chart for t in ('Loss, step by step', 'step', 'mean squared error'))


# It is alive

def test_other_people_and_weights(books):
    twin = read_twin(books['small'])
    assert twin.steps == 3 and worst(twin, **given()) < 1e-9
    assert given()['people'].Age.isna().any()


def test_the_step_that_is_typed_is_shown(books):
    book, twin = load_workbook(books['rate'], data_only=True), read_twin(books['rate'])
    assert shows(book, twin, dict(linear=1, sigmoid=0, hidden=2)) and matrix_agrees(book, twin, 2)


def test_another_rate_and_other_people_typed_over(books):
    "As a learner does it: all follows, means and medians too."
    args = given()
    args['models']['sigmoid'] = (.07, args['models']['sigmoid'][1])
    twin = read_twin(books['rate'])
    assert worst(twin, **args) < 1e-9 < worst(twin, **given())
    args = given()
    people = args['people'] = args['people'].reset_index(drop=True)
    for row, name, value in ((2, 'Sex', 'male'), (3, 'Pclass', 2), (5, 'Age', None), (6, 'Fare', 80.),
                             (7, 'Survived', 1)):
        people.loc[row, name] = value
    args['models']['hidden'][1][2].fill_(-1.5)
    twin = read_twin(books['person'])
    assert worst(twin, **args) < 1e-9 < worst(twin, **given())


@pytest.mark.parametrize('file', MISTAKES)
def test_a_planted_mistake_is_noticed(books, file):
    "Where it was planted; the models without one still agree, if the people do."
    found = differences(read_twin(books[file]), **given())
    assert all(found[name] > 1e-6 for name in MISTAKES[file]), found
    assert file == 'third' or all(found[name] < 1e-9 for name in found.keys() - MISTAKES[file].keys()), found


def test_a_block_copied_to_the_right_is_one_more_step(books):
    "As the first sheet promises."
    twin = read_twin(books['more'])
    assert twin.steps == 4 and worst(twin, **given()) < 1e-9


def test_what_the_first_sheet_says_is_so(shipped):
    "The weight of the sex moves furthest; at rate 1 the line goes wild, the sigmoid does not; all is where it says."
    twin, _, book = shipped
    assert twin.models['linear'].weights[0][2].abs().argmax() == FEATURES.index('Sex_female')
    zeros = torch.zeros(6).double()
    wild, tame = (descend(model, [zeros], twin.x, twin.y, 1, 20)[0] for model in (linear, squashed))
    assert wild[-1] > 1e6 and (tame.diff() < 0).all()
    for sheet, cell, formula in (('linear', 'L11', '=F11*F$3'), ('linear', 'R11', '=SUM(L11:Q11)'),
                                 ('linear', 'F7', '=F3-$B$4*F5'), ('sigmoid', 'S11', '=1/(1+EXP(-R11))'),
                                 ('hidden', 'X11', '=MAX(0,SUM(L11:Q11))'),
                                 ('linear_steps', 'D6', '=B6-linear!$B$4*B14')):
        assert book[sheet][cell].value == formula
    for name in MODELS:
        assert [book[name][f'A{row}'].value for row in (3, 4)] == ['step shown', 'learning rate']
        assert book[name]['B3'].fill.fgColor.rgb == '00DDEBF7'
    words = ' '.join(str(row[0].value) for row in book['Read me'].iter_rows())
    assert all(name in words for name in SHEETS[1:])


def test_saved_by_libreoffice_the_looks_stay(books):
    "A learner opens it, saves it, opens it again."
    book = load_workbook(books['small'])
    assert book.sheetnames == SHEETS
    assert len(book['losses']._charts) == 1 and len(book['losses']._charts[0].series) == 3
    assert book['linear']['B3'].fill.fgColor.rgb == 'FFDDEBF7' and book['linear']['F3'].number_format == '0.000'


# What cannot be used says why

def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match='there is no folder'):
        write_twin(tmp_path/'gone'/'a.xlsx', **given(), steps=1)
    with pytest.raises(DataError, match='there is no such file'):
        read_twin(tmp_path/'gone.xlsx')


def test_never_calculated(books):
    with pytest.raises(DataError, match='small.xlsx: it was written, but never calculated.*save it'):
        read_twin(books['written'])


def test_files_that_are_something_else(tmp_path):
    (tmp_path/'text.xlsx').write_text('step,loss\n')
    (tmp_path/'cut.xlsx').write_bytes(packaged().read_bytes()[:5000])
    rotten = bytearray(packaged().read_bytes())
    rotten[3000:3100] = bytes(100)
    (tmp_path/'rotten.xlsx').write_bytes(rotten)
    with zipfile.ZipFile(tmp_path/'zip.xlsx', 'w') as z:
        z.writestr('a.txt', 'a')
    for name in ('text', 'cut', 'rotten'):
        with pytest.raises(DataError, match=f'{name}.xlsx: this is no .xlsx file, or it was cut off'):
            read_twin(tmp_path/f'{name}.xlsx')
    Workbook().save(tmp_path/'other.xlsx')
    for name in ('zip', 'other'):
        with pytest.raises(DataError, match='not a workbook made by write_twin'):
            read_twin(tmp_path/f'{name}.xlsx')


@pytest.mark.parametrize('sheet, cell, value, words', [
    ('people', 'K20', 'unknown', "sheet people, cell K20: 'unknown' stands where a number belongs"),
    ('linear', 'B4', None, 'sheet linear, cell B4: nothing stands'),
    ('people', 'N22', None, 'sheet people, cell N22: nothing'),
    ('linear_steps', 'D7', '#DIV/0!', "sheet linear_steps, cell D7: '#DIV/0!' stands"),
    ('hidden_steps', 'H3', None, 'sheet hidden_steps, cell H3: nothing'),
    ('hidden_steps', 'F14', True, 'cell F14: True stands'),
    ('hidden_steps', 'F14', None, 'sheet hidden_steps, cell F14: nothing stands'), ('linear', 'L11', None, '')])
def test_a_broken_cell_is_named(values, tmp_path, sheet, cell, value, words):
    "Where a number is read; other cells may hold what they like."
    changed(values, tmp_path/'a.xlsx', **{f'{sheet}_{cell}': value})
    if not words: assert read_twin(tmp_path/'a.xlsx').steps == 3
    else:
        with pytest.raises(DataError, match=re.escape(words)):
            read_twin(tmp_path/'a.xlsx')


def test_a_sheet_that_is_missing(books, tmp_path):
    book = load_workbook(books['small'], data_only=True)
    del book['hidden_steps']
    book.save(tmp_path/'less.xlsx')
    with pytest.raises(DataError, match='not a workbook made by write_twin'):
        read_twin(tmp_path/'less.xlsx')


def test_a_score_too_large_is_named(books):
    "The sigmoid of -1,000 needs EXP(1000), which no spreadsheet has."
    with pytest.raises(DataError, match="sheet sigmoid_steps, cell B3: '#"):
        read_twin(books['large'])


def test_without_libreoffice(tmp_path, monkeypatch):
    copy = Path(shutil.copy(packaged(), tmp_path/'a.xlsx'))
    with monkeypatch.context() as m:
        m.setenv('PATH', str(tmp_path))
        with pytest.raises(DataError,
                           match='LibreOffice is not here.*open the file in a spreadsheet program and save it'):
            recalculate(copy)
    (tmp_path/'soffice').write_text('#!/bin/sh\necho "no display"\nexit 1\n')
    (tmp_path/'soffice').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    with pytest.raises(DataError, match='LibreOffice calculated nothing: no display'):
        recalculate(copy)
    (tmp_path/'soffice').write_text('#!/bin/sh\nsleep 77.125 & wait\n')
    with pytest.raises(DataError, match='not done after 0.3 seconds'):
        recalculate(copy, seconds=.3)
    assert '77.125' not in subprocess.run(['ps', 'ax'], capture_output=True, text=True).stdout
    assert copy.read_bytes() == packaged().read_bytes()


def test_a_full_disk_leaves_the_old_file(office, tmp_path, monkeypatch):
    file = write_twin(tmp_path/'a.xlsx', **given(2), steps=1)
    old = file.read_bytes()
    def full(*args, **kwargs): raise OSError('No space left on device')
    monkeypatch.setattr(writer, 'calculated', lambda *args: [file])
    monkeypatch.setattr(writer.zipfile.ZipFile, 'writestr', full)
    with pytest.raises(OSError, match='No space'):
        recalculate(file)
    assert [p.name for p in tmp_path.iterdir()] == ['a.xlsx'] and file.read_bytes() == old
