"Write nets/catalogue.json anew from the timm that is installed: python -m scripts.make_catalogue."
import json
import re
from pathlib import Path

import timm
import torch
import typer
from timm.models import get_pretrained_cfg

from coursehelpers.base.files import shipped, whole

FILE = shipped('nets/catalogue.json')
WANTED = '|'.join([r'levit_\d\w+', r'convnext(v2)?_\w+', r'resnet\d+[a-z]?', r'deit3?_\w+', r'regnety_\d+', r'test_\w+',
                   r'vit_(tiny|small|base|large)_patch(16|32|14)_(clip_)?\d+', r'mobilenetv\d\w+', r'mobileone_\w+',
                   r'efficientnet_b\d', r'efficientnetv2_\w+', r'tf_efficientnet(v2)?_(b[0-4]|[sm])',
                   r'swin(v2)?_(tiny|small|base)\w+'])
GONE = {'ig_resnext101_32x48d'} # weights that are no longer there
MENDED = {'ig_resnext101_32x16d': 'resnext101_32x16d.fb_wsl_ig1b_ft_in1k', # timm sends both to 32x8d
          'ig_resnext101_32x32d': 'resnext101_32x32d.fb_wsl_ig1b_ft_in1k',
          'vit_base_patch16_224_sam': 'vit_base_patch16_224.sam_in1k', # a tag that moved on
          'vit_base_patch32_224_sam': 'vit_base_patch32_224.sam_in1k',
          'mixer_b16_224_in21k': 'mixer_b16_224.goog_in21k', # timm sends it to the fine-tuned weights
          'mixer_l16_224_in21k': 'mixer_l16_224.goog_in21k'}


def former_names() -> dict:
    "{name of years ago: name of today}, as timm keeps it for itself; empty where it keeps it no more."
    try:
        from timm.models._registry import _deprecated_models  # the only place where the list stands
    except ImportError:
        return {}
    return {old: MENDED.get(old, new) for old, new in sorted(_deprecated_models.items()) if old not in GONE}


def facts(name: str) -> list:
    "[parameters, size, fixed?, {tag: [size, licence]}] of one architecture, its default tag first."
    with torch.device('meta'): # shapes without memory
        model = timm.create_model(name, num_classes=1000)
    own = get_pretrained_cfg(name)
    full = sorted(timm.list_pretrained(f'{name}.*'), key=lambda n: n != f'{name}.{own.tag}')
    cfgs = {n.partition('.')[2]: get_pretrained_cfg(n) for n in full}
    tags = {tag: [cfg.input_size[1], cfg.license or ''] for tag, cfg in cfgs.items()}
    return [sum(p.numel() for p in model.parameters()), own.input_size[1], int(own.fixed_input_size), tags]


def lines(entries: dict) -> str:
    "A dict as JSON, an entry a line."
    short = {json.dumps(k): json.dumps(v, separators=(',', ':')) for k, v in entries.items()}
    return '{\n' + ',\n'.join(f'{k}:{v}' for k, v in short.items()) + '\n}'


def make_catalogue(file: Path = FILE, wanted: str = WANTED):
    "Everything comes from timm but the published errors, which are kept; so are former names if timm has no list."
    old = json.loads(file.read_text(encoding='utf-8'))
    archs = {name: facts(name) for name in timm.list_models() if re.fullmatch(wanted, name)}
    parts = dict(timm=json.dumps(timm.__version__), archs=lines(archs), aliases=lines(former_names() or old['aliases']),
                 published=lines(old['published']))
    with whole(file) as part:
        part.write_text('{\n' + ',\n'.join(f'"{k}": {v}' for k, v in parts.items()) + '\n}\n', encoding='utf-8')


if __name__ == '__main__': typer.run(make_catalogue)
