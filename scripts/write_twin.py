"""The spreadsheet of lesson 05: three models and their gradient steps as formulas, calculated by LibreOffice.

`python -m scripts.write_twin` makes the packaged file again; a test says when that is due.
The same inputs give the same bytes."""
import os
import shutil
import signal
import subprocess
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
from openpyxl import Workbook, load_workbook
from openpyxl.chart import LineChart, Reference
from openpyxl.formatting.rule import CellIsRule, ColorScaleRule
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter as column
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.formula import ArrayFormula

from coursehelpers.base.files import DataError, whole
from coursehelpers.tables.twin import FEATURES, FIRST, SLOPES, TOP, WEIGHTS, packaged

# How cells look

def ink(**style): return Font(**{'name': 'Calibri', 'size': 11, **style})


INK = {'title': ink(bold=True, size=14), 'note': ink(italic=True, color='555555'), 'label': ink(bold=True),
       'head': ink(bold=True), 'input': ink(color='0000FF'), 'result': ink(bold=True)}
PAPER = {'head': 'E7E6E6', 'input': 'DDEBF7', 'result': 'E2EFDA'}
RIGHT, LEFT = Alignment(horizontal='right'), Alignment(horizontal='left')
WORDS = 'name', 'sex' # these stand on the left of their cells


def put(sheet, place, value, kind=None, digits=None):
    "A value into a cell, dressed as its kind; a number is shown with so many digits."
    cell = sheet[place]
    cell.value = value
    if kind in INK: cell.font = INK[kind]
    if kind in PAPER: cell.fill = PatternFill('solid', fgColor=PAPER[kind])
    if kind == 'head': cell.alignment = RIGHT
    if digits is not None:
        cell.number_format = f'0.{"0" * digits}' if digits else '0'


def headed(sheet, title, note, freeze):
    "Title and note of a sheet; what lies above and left of the cell `freeze` stays in sight."
    put(sheet, 'A1', title, 'title')
    put(sheet, 'A2', note, 'note')
    sheet.freeze_panes = freeze
    sheet.column_dimensions['A'].width = 27
    sheet.page_setup.orientation = 'landscape'
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True


def filled(sheet, columns, last, start=1):
    "Columns side by side, each a tuple (group, head, formula, digits): `#` in the formula is the row of the person."
    group = None
    for c, (of, head, formula, digits) in enumerate(columns, start):
        name = column(c)
        if of != group: put(sheet, f'{name}{FIRST - 2}', of, 'label')
        group = of
        put(sheet, f'{name}{FIRST - 1}', head, 'head')
        if head in WORDS: sheet[f'{name}{FIRST - 1}'].alignment = LEFT
        if c > 1: sheet.column_dimensions[name].width = max(8, len(head) + 2)
        for row in range(FIRST, last + 1):
            cell = f'{name}{row}'
            put(sheet, cell, formula.replace('#', str(row)) or None, digits=digits)
            if head not in WORDS: sheet[cell].alignment = RIGHT


# People: words and the numbers made of them

def people_sheet(book, people, last):
    "The sheet `people`: words as they were written down, and features as formulas of them."
    sheet = book.create_sheet('people')
    headed(sheet, 'The people, in words and in numbers',
           'Blue cells hold what was written down and may be typed over; an empty age was never noted. '
           'All other numbers are formulas.', f'B{FIRST}')
    for row, label in enumerate(('people', 'median', 'mean', 'spread'), 3):
        put(sheet, f'A{row}', label, 'label')
    put(sheet, 'B3', f'=COUNT(N{FIRST}:N{last})', 'result', 0)
    put(sheet, 'D4', f'=MEDIAN(D{FIRST}:D{last})', 'result', 1)
    for c in 'FG':
        put(sheet, f'{c}5', f'=AVERAGE({c}{FIRST}:{c}{last})', 'result', 2)
        put(sheet, f'{c}6', f'=STDEV({c}{FIRST}:{c}{last})', 'result', 2)
    put(sheet, 'N5', f'=AVERAGE(N{FIRST}:N{last})', 'result', 2)
    filled(sheet, [('words', 'name', '', None), ('words', 'sex', '', None), ('words', 'class', '', None),
                   ('words', 'age', '', None), ('words', 'fare', '', 2),
                   ('helpers', 'age, gaps filled', '=IF(D#="",D$4,D#)', None),
                   ('helpers', 'log(1 + fare)', '=LN(1+E#)', 3),
                   ('features', FEATURES[0], '=IF(B#="female",1,0)', 0),
                   ('features', FEATURES[1], '=IF(C#=1,1,0)', 0), ('features', FEATURES[2], '=IF(C#=2,1,0)', 0),
                   ('features', FEATURES[3], '=(F#-F$5)/F$6', 3), ('features', FEATURES[4], '=(G#-G$5)/G$6', 3),
                   ('features', FEATURES[5], '=1', 0), ('target', 'lived', '', 0)], last)
    words = people[['Name', 'Sex', 'Pclass', 'Age', 'Fare', 'Survived']].itertuples(index=False)
    for row, values in enumerate(words, FIRST):
        for c, value in zip('ABCDEN', values):
            put(sheet, f'{c}{row}', None if pd.isna(value) else value, 'input')


# A model, one step in full

def words_and_features():
    "The columns A to K of every model's sheet."
    of_words = zip(('name', 'sex', 'class', 'age', 'fare'),
                   ('=people!A#', '=people!B#', '=people!C#', '=IF(people!D#="","?",people!D#)', '=people!E#'))
    yield from (('person', head, formula, 2 if head == 'fare' else None) for head, formula in of_words)
    yield from (('features', name, f'=people!{c}#', digits)
                for name, c, digits in zip(FEATURES, 'HIJKLM', (0, 0, 0, 2, 2, 0)))


def products(row, group='feature × weight'):
    "Each feature times the weight above it, in `row`."
    return [(group, f'{name} ×', f'={c}#*{c}${row}', 2) for name, c in zip(FEATURES, 'FGHIJK')]


def answers(p):
    "The columns behind the prediction, which stands in column number `p`: target, error, wrong or not."
    preds, lived = column(p), column(p + 1)
    return [('answer', 'lived', '=people!N#', 0), ('answer', 'error', f'={preds}#-{lived}#', 2),
            ('answer', 'wrong?', f'=IF(({preds}#>0.5)=({lived}#>0.5),"","wrong")', None)]


def model_sheet(book, name, note, columns, p, lr, steps, last):
    "The sheet of a model at the step that is typed into B3: controls, columns, loss and errors."
    sheet = book.create_sheet(name)
    headed(sheet, f'{name}: one step in full', note, f'B{FIRST}')
    filled(sheet, columns, last)
    error, wrong = column(p + 2), column(p + 3)
    controls = (('step shown', steps, 'input', 0), ('learning rate', lr, 'input', None),
                ('loss', f'=SUMSQ({error}{FIRST}:{error}{last})/people!$B$3', 'result', 4),
                ('wrong', f'=COUNTIF({wrong}{FIRST}:{wrong}{last},"wrong")/people!$B$3', 'result', 3))
    for row, (label, value, kind, digits) in enumerate(controls, 3):
        put(sheet, f'A{row}', label, 'label')
        put(sheet, f'B{row}', value, kind, digits)
    typed = DataValidation('whole', operator='between', formula1='0', formula2=str(steps), showErrorMessage=True,
                           error=f'A whole number from 0 to {steps}')
    typed.add('B3')
    sheet.add_data_validation(typed)
    sheet.conditional_formatting.add(f'{wrong}{FIRST}:{wrong}{last}',
                                     CellIsRule('equal', ['"wrong"'], font=Font(color='C00000', bold=True)))
    for c in (p, p + 2):
        for row in range(FIRST, last + 1):
            sheet[f'{column(c)}{row}'].font = INK['result']
    return sheet


def shaded(sheet, first, last_column, last, most=2):
    "Colours in the products, full ones from `most` on: blue pulls the sum down, orange up. A product of 0 is a dot."
    rule = ColorScaleRule('num', -most, '9DC3E6', 'num', 0, 'FFFFFF', 'num', most, 'F4B183')
    for row in sheet[f'{first}{FIRST}:{last_column}{last}']:
        for cell in row:
            cell.number_format = '0.00;-0.00;"·"'
    sheet.conditional_formatting.add(f'{first}{FIRST}:{last_column}{last}', rule)


def shown(name, row, steps, width=1, at=1):
    "The number in `row` of the steps' sheet, in column `at` of the block of the step shown."
    end = column(1 + width * (steps + 1))
    return f'=INDEX({name}_steps!$B${row}:${end}${row},1,{width}*$B$3+{at})'


def one_step(sheet, place, weight, slope):
    "Weight, slope and next weight below one another, two rows apart."
    c, row = place
    for down, value in enumerate((weight, slope, f'={c}{row}-$B$4*{c}{row + 2}')):
        put(sheet, f'{c}{row + 2 * down}', value, 'result' if down == 0 else None, 3)


def labels(sheet, words):
    "Words in column E, from row 3 down."
    for row, word in enumerate(words, 3):
        put(sheet, f'E{row}', word, 'label')
        sheet[f'E{row}'].alignment = RIGHT


def flat_sheet(book, name, note, lr, steps, last):
    "The sheet of a model without hidden units: `linear`, or `sigmoid`."
    if name == 'linear':
        p, end = 18, [('answer', 'prediction', '=SUM(L#:Q#)', 2)]
        down = ('slope', 'slope at prediction', '=2*T#/people!$B$3', 4)
    else:
        p, end = 19, [('sum', 'sum', '=SUM(L#:Q#)', 2), ('answer', 'prediction', '=1/(1+EXP(-R#))', 2)]
        down = ('slope', 'slope at sum', '=2*U#*S#*(1-S#)/people!$B$3', 4)
    sheet = model_sheet(book, name, note, [*words_and_features(), *products(3), *end, *answers(p), down],
                        p, lr, steps, last)
    shaded(sheet, 'L', 'Q', last, .5 if name == 'linear' else 2)
    labels(sheet, ('weight', '', 'slope', '', 'next weight'))
    d = column(p + 4)
    for i, c in enumerate('FGHIJK'):
        one_step(sheet, (c, 3), shown(name, WEIGHTS + i, steps, 2),
                 f'=SUMPRODUCT({c}{FIRST}:{c}{last},{d}{FIRST}:{d}{last})')


def hidden_sheet(book, note, lr, steps, last):
    "The sheet `hidden`: two units, each as on the sheet `sigmoid`, and one more sum of them."
    columns = [*words_and_features(), *products(3, 'feature × weight of unit 1'),
               *products(4, 'feature × weight of unit 2'),
               ('units', 'unit 1', '=MAX(0,SUM(L#:Q#))', 2), ('units', 'unit 2', '=MAX(0,SUM(R#:W#))', 2),
               ('unit × weight', 'unit 1 ×', '=X#*X$3', 2), ('unit × weight', 'unit 2 ×', '=Y#*Y$3', 2),
               ('sum', 'sum', '=Z#+AA#+AB$3', 2), ('answer', 'prediction', '=1/(1+EXP(-AB#))', 2), *answers(29),
               ('slopes', 'slope at sum', '=2*AE#*AC#*(1-AC#)/people!$B$3', 4),
               ('slopes', 'at unit 1', '=AG#*X$3*(X#>0)', 4), ('slopes', 'at unit 2', '=AG#*Y$3*(Y#>0)', 4)]
    sheet = model_sheet(book, 'hidden', note, columns, 29, lr, steps, last)
    shaded(sheet, 'L', 'W', last)
    shaded(sheet, 'Z', 'AA', last)
    labels(sheet, [f'{word}, unit {u}' for word in ('weight', 'slope', 'next weight') for u in (1, 2)])
    for i, c in enumerate('FGHIJK'):
        for j, d in enumerate(('AH', 'AI')):
            one_step(sheet, (c, 3 + j), shown('hidden', WEIGHTS + i, steps, 4, 1 + j),
                     f'=SUMPRODUCT({c}{FIRST}:{c}{last},{d}{FIRST}:{d}{last})')
    for j, c in enumerate(('X', 'Y', 'AB')):
        slope = f'=SUMPRODUCT({c}{FIRST}:{c}{last},AG{FIRST}:AG{last})' if j < 2 else f'=SUM(AG{FIRST}:AG{last})'
        one_step(sheet, (c, 3), shown('hidden', WEIGHTS + 6, steps, 4, 1 + j), slope)


# The same step as matrix products

def matrix_sheet(book, last):
    "The sheet `matrix`: what `hidden` does for each person, once more, in nine formulas for all of them at once."
    sheet = book.create_sheet('matrix')
    headed(sheet, 'matrix: the hidden layer as matrix products',
           'Each block below is a single formula for all people. Weights stand above what they make, slopes above what '
           'they are made of. The step shown is the one of sheet hidden.', f'B{FIRST}')
    filled(sheet, [('', 'name', '=people!A#', None)], last)
    x, y = f'people!$H${FIRST}:$M${last}', f'people!$N${FIRST}:$N${last}'
    def all_of(a, b=None): return f'{a}{FIRST}:{b or a}{last}'
    for (group, ref, formula), heads in (
            (('x @ w1', all_of('B', 'C'), f'=MMULT({x},B3:C8)'), ('sum 1', 'sum 2')),
            (('h = relu of it', all_of('D', 'E'), f'=({all_of("B", "C")}>0)*{all_of("B", "C")}'), ('unit 1', 'unit 2')),
            (('times w2, + b', all_of('F'), f'=MMULT({all_of("D", "E")},F3:F4)+F6'), ('sum',)),
            (('sigmoid', all_of('G'), f'=1/(1+EXP(-{all_of("F")}))'), ('prediction',)),
            (('d', all_of('H'), f'=2*({all_of("G")}-{y})*{all_of("G")}*(1-{all_of("G")})/people!$B$3'),
             ('slope at sum',)),
            (('d @ w2.T, where h > 0', all_of('I', 'J'),
              f'=MMULT({all_of("H")},TRANSPOSE(F3:F4))*({all_of("D", "E")}>0)'), ('at unit 1', 'at unit 2'))):
        first = ord(ref[0]) - 64
        filled(sheet, [(group, head, '', 3) for head in heads], last, first)
        put(sheet, f'{ref[0]}{FIRST}', ArrayFormula(ref, formula), digits=3)
    for i, c in enumerate('FGHIJK'):
        for j, to in enumerate('BC'):
            put(sheet, f'{to}{3 + i}', f'=hidden!{c}{3 + j}', 'result', 3)
    for place, formula in (('F3', '=hidden!X3'), ('F4', '=hidden!Y3'), ('F6', '=hidden!AB3')):
        put(sheet, place, formula, 'result', 3)
    for i in range(6):
        put(sheet, f'I{3 + i}', None, digits=4)
        put(sheet, f'J{3 + i}', None, digits=4)
    put(sheet, 'I3', ArrayFormula('I3:J8', f'=MMULT(TRANSPOSE({x}),{all_of("I", "J")})'), digits=4)
    put(sheet, 'H4', None, digits=4)
    put(sheet, 'H3', ArrayFormula('H3:H4', f'=MMULT(TRANSPOSE({all_of("D", "E")}),{all_of("H")})'), digits=4)
    put(sheet, 'H6', f'=SUM({all_of("H")})', digits=4)
    for i, name in enumerate(FEATURES):
        put(sheet, f'A{3 + i}', name, 'label')
    for place, word in (('D3', '← w1'), ('G3', '← w2'), ('G6', '← b'), ('K3', '← slopes of w1: x.T @ this'),
                        ('K4', 'slopes of w2: h.T @ d, in H3:H4; of b: H6'),
                        ('K6', 'squared distance to sheet hidden:'),
                        ('K7', f'=SUMXMY2({all_of("G")},hidden!AC{FIRST}:AC{last})')):
        put(sheet, place, word, 'note')
    shaded(sheet, 'B', 'C', last)
    sheet.column_dimensions['F'].width = 14


# All steps

def steps_sheet(book, name, params, steps, last):
    "The sheet `…_steps` of a model: a block of columns a step; weights on top, slopes below, then the people."
    sheet, heads = book.create_sheet(f'{name}_steps'), ['prediction', 'slope']
    if name == 'hidden': heads = ['unit 1', 'unit 2', *heads]
    headed(sheet, f'{name}: all steps',
           'Each block of columns is one step. Its weights are those on the left minus rate times slopes there.',
           f'B{TOP}')
    steps_labels(sheet, name, last)
    before = None
    for step in range(steps + 1):
        block = [column(2 + step * len(heads) + j) for j in range(len(heads))]
        for c, head in zip(block, heads):
            put(sheet, f'{c}{TOP - 1}', head, 'head')
            sheet.column_dimensions[c].width = 11
        put(sheet, f'{block[0]}2', f'={before[0]}2+1' if before else 0, 'head', 0)
        block_scores(sheet, block[-2:], last)
        block_weights(sheet, name, block, before, params)
        block_slopes(sheet, block, last)
        block_people(sheet, name, block, last)
        before = block


def steps_labels(sheet, name, last):
    "What stands in column A of a sheet of steps."
    rows = {2: 'step', 3: 'loss', 4: 'wrong', WEIGHTS - 1: 'weights', SLOPES - 1: 'slopes', TOP - 1: 'people'}
    rows |= {row + i: feature for row in (WEIGHTS, SLOPES) for i, feature in enumerate(FEATURES)}
    if name == 'hidden':
        rows |= {WEIGHTS + 6: 'to the output, bias', SLOPES + 6: 'to the output, bias'}
    for row, word in rows.items():
        put(sheet, f'A{row}', word, 'label')
    for row in range(FIRST, last + 1):
        put(sheet, f'A{row + TOP - FIRST}', f'=people!A{row}')


def block_scores(sheet, block, last):
    "Loss and share of wrong answers of a step."
    p, y = f'{block[0]}{TOP}:{block[0]}{last + TOP - FIRST}', f'people!$N${FIRST}:$N${last}'
    put(sheet, f'{block[0]}3', f'=SUMXMY2({p},{y})/people!$B$3', 'result', 4)
    put(sheet, f'{block[0]}4', f'=SUMPRODUCT(--(({p}>0.5)<>({y}>0.5)))/people!$B$3', 'result', 3)


def block_weights(sheet, name, block, before, params):
    "The weights of a step: where training starts, or old weight minus rate times slope."
    rows = range(WEIGHTS, WEIGHTS + 6)
    cells = [(j, row) for j in range(max(1, len(block) - 2)) for row in rows]
    first = [v for unit in params[0].reshape(6, -1).T.tolist() for v in unit]
    if len(params) == 3:
        cells += [(j, WEIGHTS + 6) for j in range(3)]
        first += [*params[1].tolist(), params[2].item()]
    for (j, row), value in zip(cells, first, strict=True):
        if before:
            value = f'={before[j]}{row}-{name}!$B$4*{before[j]}{row + SLOPES - WEIGHTS}'
        put(sheet, f'{block[j]}{row}', value, None if before else 'input', 4)


def block_slopes(sheet, block, last):
    "The slopes of a step: each feature times the slope at what it flows into, summed over the people."
    *units, p, d = block
    def down(c): return f'{c}${TOP}:{c}${last + TOP - FIRST}'
    for c in units or [p]:
        for i, x in enumerate('HIJKLM'):
            x = f'people!${x}${FIRST}:${x}${last}'
            slope = f'=SUMPRODUCT({x},{down(d)})'
            if units:
                slope = f'={c}${WEIGHTS + 6}*SUMPRODUCT({x}*{down(d)}*({down(c)}>0))'
            put(sheet, f'{c}{SLOPES + i}', slope, digits=4)
    for c in units:
        put(sheet, f'{c}{SLOPES + 6}', f'=SUMPRODUCT({down(c)},{down(d)})', digits=4)
    if units: put(sheet, f'{p}{SLOPES + 6}', f'=SUM({down(d)})', digits=4)


def block_people(sheet, name, block, last):
    "Each person in a step: units, prediction, slope of the loss at the sum."
    *units, p, d = block
    for of in range(FIRST, last + 1):
        row = of + TOP - FIRST
        sums = [f'MMULT(people!$H{of}:$M{of},{c}${WEIGHTS}:{c}${WEIGHTS + 5})' for c in units or [p]]
        for c, total in zip(units, sums):
            put(sheet, f'{c}{row}', f'=MAX(0,{total})', digits=3)
        total = sums[0]
        if units:
            ends = f'{units[0]}{{0}}:{units[-1]}{{0}}'
            total = f'(SUMPRODUCT({ends.format(row)},{ends.format(f"${WEIGHTS + 6}")})+{p}${WEIGHTS + 6})'
        put(sheet, f'{p}{row}', f'={total}' if name == 'linear' else f'=1/(1+EXP(-{total}))', digits=3)
        bent = '' if name == 'linear' else f'*{p}{row}*(1-{p}{row})'
        put(sheet, f'{d}{row}', f'=2*({p}{row}-people!$N{of}){bent}/people!$B$3', digits=4)


def losses_sheet(book, names, steps):
    "The sheet `losses`: every loss and share of wrong answers, and a chart of the losses."
    sheet = book.create_sheet('losses', 1)
    headed(sheet, 'Losses, step by step', 'Each model has a learning rate of its own: cell B4 on its sheet.', 'B6')
    put(sheet, 'A5', 'step', 'head')
    for j, name in enumerate(names):
        loss, wrong, width = column(2 + j), column(6 + j), 4 if name == 'hidden' else 2
        put(sheet, f'{loss}5', name, 'head')
        put(sheet, f'{wrong}5', f'{name}, wrong', 'head')
        sheet.column_dimensions[wrong].width = 15
        for step in range(steps + 1):
            of = column(2 + step * width + width - 2)
            put(sheet, f'A{6 + step}', step)
            put(sheet, f'{loss}{6 + step}', f'={name}_steps!{of}3', digits=4)
            put(sheet, f'{wrong}{6 + step}', f'={name}_steps!{of}4', digits=3)
    put(sheet, f'A{8 + steps}', 'one guess for all', 'label')
    put(sheet, f'B{8 + steps}', '=people!N5*(1-people!N5)', 'result', 4)
    put(sheet, f'F{8 + steps}', '=MIN(people!N5,1-people!N5)', 'result', 3)
    chart = LineChart()
    chart.title, chart.x_axis.title, chart.y_axis.title = 'Loss, step by step', 'step', 'mean squared error'
    chart.width, chart.height, chart.legend.position = 18, 11, 'b'
    chart.add_data(Reference(sheet, min_col=2, max_col=4, min_row=5, max_row=6 + steps), titles_from_data=True)
    chart.set_categories(Reference(sheet, min_col=1, min_row=6, max_row=6 + steps))
    chart.y_axis.number_format, chart.y_axis.scaling.min = '0.00', 0
    for axis in (chart.x_axis, chart.y_axis):
        axis.delete = False # openpyxl 3.1 hides axes unless told
    for line, colour, dash in zip(chart.series, ('1F77B4', 'D55E00', '009E73'), ('solid', 'dash', 'sysDot')):
        line.graphicalProperties.line.solidFill, line.graphicalProperties.line.dashStyle = colour, dash
        line.smooth = False
    sheet.add_chart(chart, 'J4')


README = """A training step, cell by cell
note:Three models learn who of sixty passengers of the Titanic lived. Every result is a formula: click on it.

label:Where to look
people: words as they were written down, and the six features made of them.
linear: features with their weights above them, each product, their sum (the prediction), and who is wrong.
sigmoid: the same sum through the sigmoid, 1 / (1 + e^-sum), which lies between 0 and 1.
hidden: two such sums, each cut off below 0 (a unit), and one more sum of the two units.
matrix: the sheet hidden once more, with one formula for all people at once: MMULT is the @ of PyTorch.
losses: after each step the loss of all three models and the share of people each gets wrong; a chart.
linear_steps, sigmoid_steps, hidden_steps: every step, a block of columns each.

label:How to read a step
On the sheets linear, sigmoid and hidden type a step, 0 to 20, into the blue cell B3. Its weights appear.
Error is prediction minus what is right: 1 for who lived, 0 for who died. The loss is the mean of the squared errors.
The last columns say how fast the loss changes when the sum of one person grows.
Such a number times a feature, summed over all people, is the slope of that feature's weight.
The next weight is the weight minus the learning rate times its slope. Type the next step into B3: there it is.
Colours: blue cells are inputs, green ones results. A product is orange if it raises the sum, blue if it lowers it.

label:What to try
Type 0 into B3 of the sheet linear, then 1, then 2. Which weight has moved furthest after two steps?
Type 1 into the learning rate of linear (B4), then into that of sigmoid. Look at the chart each time.
Change somebody's sex on the sheet people, then somebody's age. Whose features change, and why?
On a sheet of steps copy the last block of columns to the right: that is one more step.

note:Functions used: {functions}.
note:There is no macro, no solver, no link. LibreOffice calculates the file in the course's tests."""
FUNCTIONS = ('SUM', 'SUMSQ', 'SUMPRODUCT', 'SUMXMY2', 'MMULT', 'TRANSPOSE', 'INDEX', 'IF', 'MAX', 'MIN', 'EXP', 'LN',
             'AVERAGE', 'MEDIAN', 'STDEV', 'COUNT', 'COUNTIF')


def readme_sheet(book):
    "The first sheet: what there is, how to read it, what to try."
    sheet = book.active
    sheet.title = 'Read me'
    sheet.column_dimensions['A'].width = 118
    sheet.sheet_view.showGridLines = False
    for row, text in enumerate(README.format(functions=', '.join(FUNCTIONS)).splitlines(), 1):
        kind, _, rest = text.partition(':')
        if kind not in INK: kind, rest = 'title' if row == 1 else None, text
        put(sheet, f'A{row}', rest, kind)
        sheet[f'A{row}'].alignment = Alignment(wrap_text=True, vertical='top')


# Writing and calculating

NOTES = {'linear': 'Each feature times the weight above it; the sum of the products is the prediction. '
                   'Wrong: on the other side of a half.',
         'sigmoid': 'Each feature times the weight above it; the sum of the products goes through the sigmoid.',
         'hidden': 'Each unit is a sum of products of its own, cut off below 0. '
                   'The units have weights too; their sum goes through the sigmoid.'}


def write_twin(path, people, models, steps=20, **_) -> Path:
    """Write the workbook to `path`, without any value: `calculated` adds them. `people` and `models` are those of
    `coursehelpers.tabular.twin_inputs`. A `DataError` says which folder is missing."""
    path, book, last = Path(path), Workbook(), FIRST + len(people) - 1
    if not path.parent.is_dir():
        raise DataError(f'{path}: there is no folder {path.parent}. Make it, or choose another.')
    readme_sheet(book)
    people_sheet(book, people, last)
    for name in ('linear', 'sigmoid'):
        flat_sheet(book, name, NOTES[name], models[name][0], steps, last)
    hidden_sheet(book, NOTES['hidden'], models['hidden'][0], steps, last)
    matrix_sheet(book, last)
    for name, (_, params) in models.items():
        steps_sheet(book, name, params, steps, last)
    losses_sheet(book, list(models), steps)
    book.properties.creator = 'coursehelpers'
    book.save(path)
    return path


def find_office() -> str:
    "LibreOffice's command, or a `DataError`."
    mac = '/Applications/LibreOffice.app/Contents/MacOS/soffice'
    found = shutil.which('soffice') or shutil.which('libreoffice') or shutil.which(mac)
    if not found:
        raise DataError('LibreOffice is not here (no command soffice). Install it (Debian: libreoffice-calc-nogui), '
                        'or open the file in a spreadsheet program and save it: that calculates too.')
    return found


def calculated(files, folder, seconds=120) -> list:
    """The files as LibreOffice saves them into `folder` after calculating every formula that has no value yet. A
    `DataError` says what went wrong."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile: # its own, so that several may run at once
        command = [find_office(), f'-env:UserInstallation={Path(profile).as_uri()}', '--headless', '--norestore',
                   '--convert-to', 'xlsx:Calc MS Excel 2007 XML', '--outdir', str(folder), *map(str, files)]
        office = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  start_new_session=True)
        try:
            said = office.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(office.pid, signal.SIGKILL)
            office.communicate()
            raise DataError(f'LibreOffice was not done after {seconds} seconds.') from None
    made = [Path(folder)/Path(file).name for file in files]
    if not all(file.is_file() for file in made):
        raise DataError(f'LibreOffice calculated nothing: {said.strip() or "it said nothing"}')
    return made


MAIN = '{http://schemas.openxmlformats.org/spreadsheetml/2006/main}'
ElementTree.register_namespace('', MAIN[1:-1])
ElementTree.register_namespace('r', 'http://schemas.openxmlformats.org/officeDocument/2006/relationships')


def valued(part, sheet):
    "The XML of a sheet with the values of another, calculated one in all its cells that have none."
    tree = ElementTree.fromstring(part)
    for cell in tree.iter(MAIN + 'c'):
        value, old = sheet[cell.get('r')].value, cell.find(MAIN + 'v')
        if value is None or (old is not None and old.text): continue
        if old is None: old = ElementTree.SubElement(cell, MAIN + 'v')
        if isinstance(value, str): cell.set('t', 'str')
        old.text = value if isinstance(value, str) else repr(value)
    return ElementTree.tostring(tree, encoding='UTF-8', xml_declaration=True)


def recalculate(path, seconds=120) -> Path:
    """Calculate a file of `write_twin` with LibreOffice, and store the values beside its formulas: LibreOffice's own
    file loses some of the looks. All dates in it become 2020, so that the same inputs give the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        values = load_workbook(calculated([path], folder, seconds)[0], data_only=True)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for i, name in enumerate(values.sheetnames, 1):
        sheet = f'xl/worksheets/sheet{i}.xml'
        parts[sheet] = valued(parts[sheet], values[name])
    core = ElementTree.fromstring(parts['docProps/core.xml'])
    for date in core:
        if date.tag.startswith('{http://purl.org/dc/terms/}'):
            date.text = '2020-01-01T00:00:00Z'
    parts['docProps/core.xml'] = ElementTree.tostring(core)
    with whole(path) as part, zipfile.ZipFile(part, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in parts.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED, 9)
    return Path(path)


if __name__ == '__main__':
    from coursehelpers.tabular import twin_inputs
    with tempfile.TemporaryDirectory() as folder: # what was not calculated never takes the old file's place
        done = recalculate(write_twin(Path(folder)/packaged().name, **twin_inputs()))
        print(shutil.copy(done, packaged()))
