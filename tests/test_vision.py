"vision: weights that fit or are refused, features as timm computes them, and real pets learned from seven photographs each."
import socket
import time
import warnings
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from coursehelpers import vision
from coursehelpers.data import loaders
from coursehelpers.digits import photo_digits
from coursehelpers.files import DataError
from coursehelpers.metrics import error_rate
from coursehelpers.pets import pets
from coursehelpers.pictures import few
from coursehelpers.vision import (
    check_fit,
    choose_decay,
    confusion_matrix,
    create,
    digit_weights,
    features,
    find_weights,
    fit_linear,
    fold,
    freeze,
    known_arch,
    layer_rates,
    quick_body,
    quick_dtype,
    standard_error,
    top_losses,
    vision_learner,
)

from .test_files import server  # noqa: F401, a fixture

SHARED = Path(__file__).parents[2]/'shared'/'data'
needs_pets = pytest.mark.skipif(not (SHARED/'pets224').is_dir(), reason='the real photographs (../shared/data) are not here')
TINY = 'test_resnet'


@pytest.fixture
def root(tmp_path, monkeypatch):
    "An empty data root, with its weights folder."
    (tmp_path/'root'/'weights').mkdir(parents=True)
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'root'))
    return tmp_path/'root'


@pytest.fixture
def no_network(monkeypatch):
    "No name resolves and no connection opens."
    def closed(*args, **kwargs): raise OSError('network is unreachable')
    monkeypatch.setattr(socket, 'getaddrinfo', closed)
    monkeypatch.setattr(socket.socket, 'connect', closed)


def keep(arch, path, seed=0):
    "Random weights of `arch` as a file; gives the model."
    torch.manual_seed(seed)
    model = timm.create_model(arch)
    save_file(model.state_dict(), path)
    return model


def small_dls(n=60, size=48, **options): return loaders(photo_digits(n, size), batch_size=16, device='cpu', **options)


# ---- weights by name

@pytest.mark.parametrize('typo, near', [('resnet1O', 'resnet18'), ('mobilnetv2_100', 'mobilenetv2_100'), ('convnext_tinny.fb_in1k', 'convnext_tiny')])
def test_an_unknown_architecture_offers_names(typo, near):
    with pytest.raises(DataError, match=f'has no architecture {typo.partition(".")[0]!r}.*Did you mean .*{near}'): known_arch(typo)


def test_find_weights_takes_the_architecture_and_no_other(root):
    for name in ('resnet18d.a', 'resnet18.b', 'resnet18.a', 'resnet34'): (root/'weights'/f'{name}.safetensors').touch()
    assert find_weights('resnet18').name == 'resnet18.a.safetensors' and find_weights('resnet18.b').name == 'resnet18.b.safetensors'
    assert find_weights('resnet34').name == 'resnet34.safetensors' and find_weights('resnet') is None and find_weights('resnet18.c') is None


def test_weights_from_the_data_root(root):
    given = keep(TINY, root/'weights'/f'{TINY}.mine.safetensors')
    model = create(TINY, 7)
    got, want = model.state_dict(), given.state_dict()
    head = {k for k in got if k.startswith(model.pretrained_cfg['classifier'])}
    assert all(torch.equal(got[k], want[k]) for k in got.keys() - head) and got.keys() - head
    assert model.get_classifier().weight.shape[0] == 7


def test_ports_from_tensorflow_pad_as_tensorflow_does(root):
    save_file(timm.create_model('mobilenetv2_035').state_dict(), root/'weights'/'mobilenetv2_035.tf_x.safetensors')
    assert type(create('mobilenetv2_035', 3).conv_stem).__name__ == 'Conv2dSame'


def test_weights_that_do_not_fit_are_refused(root):
    keep('test_vit', root/'weights'/f'{TINY}.safetensors')
    with pytest.raises(DataError) as e: create(TINY, 5)
    assert f'{TINY}.safetensors: these weights do not fit {TINY}' in str(e.value) and 'Nothing was loaded' in str(e.value)
    assert 'conv1' in str(e.value) and 'the file has none' in str(e.value)


def test_a_single_tensor_of_the_wrong_shape_is_refused(tmp_path):
    keep(TINY, tmp_path/'w.safetensors')
    tensors = load_file(tmp_path/'w.safetensors')
    name = next(k for k in tensors if 'layer3' in k and tensors[k].ndim == 4)
    save_file({**tensors, name: torch.zeros(1, 2, 3, 3)}, tmp_path/'w.safetensors')
    with pytest.raises(DataError, match=rf'(?s)1 of \d+ tensors differ.*{name}.*the file has \(1, 2, 3, 3\)'): check_fit(TINY, tmp_path/'w.safetensors')


def test_a_cut_off_file_is_named(tmp_path):
    keep(TINY, tmp_path/'w.safetensors')
    (tmp_path/'w.safetensors').write_bytes((tmp_path/'w.safetensors').read_bytes()[:5000])
    with pytest.raises(DataError, match='w.safetensors: not a whole safetensors file'): create(TINY, 5, tmp_path/'w.safetensors')


def test_a_mirror_is_asked_before_the_hub(root, server, monkeypatch): # noqa: F811
    url, www = server
    (www/'weights').mkdir()
    name = f'{TINY}.{timm.models.get_pretrained_cfg(TINY).tag}.safetensors'
    given = keep(TINY, www/'weights'/name)
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', f'{url}/cut/ {url}/')
    model = create(TINY, 3)
    assert torch.equal(model.layer1[0].conv1.weight, given.layer1[0].conv1.weight) and [f.name for f in (root/'weights').iterdir()] == [name]


def test_offline_says_which_file_to_bring(root, no_network, monkeypatch):
    import huggingface_hub
    start = time.perf_counter()
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *a: None)
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', 'http://127.0.0.1:9')
    with pytest.raises(DataError) as e: create(TINY, 3)
    for words in (f'no weights for {TINY}', 'none at the mirrors', f'Put {TINY}.safetensors', '[data] root in settings.ini', 'weights=None trains from scratch'): assert words in str(e.value)
    assert list((root/'weights').iterdir()) == [] and time.perf_counter() - start < 10, 'offline, nobody waits for retries'


def test_weights_in_the_hubs_cache_need_no_network(root, no_network, tmp_path, monkeypatch):
    import huggingface_hub
    given = keep(TINY, tmp_path/'model.safetensors')
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda repo, name: str(tmp_path/name) if repo.startswith(f'timm/{TINY}') else None)
    assert torch.equal(create(TINY, 3).layer1[0].conv1.weight, given.layer1[0].conv1.weight)


def test_the_digits_net_needs_no_network_and_is_kept(tmp_path, no_network, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'progress.json'))
    file = digit_weights(images=100, epochs=1)
    assert file.parent == tmp_path/'weights' and 'digits 0 to 4' in capsys.readouterr().out
    when = file.stat().st_mtime_ns
    assert digit_weights(images=100, epochs=1) == file and file.stat().st_mtime_ns == when and capsys.readouterr().out == ''
    assert vision_learner(small_dls(), TINY, file).model.num_classes == 10


# ---- features

@pytest.mark.parametrize('arch', [TINY, 'test_vit', 'test_efficientnet', 'mobilenetv2_035', 'mobilenetv4_conv_small_035', 'resnet10t'])
def test_features_are_what_timm_computes(arch):
    size = 160 if arch == 'test_vit' else 64
    torch.manual_seed(0)
    model = create(arch, 10, weights=None)
    dls = small_dls(12, size).with_(mean=(.5,) * 3, std=(.5,) * 3)
    model.train()(torch.cat([xb for xb, _ in dls.train])) # batch norm sees something
    model.eval()
    with torch.no_grad(): exact = [model.forward_head(model.forward_features(v), pre_logits=True) for xb, _ in dls.valid for v in (xb, xb.flip(-1))]
    exact, found = torch.stack(exact), features(quick_body(model, 'cpu'), dls.valid)
    assert found.shape == exact.shape and found.dtype == torch.float32 and not found.is_inference()
    assert (found - exact).norm() / exact.norm() < (.06 if quick_dtype('cpu') == torch.bfloat16 else 1e-3)


def test_folding_is_exact_and_leaves_the_model_alone():
    torch.manual_seed(0)
    model = create('mobilenetv2_035', 5, weights=None)
    model.train()(torch.randn(4, 3, 64, 64))
    before, x = {k: v.clone() for k, v in model.eval().state_dict().items()}, torch.randn(2, 3, 64, 64)
    folded = fold(model, x)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert torch.allclose(folded(x), model(x), atol=1e-4) and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_net_that_cannot_be_folded_is_left_as_it_is():
    class Twice(nn.Module): # the convolution's output is used once more, without the batch norm
        def __init__(self):
            super().__init__()
            self.conv, self.bn = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.bn.running_mean.fill_(2.)
        def forward(self, x): return self.bn(self.conv(x)) + self.conv(x)
    model, x = Twice().eval(), torch.randn(2, 3, 8, 8)
    assert torch.equal(fold(model, x)(x), model(x)) and isinstance(fold(model, x).bn, nn.BatchNorm2d)


def test_the_net_looks_once_at_each_picture(monkeypatch):
    seen = []
    def counted(body, load, flip): seen.append(len(load.rows)); return features(body, load, flip)
    monkeypatch.setattr(vision, 'features', counted)
    learn = vision_learner(small_dls(), TINY, None)
    learn.fine_tune(0, quiet=True)
    learn.fit_head()
    learn.validate()
    assert seen == [48, 12]


# ---- head

def test_the_head_is_the_best_logistic_regression():
    from sklearn.linear_model import LogisticRegression
    g = torch.Generator().manual_seed(0)
    for n, d in ((90, 12), (30, 200)):
        y = torch.arange(n) % 3
        x = torch.randn(n, d, generator=g) + 2 * F.one_hot(y, d)
        w, b = fit_linear(x, y, 3, decay := 1e-2)
        z = (x - x.mean(0)) / (x - x.mean(0)).pow(2).sum(1).mean().sqrt()
        other = LogisticRegression(C=1 / (2 * decay * n), max_iter=2000, tol=1e-8).fit(z, y)
        theirs = torch.from_numpy(other.decision_function(z)).float()
        ours = x @ w.T + b
        assert torch.allclose((ours - ours.mean(1, keepdim=True)), theirs - theirs.mean(1, keepdim=True), atol=.02)


def test_the_decay_is_chosen_without_the_held_out_pictures(monkeypatch):
    learn, seen = vision_learner(small_dls(), TINY, None), []
    monkeypatch.setattr(vision, 'choose_decay', lambda x, y, n: seen.append((x, y)) or 1e-3)
    learn.fit_head()
    assert torch.equal(seen[0][1], learn.dls.pictures.y[learn.dls.pictures.train]) and 'valid' not in learn._kept


def test_choose_decay_survives_labels_with_one_picture():
    assert choose_decay(torch.randn(4, 6), torch.tensor([0, 1, 2, 3]), 4) in (1e-4, 1e-3, 1e-2)


# ---- the learner

def test_fine_tune_from_the_head_to_the_whole_net(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('COURSEHELPERS_RUN_PROGRESS', str(tmp_path/'progress.json'))
    file, threads = digit_weights(images=1500, epochs=4), torch.get_num_threads()
    dls = loaders(few(photo_digits(900, 48, labels=range(5), seed=7, valid=.5), 20), batch_size=32, device='cpu')
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        learn = vision_learner(dls, TINY, file)
        learn.fine_tune(0)
        head = learn.validate()['error_rate']
        learn.fine_tune(2, lr=3e-3)
    out = capsys.readouterr().out
    assert 'whole net: left as it is' in out and 'held-out pictures' in out and 'valid_loss' in out
    random = vision_learner(dls, TINY, None)
    random.fine_tune(0, quiet=True)
    assert head < .35 < random.validate()['error_rate'], 'what the net knew before is what counts'
    assert learn.validate()['error_rate'] < head + .1 and torch.get_num_threads() == threads


def test_few_pictures_a_label_leave_the_net_alone(capsys):
    learn = vision_learner(small_dls(), TINY, None)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fine_tune()
    head = {f'{learn.model.pretrained_cfg["classifier"]}.{k}' for k in ('weight', 'bias')}
    assert {k for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])} == head
    assert 'left as it is, 5 pictures a label are few' in capsys.readouterr().out


def test_the_whole_net_moves_and_batch_norm_keeps_what_it_knows():
    learn = vision_learner(small_dls(), TINY, None)
    before = {k: v.clone() for k, v in learn.model.state_dict().items()}
    learn.fine_tune(1, quiet=True)
    moved = {k for k, v in learn.model.state_dict().items() if not torch.equal(v, before[k])}
    assert all((k in moved) == ('running' not in k and 'num_batches' not in k) for k in before)


def test_predictions_after_training_are_of_the_trained_net():
    dls = small_dls()
    learn = vision_learner(dls, TINY, None)
    learn.fine_tune(0, quiet=True)
    learn.fit(1, quiet=True)
    mine, exact = learn.predict()[0], learn.predict(learn.dls.valid)[0]
    assert (mine - exact).norm() / exact.norm() < .05, 'kept features must not outlive the weights that made them'


def test_layer_rates_cover_every_weight_once():
    model = create(TINY, 5, None)
    groups = layer_rates(model, .3)
    assert [g['lr'] for g in groups] == pytest.approx([.01, .03, .3])
    assert sorted(id(p) for g in groups for p in g['params']) == sorted(map(id, model.parameters()))
    freeze(model)
    assert [g['lr'] for g in layer_rates(model, .3)] == [.3]


def test_an_architecture_without_one_linear_head_is_refused():
    with pytest.raises(DataError, match='levit_128s: its last layer is not one linear layer'):
        vision_learner(small_dls(12), 'levit_128s', None)


# ---- counting mistakes

def test_counts_beside_scikit_learn():
    from sklearn.metrics import confusion_matrix as theirs
    g = torch.Generator().manual_seed(0)
    preds, y = torch.randn(50, 4, generator=g), torch.randint(4, (50,), generator=g)
    assert confusion_matrix(preds, y, 4).tolist() == theirs(y, preds.argmax(1), labels=range(4)).tolist()
    losses, rows = top_losses(preds, y, 5)
    assert torch.allclose(losses, F.cross_entropy(preds[rows], y[rows], reduction='none')) and (losses.diff() <= 0).all()
    flips = (torch.rand(4000, 100, generator=g) < .3).float().mean(1)
    assert flips.std().item() == pytest.approx(standard_error(.3, 100), rel=.05)


# ---- real pets

@needs_pets
def test_real_pets_from_seven_photographs_each(monkeypatch):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(SHARED))
    learn = vision_learner(loaders(pets(download=False), 160, device='cpu'), 'mobilenetv2_100')
    learn.fine_tune(quiet=True)
    preds, y = learn.predict()
    assert error_rate(preds, y) < .25 and len(y) == 111


@needs_pets
@pytest.mark.parametrize('arch', ['mobilenetv1_100', 'mobilenetv2_035'])
def test_the_other_real_weights_load(monkeypatch, arch):
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(SHARED))
    learn = vision_learner(loaders(few(pets(download=False), 3), 96, device='cpu'), arch)
    learn.fine_tune(quiet=True)
    assert error_rate(*learn.predict()) < (.6 if arch == 'mobilenetv1_100' else .9)
