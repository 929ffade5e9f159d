"""The same beside fastai on two larger sets, where each of its runs takes minutes; see `bench.pets`."""
from .pets import run_sets

PLAN = {'3 breeds x 160': {'fine_tune()': (1/10, 1), 'fine_tune(3)': (1/4, .7)},
        '750 photographs of 37 breeds': {'fine_tune(0)': (1/10, 1), 'fine_tune(3)': (1/4, .7)}}


def run(seeds=3):
    "Rows for bench/RESULTS.md."
    return run_sets(PLAN, seeds)
