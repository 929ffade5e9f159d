"""The spreadsheet of lesson 05: two models and their gradient steps as formulas, calculated by LibreOffice.

`python -m scripts.write_twin` makes the packaged file again; a test says when that is due.
The same inputs give the same bytes. It was only moved out of the package, and is written anew with lesson 05."""
import io
import os
import re
import shutil
import signal
import subprocess
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import torch
from openpyxl import Workbook
from openpyxl.chart import LineChart, Reference
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter as column
from openpyxl.workbook.defined_name import DefinedName

from coursehelpers.base.files import DataError, whole
from coursehelpers.tables.twin import Rows, packaged

# An .xlsx file as a zip of XML

_born = datetime(2020, 1, 1)

def pack(parts:dict, # {name: bytes}
         path) -> Path: # the file to make
    "Write the parts as the zip `path`, whole or not at all, the same bytes every time. A missing folder is a `DataError`."
    path = Path(path)
    if not path.parent.is_dir(): raise DataError(f'{path}: there is no folder {path.parent}. Make it, or choose another.')
    with whole(path) as part, zipfile.ZipFile(part, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in parts.items():
            if name == 'docProps/core.xml': data = re.sub(rb'(<dcterms:(\w+)[^>]*>)[^<]*', rb'\g<1>' + _born.isoformat().encode() + b'Z', data)
            info = zipfile.ZipInfo(name, _born.timetuple()[:6])
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, 9)
    return path

def unpack(file) -> dict: # a path, or an open file
    "{name: bytes} of a zip. No such file, or no zip, is a `DataError`."
    if not hasattr(file, 'read') and not Path(file).is_file(): raise DataError(f'{file}: there is no such file.')
    try:
        with zipfile.ZipFile(file) as archive: return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as e: raise DataError(f'{file}: this is no .xlsx file, or it was cut off ({e}).') from None

def sheet_parts(parts:dict) -> dict: # as `unpack` gives them
    "{name of a sheet: name of its part}. A zip that is no workbook is a `DataError`."
    try: return _targets(parts)
    except (KeyError, StopIteration, ElementTree.ParseError): raise DataError('this is a zip, but no .xlsx workbook') from None

def _targets(parts):
    "`sheet_parts` without its excuses."
    targets = {r.get('Id'): r.get('Target') for r in ElementTree.fromstring(parts['xl/_rels/workbook.xml.rels'])}
    sheets = [e.attrib for e in ElementTree.fromstring(parts['xl/workbook.xml']).iter() if e.tag.endswith('}sheet')]
    return {e['name']: 'xl/' + targets[next(v for k, v in e.items() if k.endswith('}id'))].removeprefix('/xl/') for e in sheets}


_formula = re.compile(r'<c r="([A-Z]+)(\d+)"([^>]*)>(<f[^>]*?(?:/>|>([^<]*)</f>))(?:<v */>|<v>[^<]*</v>)?</c>') # groups: column, row, attributes, f, its text

def fill_down(sheet:bytes, # the XML of a sheet
              top:int, # the row whose formulas are filled down; it is the last one
              last:int) -> bytes: # down to here
    "The sheet with the formulas of row `top` filled down to row `last`; column A counts from 1."
    first = re.search(rf'<row r="{top}".*?</row>', sheet.decode())[0]
    cells, number = [(i, m[1], m[3]) for i, m in enumerate(_formula.finditer(first))], count()
    shared = _formula.sub(lambda m: f'<c r="{m[1]}{m[2]}"{m[3]}><f t="shared" ref="{m[1]}{m[2]}:{m[1]}{last}" si="{next(number)}">{m[5]}</f></c>', first)
    below = (f'<row r="{r}"><c r="A{r}"><v>{r - top + 1}</v></c>' + ''.join(f'<c r="{c}{r}"{style}><f t="shared" si="{i}"/></c>' for i, c, style in cells) + '</row>' for r in range(top + 1, last + 1))
    text = sheet.decode().replace(first, shared + ''.join(below))
    return re.sub(r'(<dimension ref="A1:[A-Z]+)\d+', rf'\g<1>{last}', text).encode()


# Calculated by LibreOffice

def find_office():
    "LibreOffice's command, or a `DataError`."
    places = (shutil.which('soffice'), shutil.which('libreoffice'), '/Applications/LibreOffice.app/Contents/MacOS/soffice', r'C:\Program Files\LibreOffice\program\soffice.exe')
    found = next((p for p in places if p and Path(p).exists()), None)
    if not found: raise DataError('LibreOffice is not here (no command soffice). Install it (Debian: libreoffice-calc-nogui), or open the file in a spreadsheet program and save it: that calculates too.')
    return found

def calculated(path, seconds):
    "The workbook as LibreOffice saves it after calculating: {name: bytes}. It gets a profile of its own, so that several may run at once."
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as d:
        command = [find_office(), f'-env:UserInstallation={(Path(d)/"profile").as_uri()}', '--headless', '--norestore', '--convert-to', 'xlsx:Calc MS Excel 2007 XML', '--outdir', f'{d}/out', str(path)]
        office = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try: said = office.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(office.pid, signal.SIGKILL) if hasattr(os, 'killpg') else office.kill()
            office.communicate()
            raise DataError(f'LibreOffice was not done after {seconds} seconds. Give it more: recalculate(…, seconds=600).') from None
        made = Path(d)/'out'/Path(path).name
        if not made.is_file(): raise DataError(f'LibreOffice calculated nothing: {said.strip() or "it said nothing"}')
        return unpack(made)

def formula_values(sheet):
    "{cell: (attributes that say the type, value)} of the formulas in a sheet's XML."
    return {m[1]: (''.join(re.findall(r' t="\w+"', m[2])), m[3]) for m in re.finditer(r'<c r="([A-Z]+\d+)"([^>]*)><f[^>]*?(?:/>|>[^<]*</f>)<v>([^<]*)</v></c>', sheet.decode())}

def recalculate(path, # an .xlsx with formulas; it keeps all but their values
                out=None, # where to write the result; None: `path` itself
                seconds:float=120) -> Path: # how long LibreOffice may take
    "Calculate every formula with LibreOffice and store the values beside them. `DataError` says what is missing or went wrong."
    parts = unpack(path)
    try: sheets = sheet_parts(parts)
    except DataError as e: raise DataError(f'{path}: {e}.') from None
    for part in sheets.values(): parts[part] = _formula.sub(lambda m: f'<c r="{m[1]}{m[2]}"{m[3]}>{m[4]}</c>', parts[part].decode()).encode()
    with tempfile.TemporaryDirectory() as d: done = calculated(pack(parts, Path(d)/'twin.xlsx'), seconds)
    for name, part in sheets.items():
        values = formula_values(done[sheet_parts(done)[name]])
        def one(m, values=values):
            kind, value = values[m[1] + m[2]]
            attributes = re.sub(r' t="\w+"', '', m[3])
            return f'<c r="{m[1]}{m[2]}"{attributes}{kind}>{m[4]}<v>{value}</v></c>'
        try: parts[part] = _formula.sub(one, parts[part].decode()).encode()
        except KeyError as e: raise DataError(f'{path}, sheet {name}: LibreOffice gave no value for the cell {e}.') from None
    return pack(parts, out or path)


# What a step says

@dataclass
class _Plan(Rows):
    "Where things stand: `n` people, `d` features, `k` hidden units. Rows and columns count from 1."
    n: int
    k: int

    @property
    def last(self): return self.top + self.n - 1 # row: the last person

    def people(self, i, fixed='$'): # feature i; feature d is the target
        "All people's values in a column of the sheet `people`; without `fixed` one cell, of the first person's row."
        c = column(2 + i)
        return f'people!${c}${self.top}:${c}${self.last}' if fixed else f'people!${c}'
    def all(self, c):
        "All people's values in column `c` of the same sheet."
        return f'{column(c)}${self.top}:{column(c)}${self.last}'


def _step(at, width, start):
    "A weight at (row, column): the start in block 0, else old − lr · gradient. `at` is (row, column, row of the gradient)."
    row, c, g = at
    return start if c < 2 + width else f'={column(c - width)}{row}-lr*{column(c - width)}{g}'

def _weighted(p, c):
    "Features times the weights in column `c`, for the first person."
    return '+'.join(f'{p.people(i, "")}{p.top}*{column(c)}${6 + i}' for i in range(p.d))

def _linear_block(p, s, w):
    "(row, column, value) of step `s`: preds = x @ w, the mean of squared errors, its gradient."
    c = 2 + 2 * s
    err = p.all(c + 1)
    yield 3, c, f'=SUMSQ({err})/n_people'
    for i in range(p.d):
        yield 6 + i, c, _step((6 + i, c, p.grad + i), 2, w[i])
        yield p.grad + i, c, f'=2*SUMPRODUCT({p.people(i)},{err})/n_people'
    yield p.top, c, '=' + _weighted(p, c)
    yield p.top, c + 1, f'={column(c)}{p.top}-{p.people(p.d, "")}{p.top}'


def _hidden_block(p, s, w1, w2, b):
    "(row, column, value) of step `s`: preds = sigmoid(relu(x @ w1) @ w2 + b), the mean of squared errors, its gradient."
    c, width, g_out = 2 + s * (p.k + 2), p.k + 2, p.grad + p.d
    units, pred, back = range(c, c + p.k), c + p.k, p.all(c + p.k + 1)
    y, P = p.people(p.d, ''), column(pred)
    yield 3, c, f'=SUMXMY2({p.all(pred)},{p.people(p.d)})/n_people'
    for j, u in enumerate(units):
        for i in range(p.d):
            yield 6 + i, u, _step((6 + i, u, p.grad + i), width, w1[i][j])
            yield p.grad + i, u, f'=2*{column(u)}${p.out}*SUMPRODUCT({p.people(i)}*{back}*({p.all(u)}>0))/n_people'
        yield p.out, u, _step((p.out, u, g_out), width, w2[j])
        yield g_out, u, f'=2*SUMPRODUCT({p.all(u)},{back})/n_people'
    yield p.out, pred, _step((p.out, pred, g_out), width, b)
    yield g_out, pred, f'=2*SUM({back})/n_people'
    for u in units: yield p.top, u, f'=MAX(0,{_weighted(p, u)})'
    score = '+'.join(f'{column(u)}{p.top}*{column(u)}${p.out}' for u in units)
    yield p.top, pred, f'=1/(1+EXP(-({score}+{P}${p.out})))'
    yield p.top, pred + 1, f'=({P}{p.top}-{y}{p.top})*{P}{p.top}*(1-{P}{p.top})'


# How it looks

def _fill(colour): return dict(fill=PatternFill('solid', fgColor=colour))
def _font(**style): return dict(font=Font(name='Calibri', **{'size': 11, **style}))

_kinds = dict(title=_font(bold=True, size=14), note=_font(italic=True, color='555555'), label=_font(bold=True), text={}, formula={}, result=dict(**_font(bold=True), **_fill('E2EFDA')),
              head=dict(**_font(bold=True), **_fill('E7E6E6'), alignment=Alignment(horizontal='right')), input=dict(**_font(color='0000FF'), **_fill('DDEBF7')))

def _put(sheet, row, c, value, kind='formula', digits=None):
    "A value into a cell, dressed as its kind; numbers with so many digits."
    cell = sheet.cell(row, c, value)
    for name, style in _kinds[kind].items(): setattr(cell, name, style)
    if digits is not None: cell.number_format = '0.' + '0' * digits if digits else '0'

def _frame(sheet, p, title, heads, steps):
    "Title, steps, heads and labels of a model's sheet, and a line on the left of each block."
    width, labels = len(heads), {2: 'step', 3: 'loss', 5: 'weights', p.grad - 1: 'gradients', p.top - 1: 'people'}
    _put(sheet, 1, 1, title, 'title')
    for row, text in labels.items(): _put(sheet, row, 1, text, 'head' if row < 4 else 'label')
    _put(sheet, 4, 1, '', 'head')
    for s in range(steps + 1):
        for j, head in enumerate(heads):
            c = 2 + s * width + j
            _put(sheet, 2, c, None if j else f'={column(c - width)}2+1' if s else 0, 'head', 0)
            _put(sheet, 3, c, None, 'result', 6), _put(sheet, 4, c, head, 'head')
            sheet.column_dimensions[column(c)].width = 13
    _put(sheet, p.top, 1, 1)
    sheet.column_dimensions['A'].width = 24
    sheet.freeze_panes = 'B5'

def _model(book, p, name, title, heads, rows, blocks):
    "The sheet of a model: its frame, and what each block says."
    sheet, width = book.create_sheet(name), len(heads)
    _frame(sheet, p, title, heads, len(blocks) - 1)
    for row, text in rows.items(): _put(sheet, row, 1, text)
    for row, c, value in (cell for block in blocks for cell in block):
        _put(sheet, row, c, value, 'result' if row == 3 else 'formula' if isinstance(value, str) else 'input', 4 if row == p.top else 6)
    line = Border(left=Side('thin', color='999999'))
    for row in range(2, p.top):
        for c in range(2, 2 + width * len(blocks), width): sheet.cell(row, c).border = line


def _people(book, p, x, y, names):
    "The sheet of people: a row each, features and target, and a glance at each column."
    sheet = book.create_sheet('people')
    _put(sheet, 1, 1, 'The people: one row each, the same row on every sheet', 'title')
    _put(sheet, 2, 1, 'Features are numbers: 1 is yes, 0 is no. The column of ones makes its weight a bias. Blue cells may be typed over.', 'note')
    _put(sheet, 10, 1, 'The rows from here to the people are empty, so that a person has the same row on all sheets.', 'note'), _put(sheet, 5, 1, 'at a glance', 'label'), _put(sheet, p.top - 1, 1, 'people', 'label'), _put(sheet, 4, 1, '', 'head')
    for i, name in enumerate([*names, 'survived']):
        _put(sheet, 4, 2 + i, name, 'head')
        sheet.column_dimensions[column(2 + i)].width = 14
        for row, f in enumerate(('SUM', 'AVERAGE', 'MIN', 'MAX'), 6):
            _put(sheet, row, 1, {'SUM': 'sum', 'AVERAGE': 'mean', 'MIN': 'smallest', 'MAX': 'largest'}[f])
            _put(sheet, row, 2 + i, f'={f}({p.people(i).removeprefix("people!")})', digits=3 if f == 'AVERAGE' else None)
    for r, (features, target) in enumerate(zip(x, y), p.top):
        _put(sheet, r, 1, r - p.top + 1)
        for c, value in enumerate([*features, target], 2): _put(sheet, r, c, value, 'input')
    sheet.column_dimensions['A'].width = 24
    sheet.freeze_panes = 'B5'

def _chart(sheet, steps):
    "A line chart of both losses, at the right of their table."
    chart = LineChart()
    chart.title, chart.y_axis.title, chart.x_axis.title = 'Loss, step by step', 'loss (mean squared error)', 'step'
    chart.width, chart.height, chart.legend.position = 18, 11, 'b'
    chart.add_data(Reference(sheet, min_col=2, max_col=3, min_row=6, max_row=7 + steps), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=7, max_row=7 + steps))
    chart.y_axis.number_format, chart.y_axis.scaling.min = '0.00', 0
    for axis in (chart.x_axis, chart.y_axis): axis.delete = False # openpyxl 3.1 hides axes unless told
    for line, colour, dash in zip(chart.series, ('1F77B4', 'D55E00'), ('solid', 'dash')):
        line.graphicalProperties.line.solidFill, line.graphicalProperties.line.dashStyle, line.smooth = colour, dash, False
    sheet.add_chart(chart, 'E3')

def _losses(book, p, lr, steps):
    "The sheet with the learning rate, the losses of both models, and their chart."
    sheet = book.create_sheet('loss')
    _put(sheet, 1, 1, 'Two models, the same people, the same learning rate', 'title')
    _put(sheet, 3, 1, 'learning rate'), _put(sheet, 3, 2, lr, 'input'), _put(sheet, 3, 3, 'change it', 'note')
    _put(sheet, 4, 1, 'people'), _put(sheet, 4, 2, f'=COUNT({p.people(p.d)})')
    for c, text in enumerate(('step', 'linear', 'hidden'), 1):
        _put(sheet, 6, c, text, 'head')
        sheet.column_dimensions[column(c)].width = 14
    for s in range(steps + 1):
        for c, value in enumerate((s, f'=linear!{column(2 + 2 * s)}3', f'=hidden!{column(2 + (p.k + 2) * s)}3'), 1): _put(sheet, 7 + s, c, value, 'result' if c > 1 else 'formula', 6 if c > 1 else 0)
    sheet.freeze_panes = 'A7'
    _chart(sheet, steps)
    for name, cell in dict(lr='loss!$B$3', n_people='loss!$B$4').items(): book.defined_names[name] = DefinedName(name, attr_text=cell)


def _words(p, steps):
    "(style, text) of the first sheet, line by line."
    U, P, B = column(2), column(2 + p.k), column(3 + p.k)
    first, last = p.top, p.last
    return [('title', 'Two models learn, and every number has a cell'),
        ('text', f'A linear model and a net with one hidden layer of {p.k} units guess who survived. They take {steps} steps of gradient descent on {p.n:,} people. '
                 'Nothing is hidden: no macro, no solver, no link to another file. Click a cell to see where its number comes from.'),
        ('head', 'Where is what'),
        ('text', 'loss: the learning rate, both losses step by step, and a chart of them.'),
        ('text', f'people: one row a person. A person has the same row on all sheets, from {first} to {last}.'),
        ('text', 'linear: a block of 2 columns a step, prediction and error. hidden: a block of '
                 f'{p.k + 2} columns a step: what each unit says, the prediction, and the error times the slope of the sigmoid. Steps run to the right.'),
        ('text', 'At the top of each block: the loss, the weights, the gradients. A gradient stands in the column of its weight, in the same order.'),
        ('head', 'Colours'),
        ('input', 'Blue on light blue is an input: a typed number. Type over it and everything follows.'),
        ('formula', 'Black on white is a formula. Leave it, or break it on purpose and undo.'),
        ('result', 'Bold on green is a result: a loss.'),
        ('head', 'One step of the linear model (sheet linear, block 0)'),
        ('text', f'1. Prediction, B{first}: each feature times its weight, added up.'),
        ('text', f'2. Error, C{first}: prediction minus survived.'),
        ('text', '3. Loss, B3: the squares of all errors, added up, over the number of people (n_people, sheet loss, B4).'),
        ('text', f'4. Gradient, B{p.grad}: twice the sum of error times feature, over the number of people.'),
        ('text', f'5. New weight, D6 in block 1: old weight minus learning rate times gradient, =B6-lr*B{p.grad}. The name lr is cell B3 on sheet loss.'),
        ('head', 'One step of the hidden layer (sheet hidden, block 0)'),
        ('text', f'1. A unit, {U}{first}: features times its weights, and never below 0 (MAX). 2. Prediction, {P}{first}: the units times their weights in row {p.out}, plus the bias {P}{p.out}, '
                 'through the sigmoid 1/(1+EXP(-score)): anything in, 0 to 1 out.'),
        ('text', f'3. {B}{first}: the error times p*(1-p), the slope of the sigmoid. Above 0 the person asks for a lower score, below 0 for a higher one.'),
        ('text', f'4. Gradients: {P}{p.grad + p.d} sums that column, {U}{p.grad + p.d} sums it times what the unit says, {U}{p.grad} sums it times feature, for the people at whom the unit is '
                 'not 0, times the weight with which the unit speaks.'),
        ('head', 'Try it'),
        ('text', 'Predict first, then type. Learning rate 0.05, 0.5, 1, 2: which of the two losses goes up first, and where?'),
        ('text', 'Set all weights in block 0 of the sheet hidden to 0. From then on only the bias moves. Why? The gradients below tell.'),
        ('text', 'Copy the last block of linear, all its rows, into the columns on its right. You took one more step.'),
        ('text', 'A cell that shows an error after a very large learning rate: the sigmoid was asked for the EXP of more than 700. Undo.'),
        ('head', 'Is it right?'),
        ('text', 'Lesson 05 reads this file and compares each loss and each weight with PyTorch: they agree within 0.000000001. Both calculate in 64 bits.'),
        ('text', 'Functions used: SUM, SUMSQ, SUMPRODUCT, SUMXMY2, EXP, MAX, MIN, AVERAGE, COUNT. LibreOffice, Google Sheets and Excel know them all.')]

def _readme(book, p, steps):
    "The first sheet."
    sheet = book.active
    sheet.title = 'Read me'
    sheet.column_dimensions['A'].width = 118
    sheet.sheet_view.showGridLines = False
    for row, (kind, text) in enumerate(_words(p, steps), 1):
        _put(sheet, row, 1, text, kind)
        cell = sheet.cell(row, 1)
        cell.alignment = Alignment(wrap_text=True, vertical='top')
        sheet.row_dimensions[row].height = 24 if kind == 'title' else 16 * (1 + len(text) // 122)


# Writing

def _checked(name, value, shape, why):
    "`value` as a float64 tensor of that shape, finite; else a ValueError that names it."
    t = torch.as_tensor(value).detach().cpu()
    if tuple(t.shape) != tuple(shape): raise ValueError(f'{name} has the shape {tuple(t.shape)}, but {why} needs {tuple(shape)}')
    bad = (~torch.isfinite(t.double())).nonzero()
    if len(bad): raise ValueError(f'{name}{bad[0].tolist() or ""} is {t[tuple(bad[0])].item()}: fill it in or leave its row out, a formula cannot')
    return t.double()

def _inputs(x, y, names, lr, w, w1, w2, b, steps):
    "The arguments of `write_twin`, checked; tensors as float64."
    if isinstance(steps, bool) or int(steps) != steps or steps < 1: raise ValueError(f'steps is {steps}: a whole number of at least 1 is needed')
    if not 0 < lr < float('inf'): raise ValueError(f'lr is {lr}: a number above 0 is needed')
    x, w1 = torch.as_tensor(x), torch.as_tensor(w1)
    if x.ndim != 2 or not x.numel(): raise ValueError(f'x has the shape {tuple(x.shape)}: rows are people, columns are features')
    if w1.ndim != 2 or not w1.numel(): raise ValueError(f'w1 has the shape {tuple(w1.shape)}: rows are features, columns are hidden units')
    (n, d), k = x.shape, w1.shape[1]
    x, y = _checked('x', x, (n, d), 'a table'), _checked('y', y, (n,), f'x with {n} rows')
    w, w1, w2, b = _checked('w', w, (d,), f'x with {d} features'), _checked('w1', w1, (d, k), f'x with {d} features'), _checked('w2', w2, (k,), f'w1 with {k} units'), _checked('b', b, (), 'a bias')
    if not ((y == 0) | (y == 1)).all(): raise ValueError(f'y[{((y != 0) & (y != 1)).nonzero()[0].item()}] is neither 0 nor 1')
    if not (x[:, -1] == 1).all(): raise ValueError('the last column of x is not all ones: without it the linear model and the hidden units have no bias')
    names = list(names)
    if len(names) != d: raise ValueError(f'{len(names)} names for {d} features')
    odd = [v for v in names if not isinstance(v, str) or not v.strip() or v[0] in '=+-@' or v == 'survived' or names.count(v) > 1]
    if odd: raise ValueError(f'{odd[0]!r} cannot be the name of a feature: words are needed, each once, and none that a spreadsheet takes for a formula')
    if 1 + (steps + 1) * (k + 2) > 16384: raise ValueError(f'{steps} steps of {k + 2} columns are more than the 16,384 that a sheet has')
    return x, y, names, float(lr), w, w1, w2, b, int(steps)


def write_twin(path, # the .xlsx to make
               x, # (n, d) features, the last column all ones
               y, # (n,) 0 or 1
               names, # of the d features
               lr:float, # learning rate of both models
               w, # (d,) where the linear model starts: preds = x @ w
               w1, # (d, k) where the hidden layer starts: preds = sigmoid(relu(x @ w1) @ w2 + b)
               w2, # (k,)
               b, # one number
               steps:int=20) -> Path: # of gradient descent on the mean squared error, all rows at once
    "Write both models and their steps as formulas; no value is calculated yet (see `recalculate`). ValueError says what does not fit, DataError which folder is missing."
    x, y, names, lr, w, w1, w2, b, steps = _inputs(x, y, names, lr, w, w1, w2, b, steps)
    p, book, stream = _Plan(x.shape[1], len(x), w1.shape[1]), Workbook(), io.BytesIO()
    units = [f'unit {j}' for j in range(1, p.k + 1)]
    features = {row + i: name for row in (6, p.grad) for i, name in enumerate(names)}
    _readme(book, p, steps), _losses(book, p, lr, steps), _people(book, p, x.tolist(), y.tolist(), names)
    _model(book, p, 'linear', 'Linear: prediction = features times weights', ['prediction', 'error'], features, [_linear_block(p, s, w.tolist()) for s in range(steps + 1)])
    _model(book, p, 'hidden', 'One hidden layer: units never below 0, then a sigmoid', [*units, 'prediction', 'error · slope'],
           {**features, p.out: 'to the output, bias', p.grad + p.d: 'to the output, bias'}, [_hidden_block(p, s, w1.tolist(), w2.tolist(), b.item()) for s in range(steps + 1)])
    book.properties.creator = 'coursehelpers'
    book.save(stream)
    parts = unpack(stream)
    for name in ('linear', 'hidden'): parts[sheet_parts(parts)[name]] = fill_down(parts[sheet_parts(parts)[name]], p.top, p.last)
    return pack(parts, path)


if __name__ == '__main__':
    from coursehelpers.tabular import twin_inputs
    print(recalculate(write_twin(packaged(), **twin_inputs())))
