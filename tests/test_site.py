"The site: built from the stored notebooks, and its widgets move without a kernel."
import copy
import functools
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse

import pytest

from coursehelpers.author.launch import setup_cell
from coursehelpers.glossary import glossary
from coursehelpers.settings import settings
from tests import browser

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.xdist_group('site')


class Quiet(SimpleHTTPRequestHandler):
    "Serves a folder and says nothing."
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "The folder of the built site."
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '-d', folder/'trees', ROOT/'docs', folder/'html']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder/'html'


@pytest.fixture(scope='module')
def site(built):
    "The address of the built site."
    with ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=built)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


@pytest.fixture(scope='module')
def soups(built):
    "The pages of the built site: {path: what stands on it}."
    from bs4 import BeautifulSoup
    return {path: BeautifulSoup(path.read_text(encoding='utf-8'), 'html.parser') for path in built.rglob('*.html')
            if '_static' not in path.parts}


def dead_links(soups, root):
    "The links of these pages to a file or a place on a page that is not there, the repository's files included."
    places = {path: {tag['id'] for tag in soup.find_all(id=True)} for path, soup in soups.items()}
    for path, soup in soups.items():
        for tag in soup.find_all(['a', 'img', 'link', 'script']):
            link = tag.get('href') or tag.get('src') or ''
            url = urlparse(link)
            of_repository = re.search(r'/blob/main/([^?]*)', link)
            target = path.parent/unquote(url.path) if url.path else path
            if of_repository:
                alive = (root/of_repository[1]).is_file()
            elif url.scheme or url.netloc:
                continue
            else:
                alive = target.is_file() and (not url.fragment or url.fragment in places[target.resolve()])
            if not alive: yield f'{path.name}: {link}'


def test_no_link_is_dead(soups):
    dead = list(dead_links(soups, ROOT))
    assert len(soups) > 15 and not dead, dead


def test_a_dead_link_is_found(tmp_path):
    from bs4 import BeautifulSoup
    page = tmp_path/'a.html'
    page.write_text('<p id="here"><a href="#here"></a><a href="a.html#here"></a><a href="https://b/#c"></a>')
    dead = '<a href="#there"></a><img src="b.png"><a href="a.html#there"></a><a href="https://g/blob/main/no.ipynb"></a>'
    assert not list(dead_links({page: BeautifulSoup(page.read_text(), 'html.parser')}, tmp_path))
    assert len(list(dead_links({page: BeautifulSoup(dead, 'html.parser')}, tmp_path))) == 4


def test_the_link_for_a_class_leads_to_this_repository(soups, built):
    address = re.search(r'https://HUB/hub/user-redirect/git-pull\?\S+', soups[built/'instructors.html'].article.text)
    asked = {key: value for key, [value] in parse_qs(urlparse(address[0]).query).items()}
    course = settings().course
    assert asked['repo'] == f'https://github.com/{course.repo}' and asked['branch'] == course.branch
    folder, _, file = asked['urlpath'].removeprefix('lab/tree/').partition('/')
    assert folder == asked['targetPath'] and (ROOT/file).is_file()


def test_both_notebooks_of_a_lesson_are_there_to_download(soups, built):
    for path in (ROOT/'nbs/full').glob('*.ipynb'):
        page = built/'lessons'/f'{path.stem}.html'
        files = [page.parent/tag['href'] for tag in soups[page].select('a.download')]
        both = [ROOT/'nbs'/variant/path.name for variant in ('full', 'clean')]
        assert [file.read_bytes() for file in files] == [file.read_bytes() for file in both]
        assert 'the cells do not run' in soups[page].article.text, path.stem


def test_lessons_are_numbered_and_named_by_links(soups, built):
    lessons = {path.name[:2]: f'{path.stem}.html' for path in (ROOT/'nbs/full').glob('*.ipynb')}
    numbers = [tag.text.strip()[:4] for tag in soups[built/'index.html'].select('nav.bd-links a')]
    assert numbers[:len(lessons)] == [f'{number} ·' for number in sorted(lessons)]
    for page in (built/'lessons').glob('*.html'):
        article = copy.copy(soups[page].article)
        for tag in article.select('pre, code, h1, h2, h3'):
            tag.decompose()
        for tag in article.find_all('a'):
            if number := re.fullmatch(r'([Ll]essons? )?(\d\d)', tag.text):
                assert tag['href'] == lessons[number[2]], (page.name, tag)
                tag.decompose()
        plain = {found[1] for found in re.finditer(r'\b[Ll]essons? (\d\d)', article.text)}
        assert not plain & set(lessons) - {page.name[:2]}, (page.name, plain)


def test_widgets_move_on_the_page(site):
    browser.need_browser()
    with browser.chromium() as chromium:
        page = browser.new_page(chromium)
        page.goto(f'{site}/lessons/03_quadratic.html')
        slider = page.get_by_role('slider').first
        curve = page.locator('.ch-out svg').first
        before = curve.inner_html()
        slider.focus()
        page.keyboard.press('ArrowRight')
        page.wait_for_function('([svg, before]) => svg.innerHTML !== before', arg=[curve.element_handle(), before])
        assert page.get_by_role('spinbutton').first.input_value() == '0.1'


def test_every_lesson_has_a_page_without_machinery(soups, built):
    installs = setup_cell().splitlines()[0]
    for path in (ROOT/'nbs/full').glob('*.ipynb'):
        cells = soups[built/'lessons'/f'{path.stem}.html'].select('div.cell_input pre')
        lines = '\n'.join(cell.text for cell in cells).split('\n')
        assert len(cells) > 20 and not [line for line in lines if line.startswith('#|') or line == installs], path.stem


def test_glossary_page_has_every_word_with_an_anchor(site):
    from urllib.request import urlopen
    html = urlopen(f'{site}/lessons/glossary.html').read().decode()
    words = glossary()
    assert all(f'id="term-{re.sub("[^A-Za-z0-9]+", "-", word["term"])}"' in html for word in words)
    assert html.count('id="term-') == len(words) and html.count('First met in') == len(words)


def test_names_met_lead_to_the_glossary(site):
    from urllib.request import urlopen
    html = urlopen(f'{site}/lessons/03_quadratic.html').read().decode()
    assert 'href="glossary.html#term-weights"><span class="xref std std-term">parameters</span>' in html
