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

from coursehelpers.base.files import DataError
from coursehelpers.results import machine

PARTS = ['imports', 'first', 'slider', 'learner', 'loader', 'engine', 'memory', 'pets', 'gpu']
RESULTS = Path(__file__).with_name('RESULTS.md')
INTRODUCTION = '''# Results of `make bench`

Ratios are ours/theirs, measured in turns in one run. Lower is better unless a row says otherwise.
'''
HEAD = '| what | ours | theirs | ratio | target | met | note |\n|---|---|---|---|---|---|---|\n'


def where():
    "The processor and its cores, as records name them, and the memory."
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30 if hasattr(os, 'sysconf') else 0
    return f'{machine("cpu")}, {memory:.0f} GB'


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


def section(part, rows):
    "The part's heading, where and when it was measured, and its table."
    versions = ', '.join(f'{p} {metadata.version(p)}' for p in ('torch', 'timm', 'fastai', 'jupyterlab'))
    python = f'Python {platform.python_version()}'
    facts = [datetime.date.today(), where(), python, versions, f'`python -m bench {part}`']
    return f'## {part}\n\n{" · ".join(map(str, facts))}\n\n{HEAD}' + '\n'.join(map(line, rows)) + '\n'


def store(part, text):
    "Put the section into RESULTS.md in place of the one before."
    old = RESULTS.read_text() if RESULTS.exists() else INTRODUCTION
    head, *sections = old.split('\n## ')
    kept = {s.split('\n', 1)[0]: s for s in sections} | {part: text.removeprefix('## ')}
    RESULTS.write_text('\n## '.join([head, *[kept[p] for p in PARTS if p in kept]]).rstrip() + '\n')


def main():
    "Measure the parts named on the command line, or all."
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__.split('\n')[0])
    parser.add_argument('parts', nargs='*', help=f'any of {", ".join(PARTS)}; all if none is given')
    parts = parser.parse_args().parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f'no part {sorted(unknown)[0]!r}; there are {", ".join(PARTS)}')
    for part in parts:
        try:
            text = section(part, importlib.import_module(f'bench.{part}').run())
        except DataError as e:
            sys.exit(f'{part}: {e}')
        print(text, flush=True)
        store(part, text)


if __name__ == '__main__':
    main()
