"""The environment in .venv with one extra of the package: python3 scripts/environment.py lab. `make` calls it.

It has to start in an old Python too, so that it can say that it is too old. TORCH=cpu takes PyTorch's build without
CUDA, a fraction of the download; TORCH=https://... another index of theirs."""
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST, NEWEST = (3, 10), (3, 14)
KNOWN = 'Python 3.10 to 3.14'
CPU = 'https://download.pytorch.org/whl/cpu'


def runs(*command):
    "Does it end well? What it says is shown."
    return subprocess.run([str(part) for part in command], cwd=str(ROOT)).returncode == 0


def version_of(python):
    "(major, minor) of the Python at this path; None where it does not start."
    code = 'import sys; print(*sys.version_info[:2])'
    try:
        said = subprocess.run([str(python), '-c', code], stdout=subprocess.PIPE).stdout
    except OSError:
        return None
    return tuple(map(int, said.split())) or None


def environment(venv):
    "The Python of `venv`, which is made if it is not there. Where that cannot be: one sentence, and the end."
    python = venv/('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
    if venv.exists():
        version = version_of(python)
        if version and OLDEST <= version <= NEWEST: return python
        made = 'Python {}.{}'.format(*version) if version else 'a Python that is gone'
        sys.exit(f'{venv} was made by {made}, and the course needs {KNOWN}: remove that folder, and try again.')
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(f'The course needs {KNOWN}, and {sys.executable} is {platform.python_version()}. '
                 'Name another one: make lab PYTHON=python3.13')
    if not runs(sys.executable, '-m', 'venv', venv):
        shutil.rmtree(str(venv), ignore_errors=True) # half an environment would be taken for one
        sys.exit('No environment could be made (above: why). On Debian and Ubuntu: sudo apt install python3-venv')
    return python


def install(python, extra, torch):
    "The package with this extra, editable; torch from an index of its own first, if one is named."
    pip = python, '-m', 'pip', 'install', '-q', '-c', 'constraints.txt'
    index = CPU if torch == 'cpu' else torch
    if index and not runs(*pip, '--retries', '1', '--index-url', index, 'torch', 'torchvision'):
        sys.exit(f'torch could not be had from {index} (above: why). Without TORCH= the build for NVIDIA GPUs is '
                 'installed from the usual index; it works on a CPU too, and takes 4.8 GB.')
    if not runs(*pip, '-e', f'.[{extra}]'):
        sys.exit('The packages could not be installed (above: why). Is there a network? Then try again.')


if __name__ == '__main__':
    install(environment(ROOT/'.venv'), sys.argv[1], os.environ.get('TORCH'))
