"""What works where: lessons run in environments with other platforms' versions, made on this machine.

    python -m scripts.matrix                      every row
    python -m scripts.matrix "newest versions"    this one

An environment takes 5 GB while it is used. What happened is kept in docs/platforms.json; README's table is made of it.
"""
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import solve
from coursehelpers.base.files import whole

ROOT = Path(__file__).parents[1]
FOUND = ROOT/'docs/platforms.json'
SHOWN = ('torch', 'timm', 'ipywidgets') # the packages whose versions the table shows


@dataclass
class Row:
    "One platform: its Python, what it asks of the installer, which lessons run (none: all), the package's extra."
    python: str
    options: list = field(default_factory=list)
    lessons: tuple = ('00', '03', '09') # what moves, what is exercised, what trains on photographs
    extra: str = '[lab]'


ROWS = {
    'lowest versions': Row('3.10', ['--resolution', 'lowest-direct']),
    'locked versions': Row('3.11', ['-c', f'{ROOT}/constraints.txt'], ()),
    'newest versions': Row('3.12'),
    'newest versions, Python 3.13': Row('3.13'),
    'newest versions, Python 3.14': Row('3.14'),
    "Colab's versions": Row('3.13', ['-c', f'{ROOT}/scripts/platforms/colab.txt'], (), ''),
}


def interpreter(version: str) -> str:
    "An interpreter of that version below pyenv; if there is none, the version, for uv to find."
    have = sorted(Path('~/.pyenv/versions').expanduser().glob(f'{version}.*/bin/python'))
    return str(have[-1]) if have else version


def environment(row: Row, folder: Path) -> Path:
    "Make the environment of a row below `folder`; its folder of programs. What cannot be made is a CalledProcessError."
    uv, home = [sys.executable, '-m', 'uv'], folder/'env'
    subprocess.run([*uv, 'venv', '-q', '--no-python-downloads', '--python', interpreter(row.python), home], check=True)
    wanted = [f'{ROOT}{row.extra}', 'ipykernel<7', 'nbclient']
    subprocess.run([*uv, 'pip', 'install', '-q', '--python', home/'bin/python', *row.options, *wanted], check=True)
    return home/'bin'


def versions(programs: Path) -> dict:
    "{package: version} of the packages that the table shows."
    code = f'from importlib.metadata import version; print(*map(version, {SHOWN}))'
    done = subprocess.run([programs/'python', '-c', code], capture_output=True, text=True, check=True)
    return dict(zip(SHOWN, done.stdout.split()))


def solved_copy(programs: Path, folder: Path) -> Path:
    "A working copy as the installed package makes it, the answers put into its clean notebooks."
    copy = folder/'a copy' # with a space, as people have
    subprocess.run([programs/'coursehelpers', 'get', copy], check=True, capture_output=True)
    for path in (copy/'clean').glob('*.ipynb'):
        path.write_text(json.dumps(solve(read_nb(path), read_nb(copy/'full'/path.name))), encoding='utf-8')
    return copy


def said_by(programs: Path, copy: Path, command: list, out: Path) -> tuple:
    "Run a command of the course in the copy, with no hub and no progress of anybody's: (exit code, what it said)."
    ours = {name: value for name, value in os.environ.items() if not name.startswith(('COURSEHELPERS', 'PYTHON'))}
    env = ours | {'HF_HUB_OFFLINE': '1', 'COURSEHELPERS_RUN_PROGRESS': str(copy/'progress.json')}
    with open(out, 'w') as log:
        done = subprocess.run([programs/'coursehelpers', *command], cwd=copy, env=env, stdout=log, stderr=log)
    return done.returncode, out.read_text()


def try_out(name: str, logs: Path) -> dict:
    "Make one row's environment, run its lessons in both variants: a row of the table."
    row = ROWS[name]
    with tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR')) as folder:
        programs = environment(row, Path(folder))
        copy = solved_copy(programs, Path(folder))
        ran, said = said_by(programs, copy, ['run', *row.lessons], logs/f'{name}: full.log')
        judged, _ = said_by(programs, copy, ['check', *row.lessons], logs/f'{name}: clean.log')
        took = re.findall(r'^(\S+): ran in ([\d.]+) s, with ([\d.]+) GB', said, re.M)
        return dict(platform=name, python=row.python, **versions(programs),
                    lessons=' '.join(stem[:2] for stem, _, _ in took), full='failed' if ran else 'no error',
                    clean='failed' if judged else 'all correct', seconds=round(sum(float(s) for _, s, _ in took)),
                    memory=max((float(gb) for _, _, gb in took), default=0),
                    machine=f'{platform.system()}, {os.cpu_count()} cores', date=str(datetime.date.today()))


def keep(row: dict):
    "Put a row in the place of the one that had its name, or at the end."
    rows = json.loads(FOUND.read_text()) if FOUND.exists() else []
    places = {old['platform']: i for i, old in enumerate(rows)}
    at = places.get(row['platform'], len(rows))
    rows[at:at + 1] = [row]
    with whole(FOUND) as part:
        part.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')


def main(names: Annotated[list[str], typer.Argument(help='Rows; none means all.')] = None,
         logs: Annotated[Path, typer.Option(help='Where what was said is kept.')] = Path('matrix-logs')):
    "Run the rows one after the other; exit code 1 if one failed."
    unknown = set(names or []) - set(ROWS)
    if unknown:
        raise typer.BadParameter(f'no row {", ".join(unknown)}. There are: {", ".join(ROWS)}')
    logs.mkdir(exist_ok=True)
    failed = []
    for name in names or ROWS:
        try:
            row = try_out(name, logs)
        except subprocess.CalledProcessError as e:
            typer.echo(f'{name}: {e}', err=True)
            failed.append(name)
            continue
        keep(row)
        typer.echo(json.dumps(row))
        if (row['full'], row['clean']) != ('no error', 'all correct'):
            failed.append(name)
    if failed: raise typer.Exit(1)


if __name__ == '__main__':
    typer.run(main)
