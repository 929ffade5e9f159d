"scale: two processes by torchrun train as one does; one of them speaks."

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.long # each test starts one process, then several; lesson 08 starts two in the short tier

JOB = '''
"""job.py KIND RESULT [CHECKPOINT]: a learner's script, on one process or on many."""
import gc, json, sys
import torch
from torch import nn
from torch.nn import functional as F
from coursehelpers.data import Dls, Loader
from coursehelpers.learner import Callback, Learner

kind, result, *checkpoint = sys.argv[1:]
g = torch.Generator().manual_seed(0)
x = torch.randn(101, 4, generator=g) # the last batch has 101 - 6 * 16 = 5 rows, the last one held out a single row
y = x.argmax(1)
train, valid = Loader(x, y, torch.arange(101), 16, shuffle=True), Loader(x, y, torch.arange(37), 12)
dls = Dls.of(train, valid, vocab=list('abcd'))
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4))
learn = Learner(model, dls, lr=.01, accumulate=2 if kind == 'accumulate' else 1)

class Stop(Callback):
    def state_dict(self): return {}
    def after_batch(self, learn):
        if kind == 'stop' and (learn.epoch, learn.batch) == (1, 3):
            learn.stop = True
            raise SystemExit

if kind == 'search':
    calls = []

    def loss(preds, y):
        "No number in one of the processes only."
        calls.append(1)
        return F.cross_entropy(preds, y) * (float('nan') if len(calls) == 60 and not learn.is_main else 1)

    learn.loss_func = loss
    rates = [learn.lr_find(steps=40, quiet=True), learn.lr_find(steps=40, quiet=True)]
    learn.loss_func = F.cross_entropy
    for _ in range(3): learn.fit(1, rates[0], quiet=True)
    wrapped = [o for o in gc.get_objects() if isinstance(o, nn.parallel.DistributedDataParallel)]
    weights = [p.tolist() for p in learn.model.parameters()]
    found = learn.processes.collect(dict(rates=rates, weights=weights, wrapped=len(wrapped), losses=learn.losses))
    if learn.is_main: open(result, 'w').write(json.dumps(found))
    sys.exit()

learn.fit(3, checkpoint=checkpoint[0] if checkpoint else None, every=2, callbacks=[Stop()])
preds, y = learn.get_preds()
if learn.is_main:
    rows = [[r['train_loss'], r['valid_loss'], r['error_rate']] for r in learn.history]
    weights = [p.flatten().tolist() for p in learn.model.parameters()]
    found = dict(world=learn.world, rows=rows, weights=weights, y=y.tolist(), first=preds[:, 0].tolist())
    open(result, 'w').write(json.dumps(found))
'''


def run(folder, processes, *args):
    "(what the job found, what it printed) on so many processes."
    (folder / 'job.py').write_text(JOB)
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    launcher = '-m torch.distributed.run --master_port 0 --rdzv_backend c10d --rdzv_endpoint localhost:0'.split()
    how = [*launcher, '--nproc_per_node', str(processes)] if processes > 1 else []
    out = folder / f'{processes}{args[0]}.json'
    done = subprocess.run(
        [sys.executable, *how, str(folder / 'job.py'), args[0], str(out), *args[1:]],
        env=env,
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0 or args[0] == 'stop', done.stdout + done.stderr
    return json.loads(out.read_text()) if out.exists() else None, done.stdout


def close(a, b, within=1e-5):
    return all(abs(v - w) < within for r, s in zip(a, b, strict=True) for v, w in zip(r, s, strict=True))


@pytest.mark.parametrize('kind', ['ours', 'accumulate'])
def test_two_processes_are_one(tmp_path, kind):
    one, two = (run(tmp_path, n, kind) for n in (1, 2))
    assert one[0]['world'] == 1 and two[0]['world'] == 2
    assert close(one[0]['rows'], two[0]['rows']) and close(one[0]['weights'], two[0]['weights'])
    assert one[0]['y'] == two[0]['y'] and close([one[0]['first']], [two[0]['first']]), (
        'predictions in the order of the data'
    )
    assert [r.split()[0] for r in two[1].split('\n') if r.strip()] == ['epoch', '0', '1', '2'], 'one table, not two'


def test_two_processes_resume(tmp_path):
    whole, _ = run(tmp_path, 2, 'ours')
    assert run(tmp_path, 2, 'stop', 'run.safetensors')[0] is None
    again, said = run(tmp_path, 2, 'ours', 'run.safetensors')
    assert again == whole and said.count('goes on in epoch 1, batch 2') == 1


def test_more_processes_than_rows_in_the_last_batch(tmp_path):
    one, three = (run(tmp_path, n, 'ours') for n in (1, 3))
    assert three[0]['world'] == 3 and close(one[0]['rows'], three[0]['rows']) and one[0]['y'] == three[0]['y']


def test_two_processes_search_as_one(tmp_path):
    """The same rate, the same end of the search, the same weights; a loss that is no number in one ends it in both;
    and of the wrappers that share the gradients none piles up."""
    one, two = run(tmp_path, 2, 'search')[0]
    assert one == two and one['wrapped'] <= 1
    alone = run(tmp_path, 1, 'search')[0][0]
    assert one['rates'][0] == pytest.approx(alone['rates'][0], rel=0.01)
    assert close([one['losses']], [alone['losses']])
