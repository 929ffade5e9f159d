"weights: found by name and loaded whole, or refused in words that help."
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from coursehelpers.base.files import DataError
from coursehelpers.nets import weights
from coursehelpers.nets.catalogue import made_from
from coursehelpers.nets.weights import check_fit, create, find_weights, known_arch

from .test_files import server  # noqa: F401, a fixture

TINY = 'test_resnet'


def keep(arch, path, seed=0):
    "Random weights of `arch` as a file; gives the model."
    torch.manual_seed(seed)
    model = timm.create_model(arch)
    save_file(model.state_dict(), path)
    return model


TYPOS = [('resnet1O', 'resnet18'), ('mobilnetv2_100', 'mobilenetv2_100'), ('convnext_tinny.fb_in1k', 'convnext_tiny')]


@pytest.mark.parametrize('typo, near', TYPOS)
def test_an_unknown_architecture_offers_names(typo, near):
    with pytest.raises(DataError, match=f'has no architecture {typo.partition(".")[0]!r}.*Did you mean .*{near}'):
        known_arch(typo)


def test_find_weights_takes_the_architecture_and_no_other(root):
    for name in ('resnet18d.a', 'resnet18.b', 'resnet18.a', 'resnet34'):
        (root/'weights'/f'{name}.safetensors').touch()
    assert find_weights('resnet18').name == 'resnet18.a.safetensors'
    assert find_weights('resnet18.b').name == 'resnet18.b.safetensors'
    assert find_weights('resnet34').name == 'resnet34.safetensors'
    assert find_weights('resnet') is None and find_weights('resnet18.c') is None


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
    with pytest.raises(DataError) as e:
        create(TINY, 5)
    assert f'{TINY}.safetensors: these weights do not fit {TINY}' in str(e.value)
    assert 'conv1' in str(e.value) and 'the file has none' in str(e.value)


def test_a_single_tensor_of_the_wrong_shape_is_refused(tmp_path):
    keep(TINY, tmp_path/'w.safetensors')
    tensors = load_file(tmp_path/'w.safetensors')
    name = next(k for k in tensors if 'layer3' in k and tensors[k].ndim == 4)
    save_file({**tensors, name: torch.zeros(1, 2, 3, 3)}, tmp_path/'w.safetensors')
    with pytest.raises(DataError, match=rf'(?s)1 of \d+ tensors differ.*{name}.*the file has \(1, 2, 3, 3\)'):
        check_fit(TINY, tmp_path/'w.safetensors')


def test_a_cut_off_file_is_named(tmp_path):
    keep(TINY, tmp_path/'w.safetensors')
    (tmp_path/'w.safetensors').write_bytes((tmp_path/'w.safetensors').read_bytes()[:5000])
    with pytest.raises(DataError, match='w.safetensors: not a whole safetensors file'):
        create(TINY, 5, tmp_path/'w.safetensors')


def test_a_mirror_is_asked_before_the_hub(root, server, monkeypatch): # noqa: F811
    url, www = server
    (www/'weights').mkdir()
    name = f'{TINY}.{timm.models.get_pretrained_cfg(TINY).tag}.safetensors'
    given = keep(TINY, www/'weights'/name)
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', f'{url}/cut/ {url}/')
    model = create(TINY, 3)
    assert torch.equal(model.layer1[0].conv1.weight, given.layer1[0].conv1.weight)
    assert [f.name for f in (root/'weights').iterdir()] == [name]


def test_offline_says_which_file_to_bring(root, no_network, monkeypatch):
    import huggingface_hub
    asked = []
    monkeypatch.setattr(timm, 'create_model', lambda *args, **options: asked.append(args))
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *a: None)
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', 'http://127.0.0.1:9')
    with pytest.raises(DataError) as e:
        create(TINY, 3)
    for words in ('none at the mirrors', f'Put {TINY}.safetensors', '[data] root in settings.ini', 'weights=None'):
        assert words in str(e.value)
    assert list((root/'weights').iterdir()) == []
    assert not asked, 'offline, nobody waits for the retries of the hub'


def test_weights_in_the_hubs_cache_need_no_network(root, no_network, tmp_path, monkeypatch):
    import huggingface_hub
    given = keep(TINY, tmp_path/'model.safetensors')

    def kept(repo, name):
        return str(tmp_path/name) if repo.startswith(f'timm/{TINY}') else None

    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', kept)
    assert torch.equal(create(TINY, 3).layer1[0].conv1.weight, given.layer1[0].conv1.weight)


# ---- names that moved

def test_a_name_of_years_ago_is_translated_and_that_is_said_once(capsys, monkeypatch):
    monkeypatch.setattr(weights, '_said', set())
    assert [known_arch('convnext_small_in22k') for _ in range(3)] == ['convnext_small.fb_in22k'] * 3
    assert capsys.readouterr().out == 'convnext_small_in22k is called convnext_small.fb_in22k now\n'


@pytest.mark.parametrize('lies_as', ['convnext_tiny_in22k', 'convnext_tiny.fb_in22k'])
@pytest.mark.parametrize('asked', ['convnext_tiny_in22k', 'convnext_tiny.fb_in22k', 'convnext_tiny'])
def test_files_named_either_way_are_found(root, lies_as, asked):
    (root/'weights'/f'{lies_as}.safetensors').touch()
    assert find_weights(asked).name == f'{lies_as}.safetensors'


def test_a_former_name_is_no_excuse_for_other_weights(root):
    (root/'weights'/'convnext_tiny_in22ft1k.safetensors').touch() # fine-tuned: not what is asked for
    assert find_weights('convnext_tiny_in22k') is None and find_weights('convnext_tiny.fb_in22k') is None


def test_weights_under_a_former_name_load(root, capsys, monkeypatch):
    monkeypatch.setattr(weights, '_said', set()) # it is said once only
    given = keep('mobilenetv3_large_100', root/'weights'/'mobilenetv3_large_100_miil.safetensors')
    model = create('mobilenetv3_large_100_miil', 3)
    assert torch.equal(model.conv_stem.weight, given.conv_stem.weight)
    assert 'is called mobilenetv3_large_100.miil_in21k_ft_in1k now' in capsys.readouterr().out


def test_a_file_may_have_a_tag_of_its_own(root):
    given = keep(TINY, root/'weights'/f'{TINY}.mine.safetensors')
    assert torch.equal(create(f'{TINY}.mine', 3).layer1[0].conv1.weight, given.layer1[0].conv1.weight)
    assert create(f'{TINY}.mine', 3, weights=None).num_classes == 3


def test_a_tag_that_nobody_has_lists_those_that_are(root, no_network):
    with pytest.raises(DataError, match="has no weights 'a7_in1k' for resnet18.*Tags it knows: a1_in1k, "):
        create('resnet18.a7_in1k', 3)


def test_a_name_that_only_another_timm_knows(monkeypatch):
    monkeypatch.setattr(timm, 'is_model', lambda name: False)
    with pytest.raises(DataError, match=rf"'levit_256'.*18\.9 million.*%pip install timm=={made_from()}"):
        known_arch('levit_256')


def test_a_name_that_timm_knows_and_the_catalogue_does_not():
    assert known_arch('xcit_nano_12_p16_224') == 'xcit_nano_12_p16_224'


def test_a_mirror_may_use_a_former_name(root, server, monkeypatch): # noqa: F811
    url, www = server
    (www/'weights').mkdir()
    keep('mobilenetv3_large_100', www/'weights'/'mobilenetv3_large_100_miil.safetensors')
    monkeypatch.setenv('COURSEHELPERS_DATA_MIRRORS', url)
    create('mobilenetv3_large_100.miil_in21k_ft_in1k', 3)
    assert [f.name for f in (root/'weights').iterdir()] == ['mobilenetv3_large_100.miil_in21k_ft_in1k.safetensors']
