"deploy: what left the training notebook says the same of a picture, or says why not."
import csv
import io
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from coursehelpers.base.files import DataError
from coursehelpers.deploy import Exported, name_folder, write_onnx
from coursehelpers.images.folders import folder
from coursehelpers.nets.weights import create
from coursehelpers.training.checkpoints import CheckpointError
from coursehelpers.training.exports import write_exported, write_facts
from tests.serving import light_learner


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    "(learner, exported folder, picture files) of two labels of noise, one bright and one dark."
    box = tmp_path_factory.mktemp('pictures')
    learn = light_learner(box)
    return learn, box/'light', folder(box/'pictures').x


@pytest.fixture
def copy(trained, tmp_path):
    "A copy of the model that a test may break."
    return shutil.copytree(trained[1], tmp_path/'light')


def changed(copy, **facts):
    "The model with other facts, its files as they are."
    old = json.loads((copy/'model.json').read_text())
    (copy/'model.json').write_text(json.dumps(old | facts))
    return copy


def refused(copy, match):
    with pytest.raises(CheckpointError, match=f'light.*{match}'):
        Exported(copy)


def test_the_same_scores_without_the_data(trained):
    learn, home, files = trained
    there, rows = Exported(home), learn.dls.valid.rows
    views = learn.dls.valid.x.plain(rows)
    with torch.no_grad():
        want = learn.model.eval()(views)
        assert torch.equal(there.model(views), want), 'bit for bit'
    assert torch.allclose(there.scores([files[i] for i in rows]), want, atol=1e-5)
    wrong = (want.argmax(1) != learn.dls.pictures.y[rows]).float().mean().item()
    assert there.facts['measured']['error'] == wrong and there.facts['measured']['pictures'] == len(rows)


@pytest.mark.parametrize('arch', ['test_vit', 'test_convnext', 'mobilenetv2_035'])
def test_each_kind_of_net_says_the_same_bit_for_bit(trained, tmp_path, arch):
    dls = trained[0].dls.with_(size=160 if arch == 'test_vit' else 48)
    model = create(arch, 2, None).eval().to(memory_format=torch.channels_last)
    there, views = Exported(write_exported(tmp_path/'net', model, arch, dls)), dls.valid.batch(0, 0)[0]
    with torch.no_grad():
        assert torch.equal(there.model(views), model(views))


def test_a_picture_comes_in_many_forms(trained):
    _, home, files = trained
    there = Exported(home)
    picture = Image.open(files[0])
    forms = files[0], str(files[0]), files[0].read_bytes(), picture, np.array(picture)
    answers = [there.predict(form) for form in forms]
    assert all(answer == answers[0] for answer in answers)
    assert list(answers[0].parts.values()) == sorted(answers[0].parts.values(), reverse=True)
    assert sum(answers[0].parts.values()) == pytest.approx(1, abs=1e-5)
    assert len(there.predict(files[0], k=1).parts) == 1


def test_it_may_be_not_sure(trained, copy):
    files = trained[2]
    never, always = (changed(copy, threshold=t) and Exported(copy).predict(files[0]) for t in (1, 0))
    assert never.label is None and str(never).startswith('not sure: ')
    assert always.label == next(iter(always.parts)) and not str(always).startswith('not sure')


def test_what_is_no_picture_is_named(trained, tmp_path):
    there = Exported(trained[1])
    (tmp_path/'notes.jpg').write_text('not a picture')
    with pytest.raises(DataError, match=r'notes\.jpg'):
        there.scores([trained[2][0], tmp_path/'notes.jpg'])
    for data in (b'', b'not a picture', io.BytesIO(b'<html>').getvalue()):
        with pytest.raises(DataError, match='not a picture|empty'):
            there.predict(data)


MISSING = ['model.safetensors', 'model.json']


@pytest.mark.parametrize('name', MISSING)
def test_a_file_that_is_missing_is_named(copy, name):
    (copy/name).unlink()
    refused(copy, name)


def test_a_byte_that_has_changed(copy):
    data = bytearray((copy/'model.safetensors').read_bytes())
    data[-1] ^= 1
    (copy/'model.safetensors').write_bytes(data)
    refused(copy, r'model\.safetensors is not as it was written')


def test_weights_that_were_cut_off(copy):
    (copy/'model.safetensors').write_bytes((copy/'model.safetensors').read_bytes()[:-100])
    refused(copy, r'model\.safetensors is not as it was written')


@pytest.mark.parametrize('name', ['more.py', 'weights.bin', 'model.onnx'])
def test_a_file_too_many(copy, name):
    (copy/name).write_text('x')
    refused(copy, f'{name} does not belong')


def test_what_systems_leave_in_folders_is_no_matter(copy):
    (copy/'.DS_Store').write_text('x')
    assert Exported(copy).vocab == ['bright', 'dark']


@pytest.mark.parametrize('write', [pickle.dumps, lambda what: saved(what)])
def test_a_pickle_is_not_opened(copy, write):
    class Runs:
        def __reduce__(self): return pytest.fail, ('it was opened',)
    (copy/'model.safetensors').write_bytes(write(Runs()))
    write_facts(copy, json.loads((copy/'model.json').read_text())) # even where its fingerprint is right
    refused(copy, 'is a pickle')


def test_a_header_whose_length_begins_as_a_pickle_does(copy):
    "In a model.safetensors the first eight bytes are that length: 0x80 among them is no pickle."
    there, file = Exported(copy), copy/'model.safetensors'
    for note in range(0, 300, 8):
        save_file({k: v.contiguous() for k, v in there.model.state_dict().items()}, file, {'note': 'x' * note})
        if file.read_bytes()[0] == 0x80: break
    assert file.read_bytes()[0] == 0x80, 'else this test shows nothing'
    write_facts(copy, {k: v for k, v in there.facts.items() if k != 'files'})
    assert Exported(copy).vocab == ['bright', 'dark']


def saved(what):
    out = io.BytesIO()
    torch.save(what, out)
    return out.getvalue()


def test_a_model_of_a_later_course(copy):
    refused(changed(copy, format=2, versions={'coursehelpers': '9.0'}), 'format 2.*9.0')


BAD = [('vocab', ['bright']), ('vocab', ['a', 'b', 'c']), ('vocab', ['a', 'a']), ('vocab', 'ab'), ('vocab', []),
       ('size', 0), ('size', 1e9), ('size', '48'), ('mean', [.5]), ('mean', [float('nan')] * 3), ('std', [0, 1, 1]),
       ('temperature', 0), ('temperature', float('inf')), ('threshold', 2), ('threshold', None), ('pad', 'valid'),
       ('arch', 7), ('arch', 'resnet1O'), ('arch', 'test_vit'), ('files', {}),
       ('files', {'model.safetensors': {}, '../x': {}}), ('kind', 'run'),
       ('measured', {'error': .1}), ('measured', None), ('licence', None)]


@pytest.mark.parametrize('name, value', BAD)
def test_a_fact_that_cannot_be(copy, no_network, name, value):
    refused(changed(copy, **{name: value}), '')


@pytest.mark.parametrize('arch', ['hf-hub:timm/test_resnet', 'local-dir:/tmp/test_resnet', 'timm/test_resnet'])
def test_a_name_that_timm_does_not_have_is_not_followed(copy, no_network, arch):
    refused(changed(copy, arch=arch), arch)


@pytest.mark.parametrize('name', ['arch', 'vocab', 'size', 'mean', 'std', 'temperature', 'threshold', 'files'])
def test_a_fact_that_is_missing_is_named(copy, name):
    facts = json.loads((copy/'model.json').read_text())
    del facts[name]
    (copy/'model.json').write_text(json.dumps(facts))
    refused(copy, f'it has no {name}')


@pytest.mark.parametrize('text', ['', '[]', 'null', '{', '7'])
def test_facts_that_are_none(copy, text):
    (copy/'model.json').write_text(text)
    refused(copy, r'model\.json')


def test_no_folder_and_no_model(trained, tmp_path):
    for name in ('nowhere', 'light.safetensors'):
        if '.' in name: (tmp_path/name).write_bytes(b'x')
        with pytest.raises(CheckpointError, match=f'{name}.*learn.export'):
            Exported(tmp_path/name)


def test_a_folder_of_something_else_is_left_alone(trained, tmp_path):
    (tmp_path/'thesis.txt').write_text('years')
    with pytest.raises(CheckpointError, match='choose another name'):
        trained[0].export(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']


def test_a_card_that_somebody_edited_stays(trained, copy, capsys):
    (copy/'README.md').write_text('mine')
    trained[0].export(copy)
    assert (copy/'README.md').read_text() == 'mine' and 'your changes' in capsys.readouterr().out
    assert Exported(copy).vocab == ['bright', 'dark']


def test_an_export_that_breaks_off_leaves_the_old(trained, copy, monkeypatch):
    from coursehelpers.training import exports
    monkeypatch.setattr(exports, 'save_file', lambda *a: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(OSError, match='disk full'):
        trained[0].export(copy)
    assert Exported(copy).vocab == ['bright', 'dark'] and len(list(copy.parent.iterdir())) == 1


def test_the_card_says_what_the_facts_say(trained):
    home = trained[1]
    text, facts = (home/'README.md').read_text(), json.loads((home/'model.json').read_text())
    assert f'{facts["measured"]["error"]:.1%}' in text and 'bright, dark' in text and 'test_resnet' in text


def test_ports_that_pad_as_tensorflow_does_still_do(trained, tmp_path):
    import timm
    learn, _, files = trained
    model = timm.create_model('mobilenetv2_035', num_classes=2, pad_type='same')
    other = type(learn)(model, learn.dls, arch='mobilenetv2_035')
    other.export(tmp_path/'padded')
    with torch.no_grad():
        want = model.eval()(learn.dls.valid.x.plain(learn.dls.valid.rows[:1]))
    there = Exported(tmp_path/'padded')
    assert torch.allclose(there.scores([files[learn.dls.valid.rows[0]]]), want, atol=1e-5)
    assert type(create('mobilenetv2_035', 2, None).conv_stem).__name__ == 'Conv2d', 'else this test would show nothing'


def test_a_name_of_ones_own_for_the_weights_is_no_hindrance(trained, tmp_path):
    learn, _, files = trained
    other = type(learn)(learn.model, learn.dls, arch='test_resnet.mine')
    other.export(tmp_path/'own')
    assert set(Exported(tmp_path/'own').predict(files[0]).parts) == {'bright', 'dark'}


def test_a_folder_of_pictures_becomes_a_table(trained, tmp_path):
    _, home, files = trained
    (tmp_path/'sub').mkdir()
    for i, file in enumerate(files[:3]):
        shutil.copy(file, tmp_path/'sub'/f'{i}, "größe".png')
    (tmp_path/'notes.txt').write_text('x')
    (tmp_path/'.hidden').write_text('x')
    there = Exported(home)
    with open(name_folder(there, tmp_path, tmp_path/'names.csv'), encoding='utf-8-sig', newline='') as f:
        rows = list(csv.DictReader(f))
    assert [row['file'] for row in rows] == ['notes.txt', *(f'sub/{i}, "größe".png' for i in range(3))]
    assert rows[0]['problem'] and not rows[0]['label 1']
    assert rows[1]['label 1'] == next(iter(there.predict(files[0]).parts))
    with pytest.raises(DataError, match='no files'):
        (tmp_path/'empty').mkdir()
        name_folder(there, tmp_path/'empty', tmp_path/'empty.csv')


def test_onnx_says_what_torch_says(trained, copy):
    onnxruntime = pytest.importorskip('onnxruntime')
    there = Exported(copy)
    session = onnxruntime.InferenceSession(write_onnx(there), providers=['CPUExecutionProvider'])
    views = torch.randn(5, 3, 48, 48)
    found, = session.run(None, {session.get_inputs()[0].name: views.numpy()})
    with torch.no_grad():
        assert np.abs(found - there.model(views).numpy()).max() < 1e-4
    (copy/'model.onnx').write_bytes(b'x')
    refused(copy, r'model\.onnx is not as it was written')


def test_an_onnx_file_with_other_scores_is_not_kept(trained, copy, monkeypatch):
    pytest.importorskip('onnxruntime')
    there = Exported(copy)
    with pytest.raises(CheckpointError, match='other scores'):
        write_onnx(there, close=-1.)
    assert not (copy/'model.onnx').exists() and Exported(copy)
