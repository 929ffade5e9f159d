"The glossary: its data are sound, every name met in a lesson is in it, and it is found under any form."

import re
from pathlib import Path

import pytest

from coursehelpers.author.launch import read_nb
from coursehelpers.glossary import UnknownTerm, glossary, term, terms

ROOT = Path(__file__).parents[1]
LESSONS = {path.name[:2]: path for path in sorted((ROOT / 'nbs/full').glob('*.ipynb'))}
TO_COME = {'12', '15'}


def prose(path):
    "The words of a lesson: its text and its code."
    return '\n'.join(c['source'] for c in read_nb(path)['cells'])


def names_met(path):
    "The names in italics after **Names met**; *training and test set* are two."
    for line in re.findall(r'^\**Names met.*', prose(path), re.M):
        for name in re.findall(r'(?<!\*)\*([^*]+)\*(?!\*)', line):
            *first, last = re.split(r', | and ', name)
            yield from [f'{part} {last.split()[-1]}' for part in first] + [last]


def singular(text):
    "Words without capitals, signs between them and the plural's s."
    return ' '.join(
        re.sub('(?<=[a-z]{2})(?<!s)s$', '', word) for word in re.findall(r'\w+', text.lower().replace('_', ' '))
    )


def test_each_entry_is_complete():
    for entry in glossary():
        assert set(entry) == {'term', 'also', 'means', 'shown', 'lesson'}, entry
        assert entry['term'].strip() and entry['shown'].strip(), entry
        assert entry['means'].endswith('.') and entry['means'].count('. ') <= 1 and entry['means'][0].isupper(), entry
        assert entry['lesson'] in LESSONS or entry['lesson'] in TO_COME, entry


def test_no_word_stands_twice():
    for entry in glossary():
        for name in (entry['term'], *entry['also']):
            assert term(name)['term'] == entry['term'], name


def test_the_file_is_in_the_order_of_the_alphabet():
    import json

    stored = [entry['term'] for entry in json.loads((ROOT / 'coursehelpers/glossary.json').read_text())]
    assert stored == sorted(stored, key=str.lower)


@pytest.mark.parametrize('number', LESSONS)
def test_every_name_met_is_in_the_glossary(number):
    missing = []
    for name in names_met(LESSONS[number]):
        try:
            term(name)
        except UnknownTerm:
            missing.append(name)
    assert not missing, f'add to coursehelpers/glossary.json: {missing}'


def test_names_are_met_somewhere():
    assert len({name for path in LESSONS.values() for name in names_met(path)}) > 60


@pytest.mark.parametrize('entry', [e for e in glossary() if e['lesson'] in LESSONS], ids=lambda e: e['term'])
def test_a_word_occurs_in_the_lesson_that_it_is_said_to_be_met_in(entry):
    text, forms = (
        singular(prose(LESSONS[entry['lesson']])),
        [singular(name) for name in (entry['term'], *entry['also'])],
    )
    assert any(re.search(rf'\b{re.escape(form)}', text) for form in forms), forms


# forms that are also plain English: before their lesson they mean what they mean everywhere
EVERYDAY = set(
    """
    average body cell channel check clean cost data descent dominated error event export features forward freeze frozen
    full gap head hidden input inputs kernel label labels leak mean model net network paired performance pixel pixels
    predictions prior probability program rank rate record regression result resume risk scale scaling score shape slope
    spread step stride tag target temperature train transfer valid views weights
    """.split()
) | {'last layer'}


def paragraphs(path):
    "The paragraphs of a lesson's text, without headings, quotes and code, and without its recap."
    cells = [c['source'] for c in read_nb(path)['cells'] if c['cell_type'] == 'markdown' and c['id'] != 'launch']
    text = re.sub(r'```.*?```', '', '\n\n'.join(cells).partition('## Recap')[0], flags=re.S)
    return [p for p in re.split(r'\n\s*\n', text) if not re.match(r'#|>', p.strip())]


def used_in(entry, paragraph):
    "Does a paragraph use a word of the glossary?"
    forms = [re.escape(name) for name in (entry['term'], *entry['also']) if len(name) > 1 and name not in EVERYDAY]
    words = re.sub('`[^`]*`', '', paragraph)
    return forms and re.search(rf"(?<![\w'])({'|'.join(forms)})s?(?!\w)", words, re.I)


def explained_in(entry, paragraph):
    "Does a paragraph explain it (it stands in italics or bold), or say which lesson does?"
    forms = '|'.join(re.escape(name) for name in (entry['term'], *entry['also']))
    return re.search(rf'\*[^*\n]*\b({forms})s?\b[^*\n]*\*|lessons? \d\d', paragraph, re.I)


@pytest.mark.parametrize('entry', glossary(), ids=lambda e: e['term'])
def test_a_word_is_explained_before_it_is_used(entry):
    found = []
    for number, path in LESSONS.items():
        if number > entry['lesson']:
            break
        uses = [p for p in paragraphs(path) if used_in(entry, p)]
        if uses and not explained_in(entry, uses[0]):
            found.append(f'{path.name}: {uses[0][:200]}')
    assert not found, f'{entry["term"]!r} (lesson {entry["lesson"]}) is not explained where it comes first: {found}'


@pytest.mark.parametrize(
    'name, found',
    [
        ('Parameters', 'weights'),
        ('LR', 'learning rate'),
        ('mini batch', 'batch'),
        ('epochs', 'epoch'),
        ('logits', 'score'),
        ('loss', 'loss'),
    ],
)
def test_a_word_is_found_in_its_forms(name, found):
    assert term(name)['term'] == found


def test_an_unknown_word_offers_the_nearest():
    with pytest.raises(UnknownTerm, match='overfitting'):
        terms('overfitng')
    with pytest.raises(UnknownTerm, match='terms'):
        terms('xyzzyx')


def test_what_is_shown_is_a_table_and_text():
    shown = terms({'loss': '<1>', 'metric': 2})
    html = shown._repr_html_()
    assert html.count('scope="col"') == 4 and html.count('scope="row"') == 2 and '&lt;1&gt;' in html
    assert repr(shown).splitlines()[1].startswith('metric: ') and 'Here: <1>.' in repr(shown)


def test_it_needs_no_torch():
    import subprocess
    import sys

    subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys; from coursehelpers.glossary import terms; repr(terms()); assert "torch" not in sys.modules',
        ],
        check=True,
        cwd=ROOT,
    )
