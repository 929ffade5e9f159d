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

from coursehelpers.base.files import DataError
from coursehelpers.tables.twin import packaged, read_twin
from scripts import write_twin as writer
from scripts.write_twin import recalculate, write_twin

pytestmark = pytest.mark.xdist_group('office') # LibreOffice calculates on one worker

# in LibreOffice 7.4, Google Sheets and Excel alike
KNOWN = {'SUM', 'SUMSQ', 'SUMPRODUCT', 'SUMXMY2', 'EXP', 'MAX', 'MIN', 'AVERAGE', 'COUNT'}


@pytest.fixture(scope='session')
def office():
    "Skip where there is no LibreOffice; on CI that is a failure."
    try:
        writer.find_office()
    except DataError as e:
        pytest.fail(str(e), pytrace=False) if os.environ.get('CI') else pytest.skip(str(e))


def start(n=30, d=4, k=2, seed=3, **other):
    "Arguments for `write_twin`: random people; with this seed one unit speaks for all of them, the other for some."
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, d, generator=g).round(decimals=2).double()
    x[:, -1] = 1
    y = (torch.rand(n, generator=g) < .4).double()
    w, w1, w2, b = (torch.randn(shape, generator=g).double() for shape in ((d,), (d, k), (k,), ()))
    return {**dict(x=x, y=y, names=[*(f'f{i}' for i in range(d - 1)), 'one'], lr=.3, w=w, w1=w1, w2=w2, b=b), **other}


def descend(forward, params, y, lr, steps):
    "Losses, weights and gradients before each step, by autograd."
    params, seen = [p.detach().double().clone().requires_grad_() for p in params], []
    for _ in range(steps + 1):
        loss = ((forward(*params) - y)**2).mean()
        grads = torch.autograd.grad(loss, params)
        seen.append([loss.detach(), *(p.detach().clone() for p in params), *grads])
        with torch.no_grad():
            for p, g in zip(params, grads):
                p -= lr * g
    return [torch.stack(one) for one in zip(*seen)]


def worst(twin, x, y, lr, w, w1, w2, b, **_):
    "The largest difference between a workbook and torch: every loss, weight and gradient of both models."
    linear = descend(lambda w: x @ w, [w], y, lr, twin.steps)
    hidden = descend(lambda w1, w2, b: torch.sigmoid(torch.relu(x @ w1) @ w2 + b), [w1, w2, b], y, lr, twin.steps)
    pairs = [*zip(linear, map(vars(twin.linear).get, ('loss', 'w', 'w_grad'))),
             *zip(hidden, map(vars(twin.hidden).get, ('loss', 'w1', 'w2', 'b', 'w1_grad', 'w2_grad', 'b_grad')))]
    assert all(a.shape == b.shape and b.dtype == torch.float64 for a, b in pairs) and len(pairs) == 10
    return max((a - b).abs().max().item() for a, b in pairs)


@pytest.fixture(scope='session')
def small(office, tmp_path_factory):
    "A calculated workbook of 30 people and 5 steps, and what it was made of."
    args = start()
    return recalculate(write_twin(tmp_path_factory.mktemp('small')/'small.xlsx', **args, steps=5)), args


@pytest.fixture(scope='session')
def committed():
    "What lesson 05 starts from, and what the package's workbook says of it."
    from coursehelpers.tabular import twin_inputs
    return twin_inputs(), read_twin()


def changed(file, to, **cells):
    """A copy of a workbook with other things in some cells: sheet_A1=value. Its values are gone, as openpyxl leaves
    them."""
    book = load_workbook(file)
    for name, value in cells.items():
        book[name.split('_')[0]][name.split('_')[1]] = value
    book.save(to)
    return to


def patched(file, to, sheet, cell, now):
    "A copy of a workbook in which one cell's XML ends otherwise; all else stays, values too."
    parts = writer.unpack(file)
    part = writer.sheet_parts(parts)[sheet]
    parts[part] = re.sub(rf'(<c r="{cell}")[^>]*?(?:/>|>.*?</c>)', rf'\1{now}', parts[part].decode(), count=1).encode()
    return writer.pack(parts, to)


def contents(file):
    "{sheet: {cell: formula, or number}}: where a formula is shared its number stands for it."
    parts = writer.unpack(file)
    cell = re.compile(r'<c r="(\w+)"[^>]*?(?:/>|>(.*?)</c>)')
    return {name: {m[1]: re.sub(r'(</f>|<f[^>]*/>)<v.*', r'\1', m[2] or '')
                   for m in cell.finditer(parts[part].decode())} for name, part in writer.sheet_parts(parts).items()}


def numbers(file):
    "{(sheet, cell): what LibreOffice calculated}."
    parts = writer.unpack(file)
    return {(name, cell): float(v) for name, part in writer.sheet_parts(parts).items()
            for cell, (_, v) in writer.formula_values(parts[part]).items()}


# The package's workbook

def test_the_packaged_numbers_are_torchs(committed):
    "Cell by cell: every loss, weight and gradient, both models, 20 steps, all 1,761 people."
    args, twin = committed
    assert twin.steps == 20 and twin.names == args['names'] and twin.lr == args['lr']
    assert torch.equal(twin.x, args['x']) and torch.equal(twin.y, args['y']) and len(twin.x) == 1761
    assert worst(twin, **args) < 1e-9
    assert twin.linear.loss[-1] < .6 * twin.linear.loss[0] and twin.hidden.loss[-1] < .9 * twin.hidden.loss[0]


def test_the_packaged_people_are_torchs(committed):
    "Each prediction, error, unit and slope of each person, in the last block."
    args, twin = committed
    found, t = numbers(packaged()), twin.hidden
    rows = range(22, 22 + len(twin.x))
    def is_(sheet, c, wanted):
        shown = torch.tensor([found[sheet, f'{column(c)}{r}'] for r in rows]).double()
        return torch.allclose(shown, wanted, rtol=0, atol=1e-6)
    preds, h = twin.x @ twin.linear.w[-1], torch.relu(twin.x @ t.w1[-1])
    p = torch.sigmoid(h @ t.w2[-1] + t.b[-1])
    assert is_('linear', 42, preds) and is_('linear', 43, preds - twin.y)
    assert is_('hidden', 82, h[:, 0]) and is_('hidden', 83, h[:, 1]) and is_('hidden', 84, p)
    assert is_('hidden', 85, (p - twin.y) * p * (1 - p))
    assert [found['loss', f'{c}{7 + s}'] for c in 'BC'
            for s in (0, 20)] == [m.loss[s].item() for m in (twin.linear, twin.hidden) for s in (0, 20)]


def test_the_packaged_file_is_what_is_written_today(committed, tmp_path):
    "The same formulas and inputs, cell by cell. Otherwise: recalculate(write_twin(packaged(), **twin_inputs()))."
    now, then = contents(write_twin(tmp_path/'now.xlsx', **committed[0])), contents(packaged())
    assert list(now) == list(then) == ['Read me', 'loss', 'people', 'linear', 'hidden']
    for sheet in now:
        other = [c for c in now[sheet].keys() | then[sheet].keys() if now[sheet].get(c) != then[sheet].get(c)]
        assert not other, (sheet, other[:3], [now[sheet].get(c) for c in other[:3]])


@pytest.mark.long
def test_calculated_afresh_nothing_moves(office, committed, tmp_path):
    "All values, those of every person too."
    now, then = numbers(recalculate(packaged(), tmp_path/'again.xlsx')), numbers(packaged())
    assert now.keys() == then.keys() and len(then) > 220_000
    assert max(abs(now[c] - then[c]) for c in now) < 1e-12


@pytest.fixture(params=['packaged', 'written now'])
def either(request, tmp_path):
    "The package's workbook, and one written now that has as many steps."
    return packaged() if request.param == 'packaged' else write_twin(tmp_path/'now.xlsx', **start())


def test_nothing_is_hidden(either):
    """No macro, link, array formula, volatile or unknown function, hidden sheet, row or column; no clock, no user;
    small."""
    parts = writer.unpack(either)
    kinds = (r'\[Content_Types\].xml|_rels/.rels|docProps/(app|core).xml|xl/.*\.rels|'
             r'xl/(workbook|styles|theme/theme1|worksheets/sheet\d|charts/chart1|drawings/drawing1).xml')
    assert not [name for name in parts if not re.fullmatch(kinds, name)]
    text = ' '.join(data.decode() for data in parts.values())
    used = {f for formula in set(re.findall(r'<f[^>]*>([^<]+)</f>', text))
            for f in re.findall(r'([A-Z][A-Z0-9.]*)\(', formula)}
    assert used == KNOWN
    assert not re.search(r't="array"|hidden="1"|state="\w*[hH]idden"|TargetMode="External"|file://|<cp:lastModifiedBy',
                         text)
    machine = {'/home/', '/root/', f'{tempfile.gettempdir()}/',
               *(f'{p}/' for p in Path(__file__).resolve().parents if len(p.parts) > 1)}
    assert not [place for place in machine if place in text]
    core = parts['docProps/core.xml'].decode()
    assert set(re.findall(r'\d{4}-\d\d-\d\dT[\d:]+Z', core)) == {'2020-01-01T00:00:00Z'}
    assert '<dc:creator>coursehelpers</dc:creator>' in core
    assert either.stat().st_size < 2e6
    with zipfile.ZipFile(either) as z:
        assert {i.date_time[0] for i in z.infolist()} == {2020}


def test_the_chart_shows_both_losses(either):
    chart = writer.unpack(either)['xl/charts/chart1.xml'].decode()
    assert re.findall(r"<(?:\w+:)?f>([^<]+)</", chart) == ["'loss'!B6", "'loss'!$A$7:$A$27", "'loss'!$B$7:$B$27",
                                                           "'loss'!C6", "'loss'!$A$7:$A$27", "'loss'!$C$7:$C$27"]
    assert chart.count('delete val="0"') == 2
    assert all(f'<a:t>{t}</a:t>' in chart for t in ('Loss, step by step', 'step', 'loss (mean squared error)'))


# It is alive

@pytest.mark.long
def test_small_twins_of_any_shape(office, tmp_path):
    for n, d, k, steps in ((1, 1, 1, 1), (7, 9, 3, 25)):
        args = start(n, d, k, seed=n)
        assert worst(read_twin(recalculate(write_twin(tmp_path/'a.xlsx', **args, steps=steps))), **args) < 1e-9


def test_another_learning_rate_and_another_person(small, tmp_path):
    "Typed over as a learner does it: all follows."
    file, args = small
    assert worst(read_twin(file), **args) < 1e-9
    # the old values still stand in it
    twin = read_twin(recalculate(patched(file, tmp_path/'lr.xlsx', 'loss', 'B3', '><v>0.07</v></c>')))
    assert twin.lr == .07 and worst(twin, **{**args, 'lr': .07}) < 1e-9 < worst(twin, **args)
    x, y, b = args['x'].clone(), args['y'].clone(), torch.tensor(-1.5)
    x[3, 1], y[4] = 9, 1 - y[4]
    twin = read_twin(recalculate(changed(file, tmp_path/'x.xlsx', people_C21=9, people_F22=y[4].item(),
                                         hidden_D10=-1.5)))
    assert torch.allclose(twin.x, x, rtol=0, atol=1e-15) and torch.equal(twin.y, y)
    assert worst(twin, **{**args, 'x': x, 'y': y, 'b': b}) < 1e-9


@pytest.mark.parametrize('cell, formula',
                         [('hidden_B12', '=SUMPRODUCT(people!B$18:B$47*E$18:E$47*(B$18:B$47>0))/n_people'),
                          *(pytest.param(*mistake, marks=pytest.mark.long)
                            for mistake in (('linear_D6', '=B6+lr*B12'), ('hidden_H20', '=1/(1+EXP(-F20))')))])
def test_a_planted_mistake_is_noticed(small, tmp_path, cell, formula):
    file, args = small
    assert worst(read_twin(recalculate(changed(file, tmp_path/'bad.xlsx', **{cell: formula}))), **args) > 1e-6


def test_a_block_copied_to_the_right_is_one_more_step(small, tmp_path):
    "As the first sheet promises."
    file, args = small
    book = load_workbook(file)
    for name, width in (('linear', 2), ('hidden', 4)):
        sheet, first = book[name], 2 + 5 * width
        for row in sheet.iter_rows(2, sheet.max_row, first, first + width - 1):
            for cell in row:
                to = f'{column(cell.column + width)}{cell.row}'
                sheet[to] = cell.value
                if isinstance(cell.value, str):
                    sheet[to] = Translator(cell.value, cell.coordinate).translate_formula(to)
    book['loss']['A13'], book['loss']['B13'], book['loss']['C13'] = 6, '=linear!N3', '=hidden!Z3'
    book.save(tmp_path/'more.xlsx')
    twin = read_twin(recalculate(tmp_path/'more.xlsx'))
    assert twin.steps == 6 and worst(twin, **args) < 1e-9


def test_what_the_first_sheet_says_is_so(committed, small, tmp_path):
    "Learning rate 1: linear goes up first. Weights of 0: only the bias moves. The cells it names say what it says."
    args, _ = committed
    def rises(loss):
        return bool((loss.diff() > 0).any())
    for lr in (.05, .5, 1, 2):
        linear = descend(lambda w: args['x'] @ w, [args['w']], args['y'], lr, 20)[0]
        hidden = descend(lambda w1, w2, b: torch.sigmoid(torch.relu(args['x'] @ w1) @ w2 + b),
                         [args['w1'], args['w2'], args['b']], args['y'], lr, 20)[0]
        assert rises(linear) == (lr >= 1) and not rises(hidden)
    zeros = {f'hidden_{c}{r}': 0 for c in 'BC' for r in (6, 7, 8, 9, 10)} | {'hidden_D10': 0}
    twin = read_twin(recalculate(changed(small[0], tmp_path/'zero.xlsx', **zeros)))
    assert not twin.hidden.w1.any() and not twin.hidden.w2.any() and twin.hidden.b.diff().all()
    words, cells = ' '.join(contents(packaged())['Read me'].values()), contents(packaged())
    for sheet, cell, said, formula in (('linear', 'B22', 'Prediction, B22', 'people!$B22*B$6'),
                                       ('linear', 'C22', 'Error, C22', 'B22-people!$H22'),
                                       ('linear', 'B3', 'Loss, B3', 'SUMSQ'),
                                       ('linear', 'B14', 'Gradient, B14', 'SUMPRODUCT'),
                                       ('linear', 'D6', '=B6-lr*B14', '<f>B6-lr*B14</f>'),
                                       ('hidden', 'B22', 'A unit, B22', 'MAX(0'),
                                       ('hidden', 'D22', 'Prediction, D22', 'EXP'),
                                       ('hidden', 'E22', '3. E22', '*(1-D22)'),
                                       ('hidden', 'D20', 'D20 sums that column', '2*SUM(E$22:E$1782)'),
                                       ('hidden', 'B20', 'B20 sums it times what the unit says',
                                        'SUMPRODUCT(B$22:B$1782,E$22'),
                                       ('hidden', 'B14', 'B14 sums it times feature', '&gt;0')):
        assert said in words and formula in cells[sheet][cell], (sheet, cell, cells[sheet][cell])


def test_saved_by_libreoffice_it_reads_the_same(small, tmp_path):
    "A learner opens it, saves it, reads it; and `recalculate` takes that file too."
    file, args = small
    saved = writer.pack(writer.calculated(file, 120), tmp_path/'saved.xlsx')
    assert worst(read_twin(saved), **args) < 1e-9 and worst(read_twin(recalculate(saved)), **args) < 1e-9
    book = load_workbook(saved)
    assert book.sheetnames == ['Read me', 'loss', 'people', 'linear', 'hidden']
    assert {'lr', 'n_people'} <= set(book.defined_names)
    assert len(book['loss']._charts) == 1 and len(book['loss']._charts[0].series) == 2
    assert book['loss']['B3'].fill.fgColor.rgb == 'FFDDEBF7' and book['linear']['B6'].number_format == '0.000000'


def test_the_same_bytes_every_time(small, tmp_path):
    file, args = small
    a, b = write_twin(tmp_path/'a.xlsx', **args, steps=5), write_twin(tmp_path/'b.xlsx', **args, steps=5)
    assert a.read_bytes() == b.read_bytes() and recalculate(a).read_bytes() == file.read_bytes()


def test_inputs_stay_as_they_are(tmp_path):
    args = start()
    before = {k: v.clone() for k, v in args.items() if torch.is_tensor(v)}
    write_twin(tmp_path/'a.xlsx', **args, steps=1)
    assert all(torch.equal(v, args[k]) for k, v in before.items())
    as_lists = {k: v.tolist() if torch.is_tensor(v) else v for k, v in args.items()}
    assert write_twin(tmp_path/'b.xlsx', **as_lists, steps=1).read_bytes() == (tmp_path/'a.xlsx').read_bytes()


def test_filled_down_as_shared_formulas():
    sheet = (b'<dimension ref="A1:B1"/><row r="1"><c r="A1"><v>1</v></c>'
             b'<c r="B1"><f>A1*2</f><v></v></c></row>')
    filled = writer.fill_down(sheet, 1, 3).decode()
    assert '<f t="shared" ref="B1:B3" si="0">A1*2</f>' in filled and filled.count('si="0"') == 3
    assert 'ref="A1:B3"' in filled


# What cannot be used says why

nan = torch.tensor(float('nan'))
spoilt = start()['x'].clone()
spoilt[2, 1] = nan

@pytest.mark.parametrize('other, words', [
    (dict(x=spoilt), r'x\[2, 1\] is nan'), (dict(x=torch.ones(30)), r'x has the shape \(30,\): rows are people'),
    (dict(x=torch.ones(0, 4)), r'x has the shape \(0, 4\)'),
    (dict(x=start()['x'] * 2), 'last column of x is not all ones'),
    (dict(y=torch.ones(30, 1)), r'y has the shape \(30, 1\), but x with 30 rows needs \(30,\)'),
    (dict(y=torch.full((30,), .5)), r'y\[0\] is neither 0 nor 1'), (dict(names=['a', 'one']), '2 names for 4 features'),
    (dict(names=['a', 'a', 'b', 'one']), "'a' cannot be the name"),
    (dict(names=['=1+1', 'a', 'b', 'one']), "'=1\\+1' cannot"),
    (dict(names=['a', ' ', 'b', 'one']), 'cannot be the name'),
    (dict(names=['a', 'survived', 'b', 'one']), "'survived' cannot"),
    (dict(lr=0), 'lr is 0'), (dict(lr=-1), 'lr is -1'), (dict(lr=float('nan')), 'lr is nan'),
    (dict(steps=0), 'steps is 0'), (dict(steps=2.5), 'steps is 2.5'), (dict(steps=True), 'steps is True'),
    (dict(steps=9000), '16,384'), (dict(w=torch.zeros(5)), r'w has the shape \(5,\), but x with 4 features needs '
                                                           r'\(4,\)'),
    (dict(w=torch.full((4,), float('inf'))), r'w\[0\] is inf'),
    (dict(w1=torch.zeros(2, 4)), r'w1 has the shape \(2, 4\)'), (dict(w1=torch.zeros(4)), 'w1 has the shape'),
    (dict(w2=torch.zeros(3)), r'w2 has the shape \(3,\), but w1 with 2 units'),
    (dict(b=torch.zeros(1)), r'b has the shape \(1,\)'), (dict(b=nan), 'b is nan')])
def test_bad_inputs_are_named(tmp_path, other, words):
    with pytest.raises(ValueError, match=words):
        write_twin(tmp_path/'a.xlsx', **start(**other))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match='there is no folder'):
        write_twin(tmp_path/'gone'/'a.xlsx', **start(), steps=1)
    with pytest.raises(DataError, match='there is no such file'):
        recalculate(tmp_path/'gone.xlsx')
    with pytest.raises(DataError, match='there is no such file'):
        read_twin(tmp_path/'gone.xlsx')


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    old = write_twin(tmp_path/'a.xlsx', **start(), steps=1).read_bytes()
    def full(*args, **kwargs): raise OSError('No space left on device')
    monkeypatch.setattr(writer.zipfile.ZipFile, 'writestr', full)
    with pytest.raises(OSError, match='No space'):
        writer.pack({'a': b'b'}, tmp_path/'a.xlsx')
    assert [p.name for p in tmp_path.iterdir()] == ['a.xlsx'] and (tmp_path/'a.xlsx').read_bytes() == old


def test_never_calculated(tmp_path):
    with pytest.raises(DataError, match='a.xlsx: it was written, but never calculated.*save it'):
        read_twin(write_twin(tmp_path/'a.xlsx', **start(), steps=1))


def test_files_that_are_something_else(small, tmp_path):
    (tmp_path/'text.xlsx').write_text('step,loss\n')
    (tmp_path/'cut.xlsx').write_bytes(small[0].read_bytes()[:5000])
    rotten = bytearray(small[0].read_bytes())
    rotten[3000:3100] = bytes(100)
    (tmp_path/'rotten.xlsx').write_bytes(rotten)
    with zipfile.ZipFile(tmp_path/'zip.xlsx', 'w') as z:
        z.writestr('a.txt', 'a')
    for name in ('text', 'cut', 'rotten'):
        for use in (read_twin, recalculate):
            with pytest.raises(DataError, match=f'{name}.xlsx: this is no .xlsx file, or it was cut off'):
                use(tmp_path/f'{name}.xlsx')
    with pytest.raises(DataError, match='not a workbook made by write_twin'):
        read_twin(tmp_path/'zip.xlsx')
    with pytest.raises(DataError, match='a zip, but no .xlsx workbook'):
        recalculate(tmp_path/'zip.xlsx')
    Workbook().save(tmp_path/'other.xlsx')
    with pytest.raises(DataError, match='not a workbook made by write_twin'):
        read_twin(tmp_path/'other.xlsx')
    book = load_workbook(small[0], data_only=True)
    del book['hidden']
    book.save(tmp_path/'less.xlsx')
    with pytest.raises(DataError, match='not a workbook made by write_twin'):
        read_twin(tmp_path/'less.xlsx')


@pytest.mark.parametrize('sheet, cell, now, words', [
    ('people', 'C20', ' t="str"><v>unknown</v></c>', "sheet people, cell C20: 'unknown' stands where a number belongs"),
    ('loss', 'B3', '/>', 'sheet loss, cell B3: nothing stands'),
    ('people', 'F47', '/>', 'sheet people, cell F47: nothing'),
    ('linear', 'D7', ' t="e"><f>1/0</f><v>#DIV/0!</v></c>', "sheet linear, cell D7: '#DIV/0!' stands"),
    ('hidden', 'H3', '/>', ''),
    ('hidden', 'F20', '/>', ''), ('hidden', 'V14', ' t="b"><f>1=1</f><v>1</v></c>', 'sheet hidden, cell V14: True '
                                                                                    'stands'),
    ('hidden', 'V14', '/>', 'sheet hidden, cell V14: nothing stands')])
def test_a_broken_cell_is_named(small, tmp_path, sheet, cell, now, words):
    "Where a number is read; other cells may hold what they like."
    file = patched(small[0], tmp_path/'a.xlsx', sheet, cell, now)
    if not words: assert read_twin(file).steps == 5
    else:
        with pytest.raises(DataError, match=re.escape(words)):
            read_twin(file)


def test_a_score_too_large_is_named(small, tmp_path):
    "The sigmoid of -1,000 needs EXP(1000), which no spreadsheet has."
    with pytest.raises(DataError, match="sheet hidden, cell B3: '#"):
        read_twin(recalculate(changed(small[0], tmp_path/'a.xlsx', hidden_D10=-1000)))


def test_without_libreoffice(small, tmp_path, monkeypatch):
    copy = shutil.copy(small[0], tmp_path/'a.xlsx')
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
    assert copy.read_bytes() == small[0].read_bytes()
