"The site: built from the stored notebooks, and its widgets move without a kernel."
import functools
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from coursehelpers.glossary import glossary
from tests import browser

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.xdist_group('site')


class Quiet(SimpleHTTPRequestHandler):
    "Serves a folder and says nothing."
    def log_message(self, *args): pass


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The address of the built site."
    folder = tmp_path_factory.mktemp('site')
    command = [sys.executable, '-m', 'sphinx', '-q', '-W', '-d', folder/'trees', ROOT/'docs', folder/'html']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=folder/'html')) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}'
        server.shutdown()


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


def test_every_lesson_has_a_page_without_machinery(site):
    from urllib.request import urlopen
    for path in (ROOT/'nbs/full').glob('*.ipynb'):
        html = urlopen(f'{site}/lessons/{path.stem}.html').read().decode()
        assert 'class="c1">#|' not in html and 'git+https' not in html, path.stem


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
