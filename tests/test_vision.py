"vision: from frozen features to the whole net, and real pets learned from seven photographs each."
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, loaders
from coursehelpers.images.digits import photo_digits
from coursehelpers.images.pets import pets
from coursehelpers.images.sets import few
from coursehelpers.learner import Learner
from coursehelpers.metrics import error_rate
from coursehelpers.nets import frozen
from coursehelpers.nets.frozen import features, head_parts
from coursehelpers.nets.weights import create
from coursehelpers.results import standard_error
from coursehelpers.vision import (
    VisionLearner,
    confusion_matrix,
    digit_weights,
    freeze,
    layer_rates,
    plot_confusion,
    plot_top_losses,
    show_batch,
    show_results,
    top_losses,
    vision_learner,
)

SHARED = Path(__file__).parents[2]/'shared'/'data'
needs_pets = pytest.mark.skipif(not (SHARED/'pets224').is_dir(), reason='no real photographs (../shared/data) here')
TINY = 'test_resnet'


def small_dls(n=60, size=48, **options): return loaders(photo_digits(n, size), batch_size=16, device='cpu', **options)


def test_the_digits_net_needs_no_network_and_is_kept(tmp_path, no_network, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path))
    file = digit_weights(images=100, epochs=1)
    assert file.parent == tmp_path/'weights' and 'digits 0 to 4' in capsys.readouterr().out
    when = file.stat().st_mtime_ns
    assert digit_weights(images=100, epochs=1) == file and file.stat().st_mtime_ns == when
    assert capsys.readouterr().out == ''
    assert vision_learner(small_dls(), TINY, file).model.num_classes == 10


def test_the_net_looks_once_at_each_picture(monkeypatch):
    seen = []

    def counted(body, load, flip, *look):
        seen.append(len(load.rows))
        return features(body, load, flip, *look)

    monkeypatch.setattr(frozen, 'features', counted)
    learn = vision_learner(small_dls(), TINY, None)
    learn.fine_tune(0, quiet=True)
    learn.fit_head()
    learn.validate()
    assert seen == [48, 12]


def test_the_decay_is_chosen_without_the_validation_pictures(monkeypatch):
    learn, seen = vision_learner(small_dls(), TINY, None), []

    def counted(body, load, flip, *look):
        seen.append(load.rows)
        return features(body, load, flip, *look)

    monkeypatch.setattr(frozen, 'features', counted)
    learn.fit_head()
    assert len(seen) == 1 and torch.equal(seen[0], learn.dls.pictures.train)


# ---- the learner

def test_fine_tune_from_the_head_to_the_whole_net(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path))
    file, threads = digit_weights(images=1500, epochs=4), torch.get_num_threads()
    dls = loaders(few(photo_digits(900, 48, labels=range(5), seed=7, valid=.5), 20), batch_size=32, device='cpu')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn = vision_learner(dls, TINY, file)
        learn.fine_tune(0)
        head = learn.validate()['error_rate']
        learn.fine_tune(2, lr=3e-3)
    out = capsys.readouterr().out
    assert 'validation pictures' in out and 'valid_loss' in out
    random = vision_learner(dls, TINY, None)
    random.fine_tune(0, quiet=True)
    assert head < .35 < random.validate()['error_rate'], 'what the net knew before is what counts'
    assert learn.validate()['error_rate'] < head + .1 and torch.get_num_threads() == threads


def test_few_pictures_a_label_leave_the_net_alone(capsys, monkeypatch):
    monkeypatch.setattr(frozen, 'choose_decay', lambda x, y, n: (1e-3, .2))
    learn = vision_learner(small_dls(), TINY, None)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fine_tune()
    head = {f'{learn.model.pretrained_cfg["classifier"]}.{k}' for k in ('weight', 'bias')}
    assert {k for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])} == head
    out = capsys.readouterr().out
    assert 'left as it is: 48 pictures, 4 of a typical label, are few' in out and '20% error' in out


def test_features_that_do_not_fit_are_trained_even_on_few_pictures(capsys):
    learn = vision_learner(small_dls(), TINY, None) # random features: the head has a high error in cross-validation
    learn.fine_tune(quiet=False)
    assert len(learn.history) == 20 and 'whole net: 20 epochs' in capsys.readouterr().out


def test_the_whole_net_moves_and_batch_norm_keeps_what_it_knows():
    learn = vision_learner(small_dls(), TINY, None)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fine_tune(1, quiet=True)
    moved = {k for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])}
    norms = [name for name, m in learn.model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    fixed = {f'{name}.{k}' for name in norms for k in ('running_mean', 'running_var', 'num_batches_tracked')}
    factors = {f'{name}.weight' for name in norms} # only those that begin at 0 are set anew
    assert before.keys() - fixed - factors <= moved, 'every layer moves'
    assert moved <= before.keys() - fixed, 'what batch norms have seen does not'


def test_predictions_after_training_are_of_the_trained_net():
    dls = small_dls()
    learn = vision_learner(dls, TINY, None)
    learn.fine_tune(0, quiet=True)
    learn.fit(1, quiet=True)
    mine, exact = learn.get_preds()[0], learn.get_preds(learn.dls.valid)[0]
    assert (mine - exact).norm() / exact.norm() < .05, 'kept features must not outlive the weights that made them'


def test_loaded_weights_are_the_ones_that_predict(tmp_path):
    one, other = (vision_learner(small_dls(), TINY, None) for _ in range(2))
    for learn in (one, other):
        learn.fine_tune(0, quiet=True)
    other.save(tmp_path/'other.safetensors')
    one.load(tmp_path/'other.safetensors')
    assert torch.allclose(one.get_preds()[0], other.get_preds()[0], atol=1e-3)


def test_batches_that_are_given_are_the_ones_that_are_judged():
    learn = vision_learner(small_dls(), TINY, None)
    learn.fine_tune(0, quiet=True)
    xb, yb = learn.dls.train.batch(0, 0)
    preds, y = learn.get_preds([(xb, yb)])
    with torch.no_grad():
        exact = learn.model.eval()(xb)
    assert torch.equal(y, yb) and torch.allclose(preds, exact, atol=1e-5)


def test_a_learner_redefines_only_what_it_means_to():
    assert VisionLearner.__bases__ == (Learner,)
    own = {name for name in vars(VisionLearner) if not name.startswith('__')}
    assert {name for name in own if hasattr(Learner, name)} == {'get_preds', 'train_mode', 'load'}


def test_layer_rates_cover_every_weight_once():
    model = create(TINY, 5, None)
    groups = layer_rates(model, .3)
    assert [g['lr'] for g in groups] == pytest.approx([.01, .03, .3])
    assert sorted(id(p) for g in groups for p in g['params']) == sorted(map(id, model.parameters()))
    freeze(model)
    assert [g['lr'] for g in layer_rates(model, .3)] == [.3]


# ---- any timm classifier

HEADS = dict(linear=TINY, distilled='deit_tiny_distilled_patch16_224', two_norms='levit_128s',
             convolution='resnetv2_50x1_bit', norm_then_linear='repvit_m0_9', branches='crossvit_tiny_240',
             perceptron='caformer_s18')


SLOW = 'branches', 'perceptron' # trained by gradients
KINDS = [pytest.param(kind, marks=[pytest.mark.long] if kind in SLOW else []) for kind in HEADS]


@pytest.mark.parametrize('kind', KINDS)
def test_any_last_layer_is_fitted(kind, monkeypatch):
    monkeypatch.setattr(frozen, 'quick_dtype', lambda device: torch.float32) # random nets magnify what bf16 rounds off
    torch.manual_seed(0)
    dls = loaders(few(photo_digits(60, 64, labels=range(3)), 4, 3), 64, 4, 'cpu')
    learn = vision_learner(dls, HEADS[kind], None)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fine_tune(0, quiet=True)
    preds, y = learn.get_preds()
    with torch.no_grad():
        exact = learn.model.eval()(learn.dls.valid.batch(0, 0)[0])
    far = (preds - exact).abs().max() / exact.abs().max()
    assert far < 1e-3, 'what is predicted is what the model says'
    head = {v.data_ptr() for part in head_parts(learn.model) for v in part.state_dict().values()}
    moved = {v.data_ptr() for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and moved <= head, 'the head has moved, and nothing else'
    epochs = 5 if kind in SLOW else 0
    assert len(learn.history) == epochs, 'one regression where that is the same thing, else gradients'
    assert all(p.requires_grad for p in learn.model.parameters())


def test_loaders_from_elsewhere_are_refused_in_words():
    batch = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    with pytest.raises(DataError, match='wants loaders of pictures'):
        vision_learner(Dls.of([batch], [batch], ['a', 'b']), TINY, None)


def test_an_encoder_without_a_last_layer_is_refused():
    class Encoder(torch.nn.Module): "Makes features, and names nothing."
    with pytest.raises(DataError, match='Encoder only encodes'):
        head_parts(Encoder())


def test_a_net_for_one_size_gets_that_size(capsys):
    learn = vision_learner(small_dls(12), 'test_vit', None)
    assert learn.dls.size == 160 and learn.dls.train.batch(0, 0)[0].shape[-1] == 160
    assert 'takes pictures of 160 pixels' in capsys.readouterr().out
    assert learn.model(learn.dls.valid.batch(0, 0)[0]).shape == (2, 10)


def test_grey_pictures_are_seen_in_three_channels():
    from coursehelpers.images.digits import digits
    learn = vision_learner(loaders(few(digits(), 5, 40), 32, 16, 'cpu'), TINY, None)
    learn.fine_tune(0, quiet=True)
    xb = learn.dls.valid.batch(0, 0)[0]
    back = xb * learn.dls.valid.x.std[:, None, None] + learn.dls.valid.x.mean[:, None, None]
    assert xb.shape[1:] == (3, 32, 32) and torch.allclose(back[:, 0], back[:, 2], atol=1e-5)
    assert learn.get_preds()[0].shape == (40, 10)


def test_more_looks_at_each_picture_are_averaged():
    learn = vision_learner(small_dls(), TINY, None)
    learn.fit_head()
    one, more, y = learn.get_preds()[0], *learn.tta(3)
    assert more.shape == one.shape and torch.equal(y, learn.get_preds()[1]) and not torch.allclose(one, more)
    assert torch.equal(more, learn.tta(3)[0]), 'the looks are drawn alike each time'
    learn.fit(1, quiet=True)
    assert (learn.tta(0)[0] - learn.get_preds()[0]).abs().max() < 1e-5


def test_a_file_is_no_batch():
    learn = vision_learner(small_dls(12), TINY, None)
    for file in ('cat.jpg', Path('cat.jpg')):
        with pytest.raises(TypeError, match=r'cat\.jpg.*Exported'):
            learn.get_preds(file)


# ---- counting mistakes

def test_counts_beside_scikit_learn():
    from sklearn.metrics import confusion_matrix as theirs
    g = torch.Generator().manual_seed(0)
    preds, y = torch.randn(50, 4, generator=g), torch.randint(4, (50,), generator=g)
    assert confusion_matrix(preds, y, 4).tolist() == theirs(y, preds.argmax(1), labels=range(4)).tolist()
    losses, rows = top_losses(preds, y, 5)
    assert torch.allclose(losses, F.cross_entropy(preds[rows], y[rows], reduction='none'))
    assert (losses.diff() <= 0).all()
    flips = (torch.rand(4000, 100, generator=g) < .3).float().mean(1)
    assert flips.std().item() == pytest.approx(standard_error(.3, 100), rel=.05)


@pytest.mark.parametrize('name', [r'$\frac$', 'a$b', '$5 and $6', r'\$x$', '$', '_^{'])
def test_names_are_drawn_as_they_are(name):
    p = replace(photo_digits(24, 32, labels=range(2)), vocab=[name, f'{name} {name}'])
    learn = vision_learner(loaders(p, batch_size=8, device='cpu'), TINY, None)
    learn.fit_head()
    preds, y = learn.get_preds()
    show_batch(learn.dls, 4)
    show_results(learn, 4)
    plot_top_losses(learn, 4)
    plot_confusion(preds, y, learn.dls.vocab)


# ---- real pets

@needs_pets
def test_real_pets_from_seven_photographs_each(monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(SHARED))
    learn = vision_learner(loaders(pets(download=False), 160, device='cpu'), 'mobilenetv2_100')
    learn.fine_tune(quiet=True)
    preds, y = learn.get_preds()
    assert error_rate(preds, y) < .25 and len(y) == 111


@needs_pets
@pytest.mark.long
@pytest.mark.parametrize('arch', ['mobilenetv1_100', 'mobilenetv2_035'])
def test_the_other_real_weights_load(monkeypatch, arch):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(SHARED))
    learn = vision_learner(loaders(few(pets(download=False), 3), 96, device='cpu'), arch)
    learn.fine_tune(quiet=True)
    assert error_rate(*learn.get_preds()) < (.6 if arch == 'mobilenetv1_100' else .9)
