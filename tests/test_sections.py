"A lesson may be entered at any heading: each section runs after the imports alone."
from pathlib import Path

import matplotlib
import pytest

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import kept_blocks

ROOT = Path(__file__).parents[1]


def sections(path):
    "(the code of the imports, {heading: the code below it}) of a full lesson."
    imports, found, name = [], {}, None
    for cell in read_nb(path)['cells']:
        if cell['cell_type'] == 'markdown':
            below = [text for level, text in kept_blocks(cell['source']) if level == 2]
            name = below[-1] if below else name
        elif cell['id'] != 'setup':
            (imports if name is None else found.setdefault(name, [])).append(cell['source'])
    return '\n'.join(imports), found


LESSONS = sorted((ROOT/'nbs/full').glob('*.ipynb'))
ENTRIES = [pytest.param(path, heading, id=f'{path.stem}: {heading[3:]}', # the lessons side by side
                        marks=pytest.mark.xdist_group(f'test_sections {path.stem}'))
           for path in LESSONS for heading in sections(path)[1]]


@pytest.mark.long
@pytest.mark.parametrize('path, heading', ENTRIES)
def test_section_stands_alone(path, heading, monkeypatch, tmp_path):
    matplotlib.use('agg')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COURSEHELPERS_RUN_PROFILE', 'smoke')
    monkeypatch.setenv('COURSEHELPERS_DATA_ROOT', str(tmp_path/'data'))
    imports, found = sections(path)
    space = {'__name__': 'lesson'}
    exec(imports, space)
    for source in found[heading]:
        exec(source, space)
