"resume: a killed run goes on as if nothing had happened; a file is whole or absent; what does not fit is refused."

import copy
import errno
import json
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from coursehelpers.data import Dls, Loader, loaders, photo_digits
from coursehelpers.learner import Callback, EarlyStop, Learner, NonFiniteLoss
from coursehelpers.training import checkpoints
from coursehelpers.training.checkpoints import CheckpointError, read

KILLS = int(os.environ.get('COURSE_KILLS', 3))  # random moments at which a process is killed

JOB = '''
"""A run that can be killed: job.py RESULT CHECKPOINT KIND"""
import sys, time
import torch
torch.set_num_threads(1)
from tests.test_resume import make
from coursehelpers.learner import Callback

class Slow(Callback):
    "Gives the killer time to strike anywhere."
    def state_dict(self): return {}
    def after_batch(self, learn): time.sleep(.004)

result, checkpoint, kind = sys.argv[1:]
learn = make(kind)
print('begins', flush=True)
learn.fit(4, quiet=True, checkpoint=checkpoint, every=3, callbacks=[Slow()])
rows = [{k: v for k, v in r.items() if k != 'seconds'} for r in learn.history]
torch.save(dict(model=learn.model.state_dict(), losses=learn.losses, rates=learn.rates, rows=rows), result)
'''


class Jumpy(Dataset):
    "Points that are moved at random, by three sources of random numbers, each time they are asked for."

    def __len__(self):
        return 70

    def __getitem__(self, i):
        return torch.full((4,), float(i % 5)) + torch.randn(4) * 0.1 + random.random() * 0.1 + float(
            np.random.rand()
        ) * 0.1, i % 3


def make(kind='ours'):
    "A learner with dropout, batch norm and random data: ours, or around a torch DataLoader."
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    if kind == 'ours':
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 10),
        ).to(memory_format=torch.channels_last)
        return Learner(model, loaders(photo_digits(150, 16), batch_size=16, device='cpu'), lr=0.01)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.Linear(16, 3))
    own = dict(generator=torch.Generator().manual_seed(3)) if kind == 'generator' else {}
    return Learner(
        model,
        Dls.of(DataLoader(Jumpy(), 8, shuffle=True, **own), DataLoader(Jumpy(), 8)),
        lr=0.01,
        accumulate=2 if kind == 'accumulate' else 1,
    )


def start(folder, result, checkpoint, kind):
    "The job as a process of its own."
    (folder / 'job.py').write_text(JOB)
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]), OMP_NUM_THREADS='1')
    return subprocess.Popen(
        [sys.executable, str(folder / 'job.py'), str(result), str(checkpoint), kind],
        env=env,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def same(a, b):
    "Equal, bit for bit, all the way down?"
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def kept(path):
    "The state in the file of a run."
    tensors, info = read(path)
    return checkpoints.put_tensors(info['state'], tensors)


def result_of(learn):
    return dict(
        model=copy.deepcopy(learn.model.state_dict()),
        losses=learn.losses,
        rates=learn.rates,
        rows=[{k: v for k, v in r.items() if k != 'seconds'} for r in learn.history],
    )


class Die(Callback):
    "Stops like a crash, after so many batches."

    def __init__(self, after):
        self.after = after

    def state_dict(self):
        return {}

    def after_batch(self, learn):
        self.after -= 1
        if not self.after:
            raise KeyboardInterrupt


def crash(path, after, kind='ours', epochs=3, **options):
    "A run that ends after so many batches, and the learner that it leaves."
    learn = make(kind)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(epochs, quiet=True, checkpoint=path, callbacks=[Die(after)], **options)
    return learn


# killed for real
@pytest.mark.long
def test_sigkill_at_random_moments(tmp_path):
    """Each round: killed at random moments, up to twice, then let through; the weights are those of an undisturbed run,
    and every file on the way is whole."""
    whole = start(tmp_path, tmp_path / 'whole.pt', tmp_path / 'whole.safetensors', 'ours')
    assert whole.wait(120) == 0, whole.stdout.read()
    true, seed = torch.load(tmp_path / 'whole.pt'), int(os.environ.get('COURSE_KILL_SEED', 11))
    moments, kills, rounds = random.Random(seed), 0, 0
    while kills < KILLS:
        path, out, rounds = tmp_path / f'run{rounds}.safetensors', tmp_path / f'{rounds}.pt', rounds + 1
        for attempt in range(3):
            job = start(tmp_path, out, path, 'ours')
            assert 'begins' in job.stdout.readline()
            if attempt < 2 and kills < KILLS:
                time.sleep(moments.uniform(0.0, 0.25))
                killed = job.poll() is None
                job.kill()
                job.communicate()
                kills += killed
                if path.exists():
                    assert read(path)[1]['kind'] == 'run', 'the file must be whole at any moment'
            else:
                said = job.communicate(timeout=120)[0]
                assert job.returncode == 0, said
        assert same(torch.load(out), true), f'seed {seed}, round {rounds}'
    print(f'{kills} kills, {rounds} runs')


# every place in a run
@pytest.mark.parametrize('kind', ['ours', 'dataloader', 'generator', 'accumulate'])
def test_from_every_place(tmp_path, kind):
    reference = make(kind)
    reference.fit(3, quiet=True, checkpoint=tmp_path / 'whole.safetensors', every=2)
    plain = make(kind)
    plain.fit(3, quiet=True)
    assert same(result_of(plain), result_of(reference)), 'keeping a run must not change it'
    n = len(reference.dls.train)
    for after in (1, 2, 3, n - 1, n, n + 1, 2 * n + 3):
        path = tmp_path / f'{after}.safetensors'
        crash(path, after, kind, every=1)
        learn = make(kind)
        torch.rand(after)  # the new process may have drawn other numbers
        learn.fit(3, quiet=True, checkpoint=path, every=1, callbacks=[Die(0)])
        assert same(result_of(learn), result_of(reference)), f'{kind}, after {after} batches'


def test_what_is_loaded_lies_in_memory_as_it_did(tmp_path):
    "Channels-last weights have channels-last averages: another layout may round otherwise."
    crash(tmp_path / 'run.safetensors', 5, every=2)
    learn = make()
    with pytest.raises(KeyboardInterrupt):
        learn.fit(3, quiet=True, checkpoint=tmp_path / 'run.safetensors', callbacks=[Die(1)])
    conv = learn.model[0].weight
    assert conv.stride() == learn.opt.state[conv]['exp_avg'].stride() != conv.contiguous().stride()


def test_in_the_same_notebook_after_an_interrupt(tmp_path):
    reference = make()
    reference.fit(3, quiet=True)
    learn = crash(tmp_path / 'run.safetensors', 12, every=5)
    learn.fit(3, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=5, callbacks=[Die(0)])
    assert same(result_of(learn), result_of(reference))


def test_a_finished_run_is_not_trained_again(tmp_path, capsys):
    done = make()
    done.fit(2, quiet=True, checkpoint=tmp_path / 'run.safetensors')
    before, learn, calls = (tmp_path / 'run.safetensors').read_bytes(), make(), []
    forward = learn.model.forward
    learn.model.forward = lambda xb: calls.append(1) or forward(xb)
    learn.fit(2, quiet=True, checkpoint=tmp_path / 'run.safetensors')
    assert (
        not calls
        and same(result_of(done), result_of(learn))
        and 'complete, nothing is trained' in capsys.readouterr().out
    )
    assert (tmp_path / 'run.safetensors').read_bytes() == before


def test_callbacks_and_early_stops_go_on(tmp_path):
    values = [3.0, 2.0, 2.5]

    def fit(learn, rows, callbacks=()):
        learn.validate = lambda: dict(valid_loss=rows[len(learn.history)])
        callbacks = [EarlyStop(patience=1), *callbacks]
        learn.fit(6, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=2, callbacks=callbacks)

    n = len(make().dls.train)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), values, [Die(2 * n + 1)])
    learn = make()
    fit(learn, values, [Die(0)])
    assert len(learn.history) == 3 and learn.ended_well
    again = make()
    fit(again, values, [Die(0)])
    assert len(again.history) == 3 and same(again.model.state_dict(), learn.model.state_dict())


def test_a_stop_is_kept(tmp_path, capsys):
    "Killed when it had stopped, but before the end of `fit`: nothing more is trained."

    class Dies(Callback):
        order = 1001  # behind the checkpoint

        def state_dict(self):
            return {}

        def after_epoch(self, learn):
            if learn.stop:
                raise KeyboardInterrupt

    def fit(*more):
        learn = make()
        learn.validate = lambda: dict(valid_loss=1.0)
        how = dict(quiet=True, checkpoint=tmp_path / 'run.safetensors')
        try:
            learn.fit(6, callbacks=[EarlyStop(patience=1), *more], **how)
        except KeyboardInterrupt:
            pass
        return learn

    assert len(fit(Dies()).history) == 2
    learn = fit()
    assert len(learn.history) == 2 and learn.ended_well and 'complete' in capsys.readouterr().out


def test_callbacks_that_are_no_callback_are_not_kept(tmp_path):
    class Bare:
        def after_batch(self, learn):
            pass

    reference = make()
    reference.fit(3, quiet=True)
    path = tmp_path / 'run.safetensors'
    with pytest.raises(KeyboardInterrupt):
        make().fit(3, quiet=True, checkpoint=path, every=2, callbacks=[Bare(), Die(7)])
    learn = make()
    learn.fit(3, quiet=True, checkpoint=path, every=2, callbacks=[Bare()])
    assert same(result_of(learn), result_of(reference))


def test_a_fit_after_another(tmp_path):
    def run(after=0):
        learn = make()
        learn.fit(1, quiet=True)
        learn.fit(2, quiet=True, checkpoint=tmp_path / f'{after > 0}.safetensors', every=3, callbacks=[Die(after)])
        return result_of(learn)

    reference = run()
    with pytest.raises(KeyboardInterrupt):
        run(7)
    os.rename(tmp_path / 'True.safetensors', tmp_path / 'False.safetensors')
    assert same(run(), reference)


# what does not fit
@pytest.fixture
def run_file(tmp_path):
    "A run that was broken off."
    crash(tmp_path / 'run.safetensors', 5, every=2)
    return tmp_path / 'run.safetensors'


def refused(learn, path, epochs, words, **options):
    "The fit is refused with these words, and neither model nor file has changed."
    before, content = copy.deepcopy(learn.model.state_dict()), path.read_bytes()
    with pytest.raises(CheckpointError, match=words) as e:
        learn.fit(epochs, quiet=True, checkpoint=path, **options)
    assert same(before, learn.model.state_dict()) and path.read_bytes() == content and learn.history == []
    return str(e.value)


def test_another_plan(run_file):
    learn = make()
    assert 'epochs: 5 now, 3 in the file' in refused(learn, run_file, 5, 'another run', callbacks=[Die(0)])
    refused(learn, run_file, 3, r'lr: \[0.02\] now, \[0.01\] in the file', lr=0.02, callbacks=[Die(0)])
    learn.accumulate = 2
    refused(learn, run_file, 3, 'accumulate: 2 now, 1 in the file', callbacks=[Die(0)])


@pytest.mark.parametrize('change', [dict(seed=1), dict(batch_size=8)])
def test_other_data(run_file, change):
    learn = make()
    learn.dls = learn.dls.with_(**change)
    refused(learn, run_file, 3, 'another run', callbacks=[Die(0)])


def test_another_model(run_file):
    learn = make()
    learn.model[0] = nn.Conv2d(3, 9, 3, 2)
    refused(learn, run_file, 3, r'0.weight: \[9, 3, 3, 3\] now, \[8, 3, 3, 3\] in the file', callbacks=[Die(0)])


def test_a_model_is_no_run_and_a_run_no_model(run_file, tmp_path):
    learn = make()
    with pytest.raises(CheckpointError, match='holds a run, which `fit` goes on with'):
        learn.load(run_file)
    learn.save(tmp_path / 'model.safetensors')
    refused(learn, tmp_path / 'model.safetensors', 3, 'holds no run, but a model')


def test_no_pickle(run_file):
    "The file is a JSON header and bytes: any tool can look into it, and none runs it."
    raw = run_file.read_bytes()
    size = struct.unpack('<Q', raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    assert json.loads(header['__metadata__']['info'])['plan']['epochs'] == 3
    assert len(raw) == 8 + size + max(v['data_offsets'][1] for k, v in header.items() if k != '__metadata__')


# damage
def test_cut_anywhere(run_file):
    whole = run_file.read_bytes()
    size = 8 + struct.unpack('<Q', whole[:8])[0]
    for cut in (0, 1, 7, 8, 9, size // 2, size - 1, size, size + 1, (size + len(whole)) // 2, len(whole) - 1):
        run_file.write_bytes(whole[:cut])
        refused(make(), run_file, 3, 'not a whole safetensors file', callbacks=[Die(0)])


def test_a_flipped_bit(run_file):
    whole = bytearray(run_file.read_bytes())
    whole[-100] ^= 4
    run_file.write_bytes(whole)
    refused(make(), run_file, 3, 'checksum is wrong', callbacks=[Die(0)])


def test_a_full_disk(tmp_path, monkeypatch):
    "A warning, training goes on, the last good file stays."
    path, save, calls = tmp_path / 'run.safetensors', checkpoints.save_file, []

    def full(tensors, part, header):
        calls.append(1)
        if len(calls) < 3:
            return save(tensors, part, header)
        Path(part).write_bytes(b'half of it')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(checkpoints, 'save_file', full)
    learn = make()
    with pytest.warns(
        RuntimeWarning, match='(?s)No space left on device.*Training goes on.*keeps the last good one'
    ) as found:
        learn.fit(2, quiet=True, checkpoint=path, every=3)
    assert len(found) == len(calls) - 2 > 2 and len(learn.history) == 2
    assert read(path)[1]['kind'] == 'run' and not list(tmp_path.glob('.*.part'))
    monkeypatch.setattr(checkpoints, 'save_file', save)
    again = make()
    again.fit(2, quiet=True, checkpoint=path, every=3)
    assert same(result_of(again), result_of(learn))


@pytest.mark.skipif(sys.platform == 'win32', reason='limits of a process are a thing of Unix')
def test_a_write_that_really_fails(tmp_path):
    "The system itself refuses to write more than a few bytes."
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    learn = make()
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.warns(RuntimeWarning, match='no checkpoint could be written'):
            learn.fit(1, quiet=True, checkpoint=tmp_path / 'run.safetensors')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(learn.history) == 1 and not list(tmp_path.iterdir())


def test_a_loss_that_is_no_number_keeps_the_last_good_file(tmp_path):
    learn = make()
    true = learn.loss_func
    learn.loss_func = lambda p, y: true(p, y) * (float('nan') if len(learn.losses) == 7 else 1)
    with pytest.raises(NonFiniteLoss, match='batch 7'):
        learn.fit(2, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=2)
    tensors, info = read(tmp_path / 'run.safetensors')
    assert all(t.isfinite().all() for k, t in tensors.items() if k.startswith('run.parts.model'))
    assert len(kept(tmp_path / 'run.safetensors')['losses']) == 6


def test_weights_that_are_no_numbers_are_not_kept(tmp_path):
    learn = make()

    class Spoil(Callback):
        def after_batch(self, learn):
            if learn.batch == 3:
                with torch.no_grad():
                    learn.model[-1].weight[0, 0] = float('inf')

    with pytest.raises(NonFiniteLoss, match='a weight became infinite.*batch 3'):
        learn.fit(1, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=2, callbacks=[Spoil()])
    assert len(kept(tmp_path / 'run.safetensors')['losses']) == 2


def test_a_callback_with_something_that_cannot_be_kept(tmp_path):
    class Holds(Callback):
        def __init__(self):
            self.hook = print

    with pytest.raises(CheckpointError, match=r'(?s)Holds 1.hook is a builtin.*state_dict'):
        make().fit(1, quiet=True, checkpoint=tmp_path / 'run.safetensors', callbacks=[Holds()])


def test_by_the_clock(tmp_path, monkeypatch):
    written, clock = [], [0.0]

    class Slow(Callback):
        def after_batch(self, learn):
            clock[0] += 20

    class Look(Callback):
        order = 1001  # behind the checkpoint

        def state_dict(self):
            return {}

        def after_batch(self, learn):
            written.append(len(kept(tmp_path / 'run.safetensors')['rates']))

    monkeypatch.setattr('coursehelpers.training.resume.perf_counter', lambda: clock[0])
    make().fit(1, quiet=True, checkpoint=tmp_path / 'run.safetensors', callbacks=[Slow(), Look()])
    assert written == [0, 0, 0, 4, 4, 4, 4, 8][: len(written)] and len(written) == 8, (
        'after more than 60 seconds, which are four batches'
    )


def test_the_end_of_the_data_may_be_the_place(tmp_path):
    "Killed between the last batch of an epoch and its row."
    reference = make()
    reference.fit(2, quiet=True)
    learn = make()
    learn.validate = lambda: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        learn.fit(2, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=1)
    again = make()
    again.fit(2, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=1)
    assert same(result_of(again), result_of(reference))


def test_a_loader_of_ours_around_tensors(tmp_path):
    x, y = torch.randn(20, 4), torch.randint(3, (20,))
    learn = Learner(
        nn.Linear(4, 3), Dls.of(Loader(x, y, torch.arange(20), 8, shuffle=True), Loader(x, y, torch.arange(20), 8))
    )
    learn.fit(1, quiet=True, checkpoint=tmp_path / 'run.safetensors', every=1)
    assert read(tmp_path / 'run.safetensors')[1]['plan']['first_targets'] == learn.dls.train.batch(0, 0)[1].tolist()


# callbacks that come and go
def test_callbacks_without_a_state_may_come_and_go(tmp_path, capsys):
    "The table of epochs, for one: a run that was broken off with it goes on quietly, and the other way round."

    class Stateless(Callback):
        def after_batch(self, learn):
            pass

    reference = make()
    reference.fit(3, quiet=True)
    for quiet, before, after in ((False, [], [Stateless()]), (True, [Stateless(), Stateless()], [])):
        path, learn = tmp_path / f'{quiet}.safetensors', make()
        with pytest.raises(KeyboardInterrupt):
            learn.fit(3, quiet=quiet, checkpoint=path, every=2, callbacks=[*before, Die(7)])
        learn = make()
        learn.fit(3, quiet=not quiet, checkpoint=path, every=2, callbacks=after)
        assert same(result_of(learn), result_of(reference))


class Counts(Callback):
    "Has a state."

    def __init__(self, step=1):
        self.step, self.total = step, 0

    def after_batch(self, learn):
        self.total += self.step


def test_callbacks_with_a_state_are_told_apart_by_class_and_number(tmp_path):
    path = tmp_path / 'run.safetensors'
    crashed = make()
    with pytest.raises(KeyboardInterrupt):
        crashed.fit(2, quiet=True, checkpoint=path, every=1, callbacks=[Counts(1), Die(5), Counts(10)])
    one, ten = Counts(1), Counts(10)
    learn = make()
    learn.fit(2, quiet=True, checkpoint=path, every=1, callbacks=[one, ten])
    n = len(learn.losses)
    assert (one.total, ten.total) == (n, 10 * n)


def test_a_missing_state_is_refused_before_anything_is_loaded(tmp_path):
    path = tmp_path / 'run.safetensors'
    with pytest.raises(KeyboardInterrupt):
        make().fit(3, quiet=True, checkpoint=path, every=2, callbacks=[Counts(), Die(5)])
    refused(make(), path, 3, r"callbacks: \[\] now, \['Counts'\] in the file")
    refused(make(), path, 3, 'callbacks', callbacks=[Counts(), Counts()])


# every byte counts
def reworded(path, change):
    "The file again, with other facts and the right checksum: as somebody would craft it."
    tensors, info = read(path)
    change(info)
    checkpoints.write(path, tensors, info)


def forget(*path):
    "A change that removes an entry."

    def change(info):
        for name in path[:-1]:
            info = info[name]
        del info[path[-1]]

    return change


def in_state(change):
    "A change of the state, which lies in the facts as a text."

    def made(info):
        state = json.loads(info['state'])
        change(state['dict'])
        info['state'] = json.dumps(state)

    return made


@pytest.mark.parametrize(
    'change',
    [
        forget('state'),
        forget('plan', 'epochs'),
        forget('plan'),
        lambda info: info.update(state=[1]),
        lambda info: info.update(plan=3),
        in_state(lambda state: state.pop(0)),
        in_state(lambda state: state.pop()),
        in_state(lambda state: state.pop(6)),
        in_state(lambda state: state[-1][1]['dict'][0][1]['dict'].pop()),
    ],
)
def test_a_crafted_run_is_refused_before_the_model_is_touched(run_file, change):
    reworded(run_file, change)
    learn = make()
    before = copy.deepcopy(learn.model.state_dict())
    with pytest.raises(CheckpointError):
        learn.fit(3, quiet=True, checkpoint=run_file, callbacks=[Die(0)])
    assert same(before, learn.model.state_dict())


def test_a_flip_anywhere_is_noticed_or_harmless(run_file):
    "In the header with all its facts too: a file is refused with a CheckpointError, or out comes what went in."
    whole = run_file.read_bytes()
    true, size = read(run_file), 8 + struct.unpack('<Q', whole[:8])[0]
    places = (
        random.Random(5).sample(range(8, size), 300)
        + random.Random(6).sample(range(size, len(whole)), 40)
        + list(range(8))
    )
    refused = 0
    for i in places:
        run_file.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        try:
            found = read(run_file)
        except CheckpointError:
            refused += 1
        else:
            assert same(found[0], true[0]) and found[1] == true[1]
    assert refused > 330


def test_files_of_others_and_of_the_first_layout_are_read(tmp_path):
    from safetensors.torch import save_file

    for metadata in (None, dict(format='pt'), dict(info='{"kind": "model"}', format='1', sum='77')):
        save_file(dict(a=torch.ones(2)), tmp_path / 'a.safetensors', metadata)
        assert read(tmp_path / 'a.safetensors')[0]['a'].tolist() == [1, 1]
    for info in ('kind: model', '[1, 2]', '3'):
        save_file(dict(a=torch.ones(2)), tmp_path / 'a.safetensors', dict(info=info))
        with pytest.raises(CheckpointError, match='a.safetensors'):
            read(tmp_path / 'a.safetensors')
