"deploy: what left the training notebook says the same of a picture file, or says why not."
import pytest
import torch
from PIL import Image

from coursehelpers.base.files import DataError
from coursehelpers.data import loaders
from coursehelpers.deploy import Exported
from coursehelpers.images.folders import folder
from coursehelpers.nets.weights import create
from coursehelpers.training.checkpoints import CheckpointError, read, write
from coursehelpers.vision import vision_learner


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "(learner, exported file, picture files) of two labels of noise, one bright and one dark."
    box = tmp_path_factory.mktemp('pictures')
    for label, light in (('dark', 60), ('bright', 190)):
        (box/label).mkdir()
        for i in range(10):
            noise = Image.effect_noise((90 + i, 70), 60).point([min(255, max(0, v - 128 + light)) for v in range(256)])
            noise.convert('RGB').save(box/label/f'{i}.png')
    torch.manual_seed(0)
    learn = vision_learner(loaders(folder(box), 48, 4, 'cpu'), 'test_resnet', None)
    learn.fine_tune(1, quiet=True)
    learn.export(box/'light.safetensors')
    return learn, box/'light.safetensors', folder(box).x


def test_the_same_scores_without_the_data(trained):
    learn, file, files = trained
    there, rows = Exported(file), learn.dls.valid.rows
    with torch.no_grad():
        want = learn.model.eval()(learn.dls.valid.x.plain(rows))
    assert torch.allclose(there.scores([files[i] for i in rows]), want, atol=1e-5)
    assert there.facts['vocab'] == ['bright', 'dark'] and there.facts['n_valid'] == len(rows)
    assert there.facts['error'] == pytest.approx(learn.validate()['error_rate'])
    probabilities = there.predict(files[0])
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_what_is_no_picture_or_no_classifier_is_named(trained, tmp_path):
    learn, file, files = trained
    (tmp_path/'notes.jpg').write_text('not a picture')
    with pytest.raises(DataError, match=r'notes\.jpg'):
        Exported(file).scores([files[0], tmp_path/'notes.jpg'])
    learn.save(tmp_path/'model.safetensors')
    with pytest.raises(CheckpointError, match=r'model\.safetensors.*learn\.export'):
        Exported(tmp_path/'model.safetensors')
    with pytest.raises(ValueError, match=r'model\.pkl.*\.safetensors'):
        learn.export(tmp_path/'model.pkl')
    cut = tmp_path/'cut.safetensors'
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r'cut\.safetensors'):
        Exported(cut)


def test_ports_that_pad_as_tensorflow_does_still_do(trained, tmp_path):
    import timm
    learn, _, files = trained
    model = timm.create_model('mobilenetv2_035', num_classes=2, pad_type='same')
    other = type(learn)(model, learn.dls, arch='mobilenetv2_035')
    other.export(tmp_path/'padded.safetensors')
    with torch.no_grad():
        want = model.eval()(learn.dls.valid.x.plain(learn.dls.valid.rows[:1]))
    there = Exported(tmp_path/'padded.safetensors')
    assert torch.allclose(there.scores([files[learn.dls.valid.rows[0]]]), want, atol=1e-5)
    assert type(create('mobilenetv2_035', 2, None).conv_stem).__name__ == 'Conv2d', 'else this test would show nothing'


UNKNOWN = ['hf-hub:timm/test_resnet', 'local-dir:/tmp/test_resnet', 'timm/test_resnet', 'resnet1O']


@pytest.mark.parametrize('arch', UNKNOWN)
def test_a_name_that_timm_does_not_have_is_not_followed(trained, tmp_path, no_network, arch):
    tensors, facts = read(trained[1])
    write(tmp_path/'odd.safetensors', tensors, facts | dict(arch=arch))
    with pytest.raises(CheckpointError, match=rf'odd\.safetensors.*{arch}'):
        Exported(tmp_path/'odd.safetensors')


@pytest.mark.parametrize('fact', ['arch', 'pad', 'vocab', 'size', 'mean', 'std'])
def test_a_fact_that_is_missing_is_named(trained, tmp_path, fact):
    tensors, facts = read(trained[1])
    del facts[fact]
    write(tmp_path/'short.safetensors', tensors, facts)
    with pytest.raises(CheckpointError, match=rf'short\.safetensors.*{fact}'):
        Exported(tmp_path/'short.safetensors')


OTHERS = [dict(arch='test_vit'), dict(vocab=['a', 'b', 'c']), dict(arch='test_vit', pad='same'),
          dict(mean=[.5], std=[.5])]


@pytest.mark.parametrize('change', OTHERS)
def test_weights_of_another_model_are_named(trained, tmp_path, change):
    tensors, facts = read(trained[1])
    write(tmp_path/'other.safetensors', tensors, facts | change)
    with pytest.raises(CheckpointError, match=r'other\.safetensors'):
        Exported(tmp_path/'other.safetensors')


def test_a_name_of_ones_own_for_the_weights_is_no_hindrance(trained, tmp_path):
    learn, _, files = trained
    other = type(learn)(learn.model, learn.dls, arch='test_resnet.mine')
    other.export(tmp_path/'own.safetensors')
    assert set(Exported(tmp_path/'own.safetensors').predict(files[0])) == {'bright', 'dark'}
