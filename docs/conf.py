"The site: a page for each full notebook, with its stored outputs, and one for all the words. Widgets need no kernel."
import json
import re
import shutil
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from coursehelpers.author.launch import links, read_nb
from coursehelpers.author.variants import parse_cell
from coursehelpers.glossary import UnknownTerm, glossary, term
from coursehelpers.settings import settings

here = Path(__file__).parent
course = settings(here).course
pages, notebooks = here/'lessons', here.parent/'nbs'
lessons = {path.name[:2]: path for path in (notebooks/'full').glob('*.ipynb')}

# what stands on a page in place of the links to places where a notebook runs
head = '''(run-{number})=
- Run the **full** notebook: {full} · {{download}}`download <full/{name}>`
- Write the **clean** one: {clean} · {{download}}`download <clean/{name}>`

On this page the pictures move; the cells do not run.'''
not_here = 'press Shift + Enter ([not on this page: open the notebook first](#run-{number}))'


def linked_name(found):
    "A name met as a link to its place in the glossary; one that the glossary does not have stays as it is."
    try:
        return f'{{term}}`{found[1]} <{term(found[1])["term"]}>`'
    except UnknownTerm:
        return found[0]


def with_names(text):
    "Prose whose names met are links to the glossary."
    def link(line): return re.sub(r'(?<!\*)\*([^*]+)\*(?!\*)', linked_name, line[0])
    return re.sub(r'^\**Names met.*', link, text, flags=re.M)


def with_lessons(text, own=''): # own: the number of the lesson that this is
    "Prose in which each lesson's number is a link to its page. Headings, code and what is a link already stay."
    def link(found):
        number = found[0][-2:]
        known = number in lessons and number != own
        return f'<a href="{lessons[number].stem}.html">{found[0]}</a>' if known else found[0]

    def link_all(found): return re.sub(r'([Ll]essons? )?\d\d', link, found[0]) if found['named'] else found[0]
    stays = r'^#.*|`+[^`]*`+|\[[^]]*\]\([^)]*\)|<a .*?</a>'
    named = r'\b[Ll]essons? \d\d\b((, | and | or | to )\d\d\b)*'
    return re.sub(f'{stays}|(?P<named>{named})', link_all, text, flags=re.M)


def with_head(source, name):
    "The generated cell under a title as it stands on a page: where both notebooks run, and the table below."
    def places(variant): return ' · '.join(f'[{place}]({url})' for place, url in links(name, variant).items())
    _, table = source.split('\n\n', 1)
    said = head.format(number=name[:2], name=name, full=places('full'), clean=places('clean'))
    return f'{said}\n\n{table}'


def code_on_page(cell, number):
    "A cell of code without the lines that begin with #|. What a notebook folds is folded; its tables have links."
    cell['source'] = parse_cell(cell)[1]
    if cell['metadata'].get('jupyter', {}).get('source_hidden'):
        cell['metadata']['tags'] = ['hide-input']
    for output in cell['outputs']:
        html = ''.join(output.get('data', {}).get('text/html', ''))
        if html.startswith('<table'):
            output['data']['text/html'] = with_lessons(html, number)


def page(path):
    "A notebook as a page: its number in the title, no cell that installs, and links where others are named."
    nb, number = read_nb(path), path.name[:2]
    nb['cells'] = [c for c in nb['cells'] if c['id'] != 'setup']
    for cell in nb['cells']:
        if cell['cell_type'] == 'code':
            code_on_page(cell, number)
        elif cell['id'] == 'launch':
            cell['source'] = with_lessons(with_head(cell['source'], path.name), number)
        else:
            cell['source'] = with_lessons(with_names(cell['source']), number)
            cell['source'] = cell['source'].replace('press Shift + Enter', not_here.format(number=number))
    nb['cells'][0]['source'] = nb['cells'][0]['source'].replace('# ', f'# {number} · ', 1)
    nb['cells'] = [c for c in nb['cells'] if c['source'].strip()]
    return nb


def entry(word):
    "One word of the glossary: its other names, what it means, where it is met."
    also = f' Also: {", ".join(word["also"])}.' if word['also'] else ''
    shown = f' For example `{word["shown"]}`.' if not word['shown'].startswith('lesson ') else ''
    return f'{word["term"]}\n  {word["means"]}{also}{shown} First met in lesson {word["lesson"]}.\n'


def words_page():
    "The glossary as a page: a heading for each letter, an anchor for each word."
    page = ['# Glossary', '> Every word of the course, once. In a notebook, `terms(\'loss\')` shows the same.\n']
    for letter, words in groupby(glossary(), lambda word: word['term'][0].upper()):
        page += [f'## {letter}', '```{glossary}', *map(with_lessons, map(entry, words)), '```\n']
    return '\n'.join(page)


shutil.rmtree(pages, ignore_errors=True)
for variant in ('full', 'clean'): # the notebooks themselves, to download
    shutil.copytree(notebooks/variant, pages/variant, ignore=shutil.ignore_patterns('.*', '*.toml'))
for path in lessons.values():
    (pages/path.name).write_text(json.dumps(page(path)), encoding='utf-8')
(pages/'glossary.md').write_text(words_page(), encoding='utf-8')

project, author, html_title = course.title, '', course.title
extensions = ['myst_nb']
exclude_patterns = ['_build', 'lessons/full', 'lessons/clean']
nb_execution_mode = 'off'
nb_code_prompt_show, nb_code_prompt_hide = 'Show the code', 'Hide the code'
# the interactive HTML of a widget comes before its picture
nb_mime_priority_overrides = [('html', 'text/html', 0)]
myst_enable_extensions = ['dollarmath', 'alert']
html_theme = 'sphinx_book_theme'
html_theme_options = dict(repository_url=f'https://github.com/{course.repo}', repository_branch=course.branch,
                          use_repository_button=True, use_download_button=False)
html_copy_source = False # a page's source has no cell that installs: the notebooks themselves are there to download
html_static_path, html_css_files = ['_static'], ['course.css']
suppress_warnings = ['mystnb.unknown_mime_type']


def name_repository(app, page, source):
    "The instructors' link leads to this course's repository and branch."
    if page != 'instructors': return
    source[0] = source[0].replace('REPO', quote(course.repo, safe='')).replace('BRANCH', quote(course.branch, safe=''))


def setup(app): app.connect('source-read', name_repository)
