"""What works where: lessons run in environments with other platforms' versions, made on this machine.

    python -m scripts.matrix                      every row
    python -m scripts.matrix "newest versions"    this one

An environment takes 5 GB while it is used, and comes from the package index. What happened is kept in
docs/platforms.json; README's table is made of it.
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
from tests.browser import chromium, missing, new_page, serving, wait, write_notebook

ROOT = Path(__file__).parents[1]
FOUND = ROOT/'docs/platforms.json'
SHOWN = ('torch', 'timm', 'ipywidgets') # the packages whose versions the table shows
COURSE, LAB = str(ROOT), f'{ROOT}[lab]'
PLATFORMS = ROOT/'scripts/platforms'
ALONE = ['unshare', '--map-root-user', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'] # no route out


@dataclass
class Row:
    "One platform: its Python, what the installer is told, which lessons run (none: all), and with what network."
    python: str
    wanted: list
    lessons: tuple = ('00', '03', '09') # what moves, what is exercised, what trains on photographs
    before: list = field(default_factory=list) # what runs before each command
    own_kernel: bool = False # too old for the course, whose first cell makes a kernel of its own


ROWS = {
    'lowest versions': Row('3.10', [LAB, '--resolution', 'lowest-direct']),
    'locked versions, no network': Row('3.11', [LAB, '-c', f'{ROOT}/constraints.txt'], (), ALONE),
    'newest versions': Row('3.12', [LAB]),
    'newest versions, Python 3.13': Row('3.13', [LAB]),
    'newest versions, Python 3.14': Row('3.14', [LAB]),
    "Colab's versions": Row('3.13', [COURSE, '-c', f'{PLATFORMS}/colab.txt'], ()),
    'JupyterLab 3.6, ipywidgets 7.7': Row('3.11', [COURSE, 'jupyterlab>=3.6,<4', 'ipywidgets==7.7.1']),
    "Paperspace's versions": Row('3.11', ['-r', f'{PLATFORMS}/paperspace.txt', 'jupyterlab==3.6.5', 'pip'],
                                 own_kernel=True),
}


def interpreter(version: str) -> str:
    "An interpreter of that version below pyenv; if there is none, the version, for uv to find."
    have = sorted(Path('~/.pyenv/versions').expanduser().glob(f'{version}.*/bin/python'))
    return str(have[-1]) if have else version


def environment(row: Row, folder: Path) -> Path:
    "Make the environment of a row below `folder`; its folder of programs. What cannot be made is a CalledProcessError."
    uv, home = [sys.executable, '-m', 'uv'], folder/'env'
    subprocess.run([*uv, 'venv', '-q', '--python', interpreter(row.python), home], check=True)
    wanted = [*row.wanted, 'ipykernel<7', 'nbclient']
    subprocess.run([*uv, 'pip', 'install', '-q', '--python', home/'bin/python', *wanted], check=True)
    return home/'bin'


def with_own_kernel(programs: Path, home: Path) -> Path:
    "Do what a lesson's first cell does on a platform that is too old: the programs of the course's own environment."
    code = f'import runpy; runpy.run_path({str(ROOT/"coursehelpers/base/ready.py")!r})["install"]({COURSE!r})'
    done = subprocess.run([programs/'python', '-c', code], env=clean_env(home), capture_output=True, text=True)
    if 'so the course has a kernel of its own' not in done.stderr:
        raise subprocess.CalledProcessError(done.returncode, 'the first cell', stderr=done.stderr)
    return home/'.coursehelpers/kernel/bin'


def clean_env(home: Path) -> dict:
    "This process's environment variables without those of the course and of Python, in a home of its own."
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(('COURSEHELPERS', 'PYTHON'))}
    return theirs | {'HOME': str(home)}


def versions(programs: Path) -> dict:
    "{package: version} of the packages that the table shows."
    code = f'from importlib.metadata import version; print(*map(version, {SHOWN}))'
    done = subprocess.run([programs/'python', '-c', code], capture_output=True, text=True, check=True)
    return dict(zip(SHOWN, done.stdout.split()))


def solved_copy(programs: Path, folder: Path) -> Path:
    "A working copy as the installed package makes it, the answers put into its clean notebooks."
    copy = folder/'a copy' # with a space, as people have
    subprocess.run([programs/'coursehelpers', 'get', copy], env=clean_env(folder), check=True, capture_output=True)
    for path in (copy/'clean').glob('*.ipynb'):
        path.write_text(json.dumps(solve(read_nb(path), read_nb(copy/'full'/path.name))), encoding='utf-8')
    return copy


def said_by(command: list, copy: Path, out: Path) -> tuple:
    "Run a command in the copy, with no hub and no progress of anybody's: (exit code, what it said)."
    with open(out, 'w') as log:
        env = clean_env(copy.parent) | {'HF_HUB_OFFLINE': '1'}
        done = subprocess.run(command, cwd=copy, env=env, stdout=log, stderr=log)
    return done.returncode, out.read_text()


ASK = 'from coursehelpers import doctor as d; d._looks = [d._kernel]; rows = d.doctor()'


def answer_in_lab(programs: Path, copy: Path, kernel: str, log: Path) -> str:
    """In the JupyterLab of an environment, in Chromium, the doctor's last look: is what the page sends answered?
    What became of it, with JupyterLab's version; '' where there is no JupyterLab."""
    found = subprocess.run([programs/'python', '-m', 'jupyterlab', '--version'], capture_output=True, text=True)
    if found.returncode: return ''
    write_notebook(copy/'doctor.ipynb', ASK, kernel=kernel)
    command = ['-m', 'jupyterlab', '--allow-root', f'--ServerApp.root_dir={copy}']
    with (serving(command, clean_env(copy.parent), copy, log, python=programs/'python') as base,
          chromium() as browser):
        page = new_page(browser)
        page.goto(f'{base}/lab/tree/doctor.ipynb')
        page.get_by_text('| Idle').wait_for(timeout=60_000)
        page.get_by_role('menuitem', name='Run', exact=True).click()
        page.get_by_role('menuitem', name='Run All Cells', exact=True).click()
        try:
            wait(lambda: page.get_by_role('status').filter(has_text='✓ page').count(), 60)
            became = 'answered'
        except AssertionError:
            became = 'no answer'
            page.screenshot(path=log.with_suffix('.png'))
    return f'{became}, JupyterLab {found.stdout.strip()}'


def try_out(name: str, logs: Path) -> dict:
    "Make one row's environment, run its lessons in both variants, let a page ask its kernel: a row of the table."
    row = ROWS[name]
    with tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR')) as folder:
        lab = programs = environment(row, Path(folder))
        if row.own_kernel: programs = with_own_kernel(programs, Path(folder))
        copy = solved_copy(programs, Path(folder))
        course = [*row.before, programs/'coursehelpers']
        ran, said = said_by([*course, 'run', *row.lessons], copy, logs/f'{name}: full.log')
        judged, _ = said_by([*course, 'check', *row.lessons], copy, logs/f'{name}: clean.log')
        page = answer_in_lab(lab, copy, 'coursehelpers' if row.own_kernel else 'python3', logs/f'{name}: lab.log')
        took = re.findall(r'^(\S+): ran in ([\d.]+) s, with ([\d.]+) GB', said, re.M)
        return dict(platform=name, python=row.python, **versions(programs),
                    lessons=' '.join(stem[:2] for stem, _, _ in took), full='failed' if ran else 'no error',
                    clean='failed' if judged else 'all correct', page=page,
                    seconds=round(sum(float(s) for _, s, _ in took)),
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


def went_well(name: str, logs: Path) -> bool:
    "Try a row out, keep it and say it. One whose environment cannot be made is said alone."
    try:
        row = try_out(name, logs)
    except subprocess.CalledProcessError as e:
        typer.echo(f'{name}: {e} {e.stderr or ""}', err=True)
        return False
    keep(row)
    typer.echo(json.dumps(row))
    return (row['full'], row['clean']) == ('no error', 'all correct') and not row['page'].startswith('no answer')


def main(names: Annotated[list[str], typer.Argument(help='Rows; none means all.')] = None,
         logs: Annotated[Path, typer.Option(help='Where what was said is kept.')] = Path('matrix-logs')):
    "Run the rows one after the other; exit code 1 if one failed."
    unknown = set(names or []) - set(ROWS)
    if unknown:
        raise typer.BadParameter(f'no row {", ".join(unknown)}. There are: {", ".join(ROWS)}')
    if missing():
        raise typer.BadParameter(missing())
    logs.mkdir(exist_ok=True)
    if not all([went_well(name, logs) for name in names or ROWS]):
        raise typer.Exit(1)


if __name__ == '__main__':
    typer.run(main)
