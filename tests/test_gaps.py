"A gap in a notebook: what depends on it says so in one line, and nothing else does."

import nbformat
import numpy as np
import pytest
import torch

from coursehelpers.author.running import run_nb
from coursehelpers.checks.gaps import NotWritten, Unwritten, fill_gaps

GAP = Unwritten('mse')

USES = [
    lambda: GAP(1), lambda: GAP.mean(), lambda: GAP + 1, lambda: 1 - GAP, lambda: -GAP, lambda: GAP @ GAP,
    lambda: GAP[0], lambda: len(GAP), lambda: list(GAP), lambda: bool(GAP), lambda: GAP < 1, lambda: 1 == GAP,
    lambda: float(GAP), lambda: f'{GAP:.2f}', lambda: str(GAP), lambda: torch.ones(2) * GAP, lambda: torch.stack([GAP]),
    lambda: torch.nn.functional.mse_loss(torch.ones(1), GAP), lambda: np.asarray(GAP), lambda: np.ones(2) + GAP,
]


@pytest.mark.parametrize('use', USES, ids=range(len(USES)))
def test_any_use_says_what_to_write(use):
    with pytest.raises(NotWritten, match='write `mse` first'):
        use()


def test_it_can_be_shown_and_kept():
    assert repr(GAP) == 'write `mse` first' and GAP.__name__ == 'mse' and {GAP: 1}[GAP] == 1


def test_what_is_written_stays():
    def mine(x): return x
    values = dict(mine=mine, nothing=None, number=0)
    fill_gaps('def mine(x): return x\nnothing, number = None, 0\nif 0: never = 1', values)
    assert values == dict(mine=mine, nothing=None, number=0)


CELLS = [
    'import torch\nfrom coursehelpers.exercises import check',
    'def mse(preds, y):\n    "The mean squared error."\n    ...',
    'loss = ... # one number\nclass Stop(Exception): "A class that needs nothing."\ndef idle(): pass\nidle()',
    'mse(1, 2)',
    'print(f"{loss:.2f}")',
    'x = torch.ones(2, requires_grad=True)',
    'found = mse(x, 0)\nfound.backward()',
    'found.item()',
    'x.grad.sum()',  # no gradient is there, because of the gap
    '1 / 0',  # its own fault
    'def mse(preds, y):\n    return (preds - y).pow(2).mean()',
    'found = mse(x, 0)\nfound.backward()\nx.grad.sum()',
    'undefined',
    'raise Stop',
]


def test_in_a_kernel(tmp_path):
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    nb.metadata.kernelspec = dict(name='python3', display_name='python3')
    done = run_nb(nb, tmp_path, 'gaps.ipynb', allow_errors=True)
    said = [next((o['traceback'] for o in c['outputs'] if o['output_type'] == 'error'), []) for c in done['cells']]
    for cell, name in ((3, 'mse'), (4, 'loss'), (6, 'mse'), (7, 'mse'), (8, 'mse')):
        assert said[cell] == [f'NotWritten: write `{name}` first'], CELLS[cell]
    assert 'ZeroDivisionError' in ''.join(said[9]) and 'NameError' in ''.join(said[12])
    assert 'Stop' in ''.join(said[13]) and 'NotWritten' not in ''.join(said[13]), said[13]
    assert said[10] == said[11] == [], said[11]
