"exported: what left the training notebook says the same of a picture file, or says why not."
import pytest
import torch
from PIL import Image

from coursehelpers.base.files import DataError
from coursehelpers.data import loaders
from coursehelpers.deploy import Exported
from coursehelpers.images.folders import folder
from coursehelpers.nets.weights import create
from coursehelpers.training.checkpoints import CheckpointError
from coursehelpers.vision import vision_learner


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "(learner, exported file, picture files) of two labels of noise, one bright and one dark."
    box = tmp_path_factory.mktemp('pictures')
    for label, light in (('dark', 60), ('bright', 190)):
        (box/label).mkdir()
        for i in range(10): Image.effect_noise((90 + i, 70), 60).point(lambda v, light=light: min(255, max(0, v - 128 + light))).convert('RGB').save(box/label/f'{i}.png')
    torch.manual_seed(0)
    learn = vision_learner(loaders(folder(box), 48, 4, 'cpu'), 'test_resnet', None)
    learn.fine_tune(1, quiet=True)
    learn.export(box/'light.safetensors')
    return learn, box/'light.safetensors', folder(box).x


def test_the_same_scores_without_the_data(trained):
    learn, file, files = trained
    there, rows = Exported(file), learn.dls.valid.rows
    with torch.no_grad(): want = learn.model.eval()(learn.dls.valid.x.plain(rows))
    assert torch.allclose(there.scores([files[i] for i in rows]), want, atol=1e-5)
    assert there.facts['vocab'] == ['bright', 'dark'] and there.facts['held_out'] == len(rows) and there.facts['error'] == pytest.approx(learn.validate()['error_rate'])
    probabilities = there.predict(files[0])
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True) and sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_what_is_no_picture_or_no_classifier_is_named(trained, tmp_path):
    learn, file, files = trained
    (tmp_path/'notes.jpg').write_text('not a picture')
    with pytest.raises(DataError, match='notes.jpg: not a picture'): Exported(file).scores([files[0], tmp_path/'notes.jpg'])
    learn.save(tmp_path/'model.safetensors')
    with pytest.raises(CheckpointError, match='no exported classifier'): Exported(tmp_path/'model.safetensors')
    with pytest.raises(ValueError, match='must end in .safetensors'): learn.export(tmp_path/'model.pkl')
    cut = tmp_path/'cut.safetensors'
    cut.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='cut.safetensors'): Exported(cut)


def test_ports_that_pad_as_tensorflow_does_still_do(trained, tmp_path):
    import timm
    learn, _, files = trained
    model = timm.create_model('mobilenetv2_035', num_classes=2, pad_type='same')
    other = type(learn)(model, learn.dls, arch='mobilenetv2_035')
    other.export(tmp_path/'padded.safetensors')
    with torch.no_grad(): want = model.eval()(learn.dls.valid.x.plain(learn.dls.valid.rows[:1]))
    assert torch.allclose(Exported(tmp_path/'padded.safetensors').scores([files[learn.dls.valid.rows[0]]]), want, atol=1e-5)
    assert type(create('mobilenetv2_035', 2, None).conv_stem).__name__ == 'Conv2d', 'else this test would show nothing'
