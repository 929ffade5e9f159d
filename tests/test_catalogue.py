"catalogue: names of today and of years ago, frozen in a file, compared with the timm that is installed."
import json
import subprocess
import sys

import pytest
import timm

from coursehelpers.base.files import shipped
from coursehelpers.nets.catalogue import (
    FAMILIES,
    about,
    family,
    former,
    made_from,
    moved,
    nearest_nets,
    nets,
    pretrained_on,
    published,
    published_by,
)
from coursehelpers.nets.weights import known_arch
from scripts.make_catalogue import GONE, former_names, make_catalogue

FILE = shipped('nets/catalogue.json')
ALIASES = json.loads(FILE.read_text())['aliases']
PRETRAINED = set(timm.list_pretrained())
same_timm = pytest.mark.skipif(timm.__version__ != made_from(), reason=f'the catalogue is of timm {made_from()}')


def test_the_file_is_small(): assert FILE.stat().st_size < 60_000


def test_needs_no_timm():
    code = ('import coursehelpers.nets.catalogue as c, sys; assert c.nets("levit") and c.moved("swsl_resnet18"); '
            'assert not {"timm", "torch"} & set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)


@same_timm
def test_every_name_is_known_to_timm():
    assert [n.name for n in nets() if '.' in n.name and n.name not in PRETRAINED] == []
    assert [n.name for n in nets() if not timm.is_model(n.arch)] == []


@same_timm
def test_every_alias_leads_to_weights_that_exist():
    plain = {v for v in ALIASES.values() if '.' not in v} # renamed architectures, no tag
    assert set(ALIASES.values()) - PRETRAINED == plain and all(timm.is_model(v) for v in plain)
    assert not set(ALIASES) & set(timm.list_models()), 'a name of today is not a name that moved'


@same_timm
def test_every_alias_of_timms_own_is_there_or_mended():
    "timm keeps its list for itself: this notices when it moves."
    assert former_names() == ALIASES and not GONE & set(ALIASES)
    assert moved('ig_resnext101_32x16d') == 'resnext101_32x16d.fb_wsl_ig1b_ft_in1k' # timm: 32x8d


def test_without_timms_private_list_the_former_names_are_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm.models._registry', None)
    assert former_names() == {}
    file = tmp_path/'c.json'
    file.write_text(FILE.read_text())
    make_catalogue(file, 'resnet18')
    assert json.loads(file.read_text())['aliases'] == ALIASES


@pytest.mark.parametrize('old', sorted(ALIASES))
def test_every_alias_resolves(old, capsys):
    assert known_arch(old) == ALIASES[old] == moved(old) and old in former(ALIASES[old])


@same_timm
def test_making_it_again_changes_nothing(tmp_path):
    "On a part of it, for speed."
    (tmp_path/'c.json').write_text(FILE.read_text())
    make_catalogue(tmp_path/'c.json', r'levit_\d\w+|resnet18')
    new, old = json.loads((tmp_path/'c.json').read_text()), json.loads(FILE.read_text())
    assert new['archs'] == {k: v for k, v in old['archs'].items() if k.startswith('levit_') or k == 'resnet18'}
    assert new['aliases'] == old['aliases'] and new['published'] == old['published']


def test_families_and_filters():
    assert FAMILIES.keys() == {n.family for n in nets()} >= {'levit', 'convnext', 'resnet', 'vit', 'mobilenet', 'test'}
    assert family('mobileone_s0') == 'mobilenet' and family('deit_tiny_patch16_224') == 'vit'
    assert family('densenet121') == 'other'
    small = nets('convnext', pretrained='in22k', most=30)
    assert small and all(n.family == 'convnext' and 'in22k' in n.pretrained and n.params <= 30e6 for n in small)
    assert [n.params for n in nets()] == sorted(n.params for n in nets())


@pytest.mark.parametrize('tag, says', [
    ('a1_in1k', 'in1k'), ('fcmae', ''), ('clip_laiona', 'laiona'), ('laion400m_e32', 'laion400m'),
    ('fb_in22k_ft_in1k_384', 'in22k then in1k'), ('augreg2_in21k_ft_in1k', 'in21k then in1k'),
    ('openai_ft_in1k', 'openai then in1k'), ('fb_swsl_ig1b_ft_in1k', 'ig1b then in1k'),
    ('laion2b_ft_in12k_in1k', 'laion2b then in12k then in1k'), ('clip_laion2b_augreg', 'laion2b')])
def test_what_a_tag_says(tag, says): assert pretrained_on(f'x.{tag}') == says


@pytest.mark.parametrize('typo, name', [('convnext_tinny', 'convnext_tiny'), ('levit128s', 'levit_128s'),
                                        ('mobilenet_v2_100', 'mobilenetv2_100'),
                                        ('convnext_tiny_in22kk', 'convnext_tiny_in22k')])
def test_nearest(typo, name): assert name in nearest_nets(typo)


def test_nothing_is_near(): assert nearest_nets('zzzzzzzzzzzzzz') == []


def test_about_takes_any_name():
    assert about('convnext_tiny_in22k') == about('convnext_tiny.fb_in22k')
    assert about('convnext_tiny.of_mine').arch == 'convnext_tiny'
    assert about('resnet18').tag == 'a1_in1k' and about('nothing') is None


def test_published_errors_are_of_nets_in_the_catalogue_and_have_a_source():
    errors = json.loads(FILE.read_text())['published']['errors']
    assert all(about(name).name == name for name in errors)
    assert all(1 < e < 40 for sizes in errors.values() for e in sizes.values())
    assert {'levit', 'convnext', 'resnet', 'vit', 'mobilenet'} <= {family(n) for n in errors}
    by = published_by()
    assert by['pictures'] == 50_000 and 'pytorch-image-models' in by['what'] and by['licence'] == 'Apache-2.0'
    worse = [n for n, sizes in errors.items() if len(sizes) > 1 and sizes[max(sizes)] > sizes[min(sizes)]]
    assert worse == ['convnext_tiny.fb_in22k_ft_in1k'], 'larger pictures help, but for one row, odd in the source too'
    assert published('levit_256.fb_dist_in1k', 224) == 18.494 and published('levit_256', 224) is None
