"Text: torch's own layers from hand-made ones, forward and backward; what may be read, and what is refused."
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from coursehelpers.base.files import DataError
from coursehelpers.results import Record, RecordComparison
from coursehelpers.sequences import (
    Block,
    Characters,
    LayerNorm,
    Recurrent,
    Transformer,
    attend,
    bits_of,
    bits_per_character,
    by_topic,
    causal_mask,
    copied,
    costs,
    gru_step,
    pairs,
    rnn_step,
    run_rnn,
    same,
    text_learner,
    twin,
    write,
)
from coursehelpers.tables.counts import Counts
from coursehelpers.tables.language import chapters, deal, fingerprint, once, reference, text_file

SHAPES = [(1, 1, 1), (2, 7, 3), (3, 40, 16), (2, 128, 24)] # texts, characters, numbers


# --- the same as torch, forward and backward: in float64 but for rounding, in float32 within 1e-6

DTYPES = [torch.float64, torch.float32]


def check_same(ours, theirs, x, params=()):
    "In float32 each difference is a share of the largest number there or of 1, and the loss is a mean."
    if x.dtype == torch.float64:
        assert same(ours, theirs, x, params) < 1e-10
        return
    found = []
    for f in (ours, theirs):
        start = x.clone().requires_grad_()
        out = f(start)
        loss = (out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean()
        found.append([out.detach(), *torch.autograd.grad(loss, [start, *params])])
    assert all((a - b).abs().max() <= 1e-6 * b.abs().max().clamp(min=1) for a, b in zip(*found))


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('b, n, d', SHAPES)
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('step, kind', [(rnn_step, nn.RNN), (gru_step, nn.GRU)])
def test_recurrent_nets(step, kind, dtype, b, n, d, seed):
    torch.manual_seed(seed)
    theirs, x = kind(d, d + 1, batch_first=True).to(dtype), torch.randn(b, n, d).to(dtype)
    weights = list(theirs.parameters())
    check_same(lambda x: run_rnn(step, x, weights), lambda x: theirs(x)[0], x, weights)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('b, n, d', SHAPES)
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('slopes', [[0.], [1., .25, 0]])
def test_attention(b, n, d, slopes, dtype, seed):
    torch.manual_seed(seed)
    given = torch.randn(3, b, len(slopes), n, d).to(dtype) # queries, keys, values
    mask = causal_mask(n, torch.tensor(slopes)).to(dtype)
    check_same(lambda x: attend(*x, mask), lambda x: F.scaled_dot_product_attention(*x, mask), given)
    if slopes == [0.]: # torch's own mask
        assert torch.allclose(attend(*given, mask), F.scaled_dot_product_attention(*given, is_causal=True), atol=1e-6)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('b, n, d', SHAPES[1:])
@pytest.mark.parametrize('dtype', DTYPES)
def test_layer_norm(dtype, b, n, d, seed):
    torch.manual_seed(seed)
    norm, x = LayerNorm(d).to(dtype), 5 * torch.randn(b, n, d).to(dtype) + 1
    params = [nn.init.normal_(p) for p in (norm.weight, norm.bias)]
    check_same(norm, lambda x: F.layer_norm(x, (d,), *params), x, params)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('b, n, d, heads', [(1, 2, 4, 1), (2, 50, 32, 4), (3, 128, 48, 3)])
@pytest.mark.parametrize('slope', [0, .25])
@pytest.mark.parametrize('dtype', DTYPES)
def test_block(dtype, b, n, d, heads, slope, seed):
    torch.manual_seed(seed)
    block, x = Block(d, heads).to(dtype), torch.randn(b, n, d).to(dtype)
    for p in block.parameters():
        if p.ndim == 1: nn.init.normal_(p, 1, .3) # biases and norms that do something
    theirs, mask = twin(block).to(dtype).train(), causal_mask(n, torch.full((heads,), float(slope))).to(dtype)
    params = list(block.parameters())
    assert {id(p) for p in params} == {id(p) for p in theirs.parameters()}
    def torchs(x): return theirs(x, src_mask=mask.repeat(b, 1, 1))
    check_same(lambda x: block(x, mask), torchs, x, params)
    fast = Block(d, heads, F.scaled_dot_product_attention, nn.LayerNorm).to(dtype)
    fast.load_state_dict(block.state_dict())
    assert torch.allclose(fast(x, mask), block(x, mask), atol=1e-5)


def test_same_sees_a_difference():
    x = torch.randn(3, 4)
    assert same(torch.sin, torch.sin, x, []) == 0
    assert same(torch.sin, lambda x: torch.sin(x) + 1e-4, x, []) > 5e-5
    assert same(torch.sin, lambda x: torch.sin(x.detach()) + 1.001 * (x - x.detach()), 0 * x, []) > 5e-4


@pytest.mark.parametrize('wrong', ['attention', 'bias'])
def test_same_sees_a_gradient_of_wrong_size(wrong):
    "A gradient that is 1.001 times too large, with the values right, in a text of 6,000 numbers."
    def scaled(x): return x.detach() + 1.001 * (x - x.detach())
    torch.manual_seed(0)
    x, bias = torch.randn(3, 2, 60, 16).double(), torch.randn(16, requires_grad=True, dtype=torch.float64)
    mask = causal_mask(60, torch.tensor([.1])).double()
    def right(x): return attend(*x, mask) + bias
    def other(x):
        if wrong == 'bias': return attend(*x, mask) + scaled(bias)
        return attend(scaled(x[0]), x[1], x[2], mask) + bias
    assert same(right, right, x, [bias]) == 0 and same(right, other, x, [bias]) > 1e-6


# --- nothing comes from later

@pytest.mark.parametrize('make', [lambda: Transformer(20, context=32, d=16, layers=2), lambda: Recurrent(20, d=16)])
def test_what_comes_later_changes_nothing(make):
    torch.manual_seed(0)
    net, ids = make().eval(), torch.randint(20, (1, 32))
    changed = ids.clone()
    changed[0, 20:] = (changed[0, 20:] + 1) % 20
    before, after = net(ids), net(changed)
    assert torch.allclose(before[:, :20], after[:, :20], atol=1e-6)
    assert not torch.allclose(before[:, 20], after[:, 20], atol=1e-4)


# --- bits

def test_bits_of_overlapping_windows():
    "Every character counts once, read from the begin of its window: half a context back or more."
    torch.manual_seed(0)
    ids = torch.randint(20, (101,))
    net = Transformer(20, context=16, d=8, heads=2, layers=1)
    for n in (2, 3, 9, 16, 17, 50, 101):
        got = bits_of(net, ids[:n])
        assert got.shape == (n - 1,)
        for i in {0, (n - 1) // 2, n - 2}:
            start = max(0, i // 8 * 8 - 8)
            scores = net(ids[None, start:i + 1])[:, -1]
            assert got[i].item() == pytest.approx(bits_per_character(scores, ids[i + 1:i + 2]).item(), abs=1e-4)


def test_bits_are_fair_to_both():
    "Counts and nets pay for the same characters, the unknown among them, and the sums of p are 1."
    vocab = Characters('abab ccd')
    ids = vocab.encode('abzc')
    assert ids.tolist()[2] == 0 and vocab.decode(ids) == 'ab\ufffdc'
    counts = Counts(vocab.encode('abab ccd'), 3, len(vocab))
    assert np.exp2(-counts.bits([1, 0])).item() > 0
    found = costs(counts.bits, dict(one='abab', two='zz'), vocab)
    assert [len(bits) for bits in found.values()] == [4, 2] and by_topic(found)[1] > by_topic(found)[0]
    scores = torch.randn(9, 5) * 30
    y = torch.randint(5, (9,))
    right = scores.double().softmax(1)[range(9), y].log2()
    assert bits_per_character(scores, y).item() == pytest.approx(-right.mean().item(), rel=1e-5)


@pytest.mark.parametrize('n', [3, 128])
def test_a_net_learns_what_can_be_learned(n):
    "A text that repeats itself costs next to nothing after a few steps."
    torch.manual_seed(0)
    ids = torch.arange(3).repeat(200)
    net = Transformer(4, context=min(n, 16), d=16, heads=2, layers=1)
    text_learner(net, ids, ids, steps=60, lr=2e-2).fit(1, quiet=True)
    assert bits_of(net, ids).mean() < .3


def test_pairs_are_no_copy():
    ids = torch.arange(1000)
    x, y = pairs(ids, 128)
    assert x.shape == y.shape == (872, 128) and (y == x + 1).all() and x.data_ptr() == ids.data_ptr()


# --- what is refused, in a sentence

def test_a_text_longer_than_the_context():
    net = Transformer(20, context=8, d=8, heads=2, layers=1)
    with pytest.raises(ValueError, match='9 characters.* at most 8'):
        net(torch.zeros(1, 9, dtype=torch.int64))
    vocab = Characters('abc' * 3)
    assert len(write(Transformer(len(vocab), 8, 8, 2, 1), vocab, 'abcabcabcabc', 5)) == 17 # it crops


@pytest.mark.parametrize('content, words', [
    (b'', 'mine.txt: the file is empty'), (b'\n \n', 'empty'), (b'too short', '9 characters'),
    (b'caf\xe9 ' * 400, r'not UTF-8 at byte 3 \(0xe9\)'), ('Größe '.encode('utf-16') * 300, 'not UTF-8 at byte 0')])
def test_bad_text_files(tmp_path, content, words):
    (tmp_path/'mine.txt').write_bytes(content)
    with pytest.raises(DataError, match=words):
        text_file(tmp_path/'mine.txt')


def test_no_text_file(tmp_path):
    for path in (tmp_path/'no.txt', tmp_path):
        with pytest.raises(DataError, match=f'{path.name}: cannot be read'):
            text_file(path)


def test_good_text_files(tmp_path):
    (tmp_path/'mine.txt').write_bytes(b'\xef\xbb\xbf' + 'Größe\r\nn\rm'.encode() * 300)
    assert text_file(tmp_path/'mine.txt') == 'Größe\nn\nm' * 300
    assert len(text_file(tmp_path/'mine.txt', least=2700)) == 2700


def test_too_little_text_to_train_on():
    net = Transformer(4, context=16, d=8, heads=2, layers=1)
    with pytest.raises(DataError, match='17.*16'):
        text_learner(net, torch.zeros(16, dtype=torch.int64), torch.zeros(40, dtype=torch.int64), 5, .01)


# --- the texts

def test_no_topic_stands_in_another():
    topics = reference()
    flat = {name: ' '.join(text.split()) for name, text in topics.items()}
    assert not [(a, b) for a in flat for b in flat if a != b and flat[a] in flat[b]]
    assert len(topics) > 40 and sum(map(len, topics.values())) > 300_000


@pytest.mark.parametrize('seed', range(20))
def test_whole_topics_are_held_out(seed):
    topics = reference()
    train, valid = deal(topics, seed)
    assert not set(train) & set(valid) and {**train, **valid} == topics and len(valid) >= 5
    part = sum(map(len, valid.values())) / sum(map(len, topics.values()))
    assert .1 < part <= .15 and deal(topics, seed) == (train, valid)


def test_copied_marks_whole_runs():
    book = 'one two three'
    found = copied(dict(a='a two b', b='one two three', c='ot', d=''), book, least=5)
    assert [marks.tolist() for marks in found.values()] == [[0, 1, 1, 1, 1, 1, 0], [1] * 13, [0, 0], []]


def test_once_leaves_one_of_two():
    rng = random.Random(0)
    texts = {str(i): 'x' * rng.randint(1, 9) for i in range(20)}
    assert len(once(texts)) == 1


def test_chapters_lose_nothing():
    for text in ('a\n\nb' * 4000, 'line\n' * 4000, 'x' * 12_000, 'short'):
        assert ''.join(chapters(text).values()) == text


def test_another_text_is_said():
    "Numbers measured on another version of the text are not compared, and the sentence says why."
    one, other = (Record('x', [1, 2, 3, 4, 5.], data=fingerprint(dict(a=text))) for text in ('one', 'other'))
    said = RecordComparison(one, other).verdict
    assert said.startswith('not comparable: your pydoc is another text') and one.data in said and other.data in said
    assert 'not' not in RecordComparison(one, one).verdict
