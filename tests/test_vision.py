"vision: from frozen features to the whole net, and real pets learned from seven photographs each."
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from coursehelpers.base.files import DataError
from coursehelpers.data import Dls, load, loaders
from coursehelpers.images.digits import photo_digits
from coursehelpers.images.folders import folder
from coursehelpers.images.pets import pets
from coursehelpers.images.sets import few
from coursehelpers.learner import Learner
from coursehelpers.metrics import error_rate
from coursehelpers.nets import frozen
from coursehelpers.nets.frozen import features, head_parts
from coursehelpers.nets.interpretation import Interpretation, best_temperature, cross_validated
from coursehelpers.results import standard_error
from coursehelpers.vision import VisionLearner, layer_rates, show_batch, vision_learner

SHARED = Path(__file__).parents[2]/'shared'/'data'
needs_pets = pytest.mark.skipif(not (SHARED/'pets224').is_dir(), reason='no real photographs (../shared/data) here')
TINY = 'test_resnet'
PETS = 'mobilenetv2_100' # its weights come with the course


def small_dls(n=60, size=48, **options): return loaders(photo_digits(n, size), batch_size=16, device='cpu', **options)


def cat_or_dog(file): return 'cat' if file.name[0].isupper() else 'dog'


@pytest.fixture(scope='module')
def cats_dogs():
    "Loaders of forty photographs to learn from and sixty to be judged on."
    return loaders(few(pets(label=cat_or_dog), 20, 60), 64, 16, 'cpu')


@pytest.fixture(scope='module')
def trained(cats_dogs):
    "A learner with a fitted head; tests leave it as it is."
    learn = vision_learner(cats_dogs, PETS)
    learn.fine_tune(0, quiet=True)
    return learn


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

def test_fine_tune_from_the_head_to_the_whole_net(cats_dogs, no_network, capsys):
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn = vision_learner(cats_dogs, PETS)
        learn.fine_tune(0)
        head = learn.validate()['error_rate']
        learn.fine_tune(1)
    out = capsys.readouterr().out
    assert 'validation pictures' in out and 'valid_loss' in out
    torch.manual_seed(0)
    random = vision_learner(cats_dogs, PETS, None)
    random.fine_tune(0, quiet=True)
    assert head + .1 < random.validate()['error_rate'], 'what the net knew before is what counts'
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
    learn = vision_learner(small_dls(12), TINY, None)
    groups = layer_rates(learn.model, .3)
    assert [g['lr'] for g in groups] == pytest.approx([.01, .03, .3])
    assert sorted(id(p) for g in groups for p in g['params']) == sorted(map(id, learn.model.parameters()))
    learn.freeze()
    assert [g['lr'] for g in layer_rates(learn.model, .3)] == [.3]


@pytest.mark.parametrize('held', ['frozen', 'none'])
def test_frozen_parameters_and_held_norms(held):
    learn = vision_learner(small_dls(), TINY, None)
    learn.freeze(held)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fit(1, 1e-2, quiet=True)
    moved = {k for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])}
    buffers = {k for k in moved if 'running' in k or 'batches' in k}
    assert {k.partition('.')[0] for k in moved - buffers} == {'fc'} and bool(buffers) == (held == 'none')
    learn.unfreeze()
    learn.fit(1, quiet=True)
    now = learn.model.state_dict()
    assert all(not torch.equal(v, before[k]) for k, v in now.items() if 'conv' in k and k.endswith('weight'))
    assert all(not torch.equal(now[k], before[k]) for k in now if k.endswith('running_mean'))


def test_the_summary_counts(capsys):
    learn = vision_learner(small_dls(12), TINY, None)
    learn.freeze()
    learn.summary()
    out = capsys.readouterr().out
    total = sum(p.numel() for p in learn.model.parameters())
    assert f'{total:,} numbers' in out and f'{learn.model.num_features * 10 + 10:,} of them may move' in out


def test_a_rate_is_found_and_nothing_changes():
    learn = vision_learner(small_dls(), TINY, None)
    learn.freeze()
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    assert 1e-6 < learn.lr_find(steps=12, quiet=True) < 10
    assert all(torch.equal(v, before[k]) for k, v in learn.model.state_dict().items())


# ---- any timm classifier

HEADS = dict(linear=TINY, distilled='deit_tiny_distilled_patch16_224', two_norms='levit_128s',
             convolution='resnetv2_50x1_bit', norm_then_linear='repvit_m0_9', branches='crossvit_tiny_240',
             perceptron='caformer_s18')


BY_GRADIENTS = 'branches', 'perceptron'
SLOW = *BY_GRADIENTS, 'convolution', 'distilled'
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
    epochs = 5 if kind in BY_GRADIENTS else 0
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
        with pytest.raises(TypeError, match=r'cat\.jpg.*predict'):
            learn.get_preds(file)


# ---- one picture

def test_one_picture_in_any_form(trained, tmp_path):
    file = trained.dls.pictures.files[trained.dls.valid.rows[0]]
    label, place, probabilities = trained.predict(file)
    assert label == trained.dls.vocab[place] and probabilities.argmax() == place
    assert probabilities.shape == (2,) and probabilities.sum() == pytest.approx(1, abs=1e-5)
    im = Image.open(file).convert('RGB')
    for form in (str(file), im, np.asarray(im)):
        assert torch.allclose(trained.predict(form)[2], probabilities, atol=.02)


def stored(im, path, kind):
    "The picture in a file of that odd kind."
    if kind == 'cmyk': im.convert('CMYK').save(path, quality=95)
    elif kind == '16 bits':
        Image.fromarray(np.asarray(im.convert('L')).astype('uint16') * 257).save(path, 'PNG')
    elif kind == 'turned':
        note = Image.Exif()
        note[0x0112] = 6 # the camera lay on its side
        im.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=note)
    elif kind == '50 megapixels':
        im.resize((8000, 6250), Image.Resampling.BILINEAR).save(path, quality=80)


@pytest.mark.parametrize('kind', ['cmyk', '16 bits', 'turned', '50 megapixels'])
def test_odd_photographs_are_named_as_plain_ones_are(trained, tmp_path, kind):
    im = Image.open(trained.dls.pictures.files[trained.dls.valid.rows[0]]).convert('RGB')
    if kind == '50 megapixels': im = im.resize((200, 156))
    plain = im.convert('L').convert('RGB') if kind == '16 bits' else im
    stored(im, tmp_path/'odd.jpg', kind)
    label, _, probabilities = trained.predict(tmp_path/'odd.jpg')
    assert (probabilities - trained.predict(plain)[2]).abs().max() < .1 and label in ('cat', 'dog')


NONE = {'notes.jpg': (b'not a picture', 'not a picture'), 'empty.jpg': (b'', 'empty file'),
        'cut.jpg': (b'\xff\xd8\xff\xe0\0\x10JFIF', 'damaged|not a picture'),
        'phone.heic': (b'\0\0\0\x18ftypheic\0\0', 'HEIC.*pillow-heif')}


@pytest.mark.parametrize('name', NONE)
def test_what_is_no_photograph_is_named(trained, tmp_path, name):
    if name.endswith('heic') and find_spec('pillow_heif'):
        pytest.skip('HEIC can be read here')
    content, why = NONE[name]
    (tmp_path/name).write_bytes(content)
    with pytest.raises(DataError, match=rf'{name}.*({why})'):
        trained.predict(tmp_path/name)


def test_a_photograph_that_is_absent_or_huge_is_named(trained, tmp_path):
    with pytest.raises(DataError, match=r'absent\.jpg.*no such file'):
        trained.predict(tmp_path/'absent.jpg')
    Image.new('1', (20_000, 10_000)).save(tmp_path/'huge.png')
    with pytest.raises(DataError, match=r'huge\.png.*too large'):
        trained.predict(tmp_path/'huge.png')


def test_a_name_that_fits_no_pattern(tmp_path):
    with pytest.raises(DataError, match=r'Abyssinian_\d+\.jpg.*gives no label'):
        load('pets', label=r'^([a-z]+)_')
    with pytest.raises(ValueError, match='one group'):
        load('pets', label='.+_[0-9]+')
    for name in ('cat_1', 'cat_2', 'dog_1', 'dog_2', 'my cat'):
        Image.new('RGB', (40, 30), 'teal').save(tmp_path/f'{name}.jpg')
    p = folder(tmp_path, label=r'(.+)_[0-9]+')
    assert len(p) == 4 and [(Path(q.file).name, q.used) for q in p.report] == [('my cat.jpg', False)]


def test_a_label_with_one_picture(tmp_path):
    for label, n in (('cat', 8), ('dog', 8), ('fox', 1)):
        (tmp_path/label).mkdir()
        for i in range(n):
            Image.effect_noise((40, 30), 20 + 10 * i).convert('RGB').save(tmp_path/label/f'{i}.png')
    p = folder(tmp_path)
    assert any('fox' in q.file and 'none in the validation set' in q.what for q in p.report)
    learn = vision_learner(loaders(p, 32, 4, 'cpu'), TINY, None)
    learn.fine_tune(0, quiet=True)
    assert learn.calibrate() > 0 and learn.predict(p.files[0])[2].shape == (3,)
    assert Interpretation.cross_validated(learn).confusion_matrix().sum() == 17


# ---- how sure it is, and where it is wrong

def test_calibration_changes_how_sure_and_nothing_else(cats_dogs, tmp_path):
    learn = vision_learner(cats_dogs, PETS)
    with pytest.raises(DataError, match='fine_tune'):
        learn.calibrate()
    learn.fine_tune(0, quiet=True)
    before = learn.get_preds()[0]
    temperature = learn.calibrate()
    after = learn.get_preds()[0]
    assert torch.allclose(after * temperature, before, atol=1e-4) and abs(temperature - 1) > .02
    with torch.no_grad():
        said = learn.model.eval()(learn.dls.valid.x.plain(learn.dls.valid.rows[:4]))
    assert (said - after[:4]).abs().max() < .1 * after.abs().max(), 'the model itself says so, not only the table'
    assert learn.calibrate() == pytest.approx(temperature, rel=.05), 'done twice, it is the same'


def test_a_temperature_is_found():
    g = torch.Generator().manual_seed(0)
    scores = 2 * torch.randn(4000, 5, generator=g)
    y = torch.multinomial(scores.softmax(1), 1, generator=g)[:, 0]
    for factor in (.2, 1, 7):
        assert best_temperature(factor * scores, y) == pytest.approx(factor, rel=.1)


def test_cross_validation_judges_each_picture_by_others():
    "Labels that nobody can know are not known, though every head learns its own by heart."
    g = torch.Generator().manual_seed(0)
    z, y = torch.randn(2, 120, 200, generator=g), torch.randint(4, (120,), generator=g)
    assert (cross_validated(z, y, 4, 1e-4).argmax(1) != y).float().mean() > .6
    with pytest.raises(DataError, match='one picture of each label'):
        cross_validated(z[:, :4], torch.arange(4), 4)


def test_an_interpretation_of_all_the_photographs(trained):
    every, some = Interpretation.cross_validated(trained), Interpretation.from_learner(trained)
    p = trained.dls.pictures
    assert every.rows.tolist() == sorted([*p.train.tolist(), *p.valid.tolist()]) and len(some.rows) == 60
    assert torch.equal(every.y, p.y[every.rows]) and every.error_rate < .3
    assert some.error_rate == pytest.approx(trained.validate()['error_rate'])
    assert every.confusion_matrix().sum() == len(every.y) and every.confidence.min() >= .5
    sure, right = every.reliability(4)
    assert (sure.diff() >= 0).all() and right.mean() == pytest.approx(1 - every.error_rate, abs=.02)


def shown(monkeypatch):
    "What is displayed from now on: (data, metadata)."
    from coursehelpers import plots
    found = []
    monkeypatch.setattr(plots, 'display', lambda data, metadata, raw: found.append((data, metadata)))
    return found


def test_photographs_are_stored_as_jpeg_with_words(trained, monkeypatch):
    found = shown(monkeypatch)
    trained.show_results(6)
    show_batch(trained.dls, 4)
    for data, metadata in found:
        assert data['image/jpeg'][:2] == b'\xff\xd8' and 'image/png' not in data
        assert metadata['image/jpeg']['alt'] == data['text/plain'] != ''
    assert len(found) == 2 and 'called' in found[0][0]['text/plain']


# ---- counting mistakes

def told(preds, y, vocab):
    "An `Interpretation` of scores alone."
    p = replace(photo_digits(len(y), 8), y=y, vocab=vocab)
    return Interpretation(loaders(p, batch_size=8, device='cpu'), torch.arange(len(y)), preds)


def test_counts_beside_scikit_learn():
    from sklearn.metrics import confusion_matrix as theirs
    g = torch.Generator().manual_seed(0)
    preds, y = torch.randn(50, 4, generator=g), torch.randint(4, (50,), generator=g)
    interp = told(preds, y, list('abcd'))
    counts = theirs(y, preds.argmax(1), labels=range(4))
    assert interp.confusion_matrix().tolist() == counts.tolist()
    losses, rows = interp.top_losses(5)
    assert torch.allclose(losses, F.cross_entropy(preds[rows], y[rows], reduction='none'))
    assert (losses.diff() <= 0).all() and len(interp.top_losses(99)[0]) == 50
    label, called, times = interp.most_confused(1)[0]
    np.fill_diagonal(counts, 0)
    assert times == counts.max() == counts['abcd'.index(label), 'abcd'.index(called)]
    flips = (torch.rand(4000, 100, generator=g) < .3).float().mean(1)
    assert flips.std().item() == pytest.approx(standard_error(.3, 100), rel=.05)


@pytest.mark.parametrize('name', [r'$\frac$', 'a$b', '$5 and $6', r'\$x$', '$', '_^{'])
def test_names_are_drawn_as_they_are(name):
    p = replace(photo_digits(24, 32, labels=range(2)), vocab=[name, f'{name} {name}'])
    learn = vision_learner(loaders(p, batch_size=8, device='cpu'), TINY, None)
    learn.fit_head()
    show_batch(learn.dls, 4)
    learn.show_results(4)
    interp = Interpretation.from_learner(learn)
    interp.plot_top_losses(4)
    interp.plot_confusion_matrix()
    interp.plot_reliability(name=name, bins=2)


# ---- real pets

def test_real_pets_from_seven_photographs_each(no_network):
    learn = vision_learner(loaders(load('pets'), 160, device='cpu'), PETS)
    learn.fine_tune(quiet=True)
    preds, y = learn.get_preds()
    assert error_rate(preds, y) < .25 and len(y) == 111


@needs_pets
@pytest.mark.long
@pytest.mark.parametrize('arch', ['mobilenetv1_100', 'mobilenetv2_035'])
def test_the_other_real_weights_load(monkeypatch, arch):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(SHARED))
    learn = vision_learner(loaders(few(pets(), 3), 96, device='cpu'), arch)
    learn.fine_tune(quiet=True)
    assert error_rate(*learn.get_preds()) < (.6 if arch == 'mobilenetv1_100' else .9)
