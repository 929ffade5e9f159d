"The site: every full notebook is a page, with its stored outputs. Widgets stay interactive without a kernel."
import json
import shutil
from pathlib import Path

from coursehelpers.launch import read_nb
from coursehelpers.settings import settings
from coursehelpers.variants import parse_cell

here = Path(__file__).parent
pages = here/'lessons'


def page(nb):
    "The notebook without what a reader of the site has no use for: the install cell, and the lines that begin with #|."
    for cell in nb['cells']:
        if cell['cell_type'] == 'code': cell['source'] = parse_cell(cell)[1]
    nb['cells'] = [c for c in nb['cells'] if c['id'] != 'setup' and c['source'].strip()]
    return nb


shutil.rmtree(pages, ignore_errors=True)
pages.mkdir()
for path in (here.parent/'nbs/full').glob('*.ipynb'): (pages/path.name).write_text(json.dumps(page(read_nb(path))))

course = settings(here).course
project, author, html_title = course.title, course.title, course.title
extensions = ['myst_nb']
exclude_patterns = ['_build']
nb_execution_mode = 'off'
# the interactive HTML of a widget comes before its picture
nb_mime_priority_overrides = [('html', 'text/html', 0)]
myst_enable_extensions = ['dollarmath', 'alert']
html_theme = 'sphinx_book_theme'
html_theme_options = dict(repository_url=f'https://github.com/{course.repo}', repository_branch=course.branch, path_to_docs='nbs/full', use_repository_button=True)
# pages link to files of the repository (settings.ini, clean notebooks) that are no pages
suppress_warnings = ['myst.xref_missing', 'mystnb.unknown_mime_type']
