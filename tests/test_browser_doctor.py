"The doctor's last line in JupyterLab: the page asks, Python answers."
import pytest

from tests.browser import cell, in_lab, need_browser, wait

need_browser()
pytestmark = pytest.mark.xdist_group('browser')

CODE = '''from coursehelpers import doctor as d
d._looks = [d._kernel]
rows = d.doctor()'''


def test_the_page_asks_and_python_answers(browser):
    with in_lab(browser, 'doctor', [CODE], [0]) as page:
        line = cell(page, 0).get_by_role('status')
        wait(lambda: line.text_content().startswith('✓ page'))
        assert 'Python answered after' in line.text_content()
        assert '✓ kernel' in cell(page, 0).locator('.jp-OutputArea').text_content()
