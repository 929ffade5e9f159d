"""The app: from its command to its first answer, 300 requests of which 30 at once, memory over 1,000 of them.

The model is that of the 37 breeds that ship with the course, the photographs are its held-out ones; the app runs in
a process of its own and is asked over HTTP, each time with an upload, from this one."""
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from coursehelpers.data import load
from tests.serving import Client, pets_model, serving

STARTS, REQUESTS, TOGETHER, MORE = 5, 300, 30, 1000


def photographs():
    "(name, bytes) of the held-out ones."
    pets = load('pets', full=False)
    return [(pets.files[i].name, pets.files[i].read_bytes()) for i in pets.valid]


def asked(client, photo):
    "(seconds, was there an answer) of one upload and its question."
    start = time.perf_counter()
    _, parts = client.name(photo[1], photo[0])
    return time.perf_counter() - start, bool(parts)


def first_answer(model, photo):
    "Seconds from the command until the first photograph is named, with a new process; those of them on a processor."
    with tempfile.TemporaryDirectory() as box:
        start = time.perf_counter()
        with serving(model, Path(box)) as (process, base, _):
            asked(Client(base), photo)
            took, busy = time.perf_counter() - start, psutil.Process(process.pid).cpu_times()
    return took, busy.user + busy.system


def megabytes(process): return process.memory_info().rss / 2**20


def loaded(model, photos):
    "((seconds, answered) of 300 requests, 30 at once; megabytes before, after 100 and after 1,000 one by one)."
    with tempfile.TemporaryDirectory() as box, serving(model, Path(box)) as (process, base, _):
        process, client = psutil.Process(process.pid), Client(base)
        asked(client, photos[0])
        memory = [megabytes(process)]
        with ThreadPoolExecutor(TOGETHER) as pool:
            found = [*pool.map(lambda i: asked(client, photos[i % len(photos)]), range(REQUESTS))]
        memory.append(megabytes(process))
        for i in range(MORE):
            asked(client, photos[i % len(photos)])
        memory.append(megabytes(process))
    return found, memory


def run():
    "Rows for bench/RESULTS.md."
    if hasattr(os, 'sched_setaffinity'): # loading torch may bind a process to one core, and those it starts with it
        os.sched_setaffinity(0, range(os.cpu_count()))
    photos = photographs()
    with tempfile.TemporaryDirectory() as home:
        model = pets_model(Path(home))
        starts, busy = zip(*[first_answer(model, photos[0]) for _ in range(STARTS)])
        found, memory = loaded(model, photos)
    seconds = sorted(s for s, _ in found)
    failed = sum(not answered for _, answered in found)
    late = seconds[round(.95 * len(seconds))]
    grown = memory[2] - memory[1]
    spread = (f'{STARTS} starts, {min(starts):.1f} to {max(starts):.1f} s; '
              f'{min(busy):.1f} to {max(busy):.1f} s of a processor')
    return [row('from the command to the first answer', statistics.median(starts), 's', 'at most 10 s',
                max(starts) <= 10, spread),
            row(f'a request, {TOGETHER} at once', statistics.median(seconds), 's', 'no error', not failed,
                f'median of {REQUESTS}, 95 of 100 within {late:.2g} s; {failed} without an answer; '
                f'{memory[0]:.0f} MB before, {memory[1]:.0f} after'),
            row(f'memory after {MORE:,} more, one by one', memory[2], 'MB', '', None, f'{grown:+.0f} MB')]


def row(what, ours, unit, target, ok, note):
    "A row without a peer."
    return dict(what=what, ours=ours, theirs=None, unit=unit, target=target, ok=ok, note=note)
