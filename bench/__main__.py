"""`make bench`, or `python -m bench imports loader pets`: measure, print the ratios, and write bench/RESULTS.md.

A part is a module here with `run()`, which gives rows: what, ours, theirs, unit, ratio (ours/theirs), target,
ok (was it met), note.
Ours and theirs take turns within one run, so the ratio means something even where the seconds do not."""
import argparse
import datetime
import importlib
import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import torch

from coursehelpers.base.files import DataError
from coursehelpers.results import machine

PARTS = ['imports', 'first', 'slider', 'learner', 'loader', 'engine', 'memory', 'pets', 'more_pets', 'segmentation',
         'gpu', 'serve']
RESULTS = Path(__file__).with_name('RESULTS.md')
INTRODUCTION = '''# Results of `make bench`

Ratios are ours/theirs, measured in turns in one run. Lower is better unless a row says otherwise. Each table says on
which machine; measuring again replaces the tables of that kind of machine and leaves the others.
'''
HEAD = '| what | ours | theirs | ratio | target | met | note |\n|---|---|---|---|---|---|---|\n'


def where():
    "The processor and its cores, as records name them, and the memory."
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30 if hasattr(os, 'sysconf') else 0
    gpu = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{machine("cpu")}, {memory:.0f} GB{gpu}'


def line(row):
    "A row of the table."
    ours, theirs = ('' if v is None else f'{v:.3g} {row["unit"]}' for v in (row['ours'], row['theirs']))
    met = {True: 'yes', False: 'no', None: ''}[row.get('ok')]
    cells = row['what'], ours, theirs, as_ratio(row.get('ratio')), row['target'], met, row['note']
    return f'| {" | ".join(cells)} |'


def as_ratio(ratio):
    "1/3.0 where ours is a third of theirs, 1.20 where it is more."
    if ratio is None:
        return ''
    return f'1/{1 / ratio:.1f}' if ratio < 1 else f'{ratio:.2f}'


def measured(part, rows):
    "Where and when it was measured, and the table."
    versions = ', '.join(f'{p} {metadata.version(p)}' for p in ('torch', 'timm', 'fastai', 'jupyterlab'))
    python = f'Python {platform.python_version()}'
    facts = [datetime.date.today(), where(), python, versions, f'`python -m bench {part}`']
    return f'{" · ".join(map(str, facts))}\n\n{HEAD}' + '\n'.join(map(line, rows))


def by_machine(blocks):
    "{machine: its facts and its table} of a section's blocks of text."
    return {facts.split(' · ')[1]: f'{facts}\n\n{table}' for facts, table in zip(blocks[::2], blocks[1::2])}


def store(part, text):
    "Put facts and table into RESULTS.md, in place of those that this part had from the same kind of machine."
    old = RESULTS.read_text() if RESULTS.exists() else ''
    sections = dict(s.strip().split('\n\n', 1) for s in old.split('\n## ')[1:])
    tables = by_machine(sections.get(part, '').split('\n\n')) | by_machine(text.split('\n\n'))
    sections[part] = '\n\n'.join(tables.values())
    told = [f'## {p}\n\n{sections[p]}\n' for p in PARTS if p in sections]
    RESULTS.write_text('\n'.join([INTRODUCTION, *told]))


def main():
    "Measure the parts named on the command line, or all."
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__.split('\n')[0])
    parser.add_argument('parts', nargs='*', help=f'any of {", ".join(PARTS)}; all if none is given')
    parts = parser.parse_args().parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f'no part {sorted(unknown)[0]!r}; there are {", ".join(PARTS)}')
    for part in parts:
        try:
            text = measured(part, importlib.import_module(f'bench.{part}').run())
        except DataError as e:
            sys.exit(f'{part}: {e}')
        print(f'## {part}\n\n{text}\n', flush=True)
        store(part, text)


if __name__ == '__main__':
    main()
