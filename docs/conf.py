"The site: a page for each full notebook, with its stored outputs, and one for all the words. Widgets need no kernel."
import json
import re
import shutil
from itertools import groupby
from pathlib import Path

from coursehelpers.author.launch import read_nb
from coursehelpers.author.variants import parse_cell
from coursehelpers.glossary import UnknownTerm, glossary, term
from coursehelpers.settings import settings

here = Path(__file__).parent
pages = here/'lessons'


def linked(found):
    "A name met as a link to its place in the glossary; one that the glossary does not have stays as it is."
    try:
        return f'{{term}}`{found[1]} <{term(found[1])["term"]}>`'
    except UnknownTerm:
        return found[0]


def page(nb):
    "The notebook as a page: without the install cell and the lines that begin with #|. Names met are links."
    def link_names(line): return re.sub(r'(?<!\*)\*([^*]+)\*(?!\*)', linked, line[0])
    for cell in nb['cells']:
        if cell['cell_type'] == 'code':
            cell['source'] = parse_cell(cell)[1]
        else:
            cell['source'] = re.sub(r'^\**Names met.*', link_names, cell['source'], flags=re.M)
    nb['cells'] = [c for c in nb['cells'] if c['id'] != 'setup' and c['source'].strip()]
    return nb


def entry(word, lessons): # lessons: {number: file name}
    "One word of the glossary: its other names, what it means, where it is met."
    number = word['lesson']
    met = f'[lesson {number}]({lessons[number]})' if number in lessons else f'lesson {number}'
    also = f' Also: {", ".join(word["also"])}.' if word['also'] else ''
    shown = f' For example `{word["shown"]}`.' if not word['shown'].startswith('lesson ') else ''
    return f'{word["term"]}\n  {word["means"]}{also}{shown} First met in {met}.\n'


def words_page(lessons): # {number: file name}
    "The glossary as a page: a heading for each letter, an anchor for each word."
    page = ['# Glossary', '> Every word of the course, once. In a notebook, `terms(\'loss\')` shows the same.\n']
    for letter, words in groupby(glossary(), lambda word: word['term'][0].upper()):
        page += [f'## {letter}', '```{glossary}', *(entry(word, lessons) for word in words), '```\n']
    return '\n'.join(page)


shutil.rmtree(pages, ignore_errors=True)
pages.mkdir()
for path in (here.parent/'nbs/full').glob('*.ipynb'):
    (pages/path.name).write_text(json.dumps(page(read_nb(path))))
(pages/'glossary.md').write_text(words_page({path.name[:2]: path.name for path in pages.glob('*.ipynb')}))

course = settings(here).course
project, author, html_title = course.title, course.title, course.title
extensions = ['myst_nb']
exclude_patterns = ['_build']
nb_execution_mode = 'off'
# the interactive HTML of a widget comes before its picture
nb_mime_priority_overrides = [('html', 'text/html', 0)]
myst_enable_extensions = ['dollarmath', 'alert']
html_theme = 'sphinx_book_theme'
html_theme_options = dict(repository_url=f'https://github.com/{course.repo}', repository_branch=course.branch,
                          path_to_docs='nbs/full', use_repository_button=True)
html_static_path, html_css_files = ['_static'], ['course.css']
# pages link to files of the repository (settings.ini, clean notebooks) that are no pages
suppress_warnings = ['myst.xref_missing', 'mystnb.unknown_mime_type']
