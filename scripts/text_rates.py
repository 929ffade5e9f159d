"""Which rate is each net's own best in lesson 14, at the lesson's number of steps? Run: python -m scripts.text_rates

With --long the Transformer of the lesson on other dealings of topics and other seeds, for the table that the lesson
keeps as data."""
import argparse
import json
import time
from datetime import date
from functools import partial

import torch
from torch import nn

from coursehelpers.results import machine
from coursehelpers.sequences import Characters, Recurrent, Transformer, bits_of, by_topic, costs, text_learner
from coursehelpers.tables.counts import Counts
from coursehelpers.tables.language import deal, fingerprint, reference

NETS = {'RNN': (partial(Recurrent, kind=nn.RNN), 290), 'GRU': (partial(Recurrent, kind=nn.GRU), 125),
        'Transformer': (Transformer, 125)}
RATES = .001, .002, .004, .008


def trained(make, steps, lr, seed, dealing=0):
    "A row: the bits per character of a net, and of counts, on the topics held out by that dealing."
    train, valid = deal(reference(), dealing)
    vocab = Characters('\n'.join(train.values()))
    ids, held = (vocab.encode('\n'.join(texts.values())) for texts in (train, valid))
    torch.manual_seed(seed)
    learn = text_learner(make(len(vocab)), ids, held, steps, lr, seed=seed)
    start = time.perf_counter()
    learn.fit(1, quiet=True)
    seconds = time.perf_counter() - start
    found = costs(partial(bits_of, learn.model), valid, vocab)
    counted = costs(Counts(ids, 9, len(vocab)).bits, valid, vocab)
    gain = by_topic(counted) - by_topic(found)
    return dict(lr=lr, seed=seed, dealing=dealing, steps=steps, seconds=round(seconds),
                bits=round(by_topic(found).mean().item(), 3), counts=round(by_topic(counted).mean().item(), 3),
                pooled=round(torch.cat(list(found.values())).mean().item(), 3),
                pooled_counts=round(torch.cat(list(counted.values())).mean().item(), 3),
                error=round((gain.std() / len(gain)**.5).item(), 3), topics=len(gain))


def main():
    "Print a row of JSON for each run."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--long', type=int, default=0, help='steps of the long run, on dealings 0 to 4')
    args = parser.parse_args()
    print(machine(), date.today(), fingerprint(reference()), flush=True)
    if args.long:
        for seed in range(5):
            print(json.dumps(trained(Transformer, args.long, 4e-3, seed, dealing=seed)), flush=True)
        return
    for name, (make, steps) in NETS.items():
        for lr in RATES:
            print(name, json.dumps(trained(make, steps, lr, seed=1)), flush=True)


if __name__ == '__main__':
    main()
