"bench: results of several machines stand beside each other."
import pytest

from bench import __main__ as bench


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, 'RESULTS', tmp_path/'RESULTS.md')
    monkeypatch.setattr(bench.metadata, 'version', lambda package: '1.0') # the peers are not installed for tests
    return tmp_path/'RESULTS.md'


def test_each_kind_of_machine_keeps_its_own_table(results, monkeypatch):
    "Measured again on one of them, the other's table stays, and so do the other parts."
    def store(part, machine, what):
        monkeypatch.setattr(bench, 'where', lambda: f'cpu: {machine}, 2 cores, 8 GB')
        row = dict(what=what, ours=1., theirs=2., unit='s', ratio=.5, target='', ok=None, note='')
        bench.store(part, bench.measured(part, [row]))

    store('pets', 'AMD', 'first')
    store('imports', 'AMD', 'quick')
    store('pets', 'Intel', 'elsewhere')
    store('pets', 'AMD', 'second')
    text = results.read_text()
    assert text.startswith(bench.INTRODUCTION) and text.count('## pets') == text.count('## imports') == 1
    assert 'first' not in text and text.index('quick') < text.index('second') < text.index('elsewhere')
    assert text.count('AMD') == 2 and text.count(bench.HEAD.strip()) == 3


def test_the_stored_file_reads_back_as_it_is(results):
    "What lies in the repository has the form that is written."
    from pathlib import Path
    old = Path(bench.__file__).with_name('RESULTS.md').read_text()
    parts = dict(s.strip().split('\n\n', 1) for s in old.split('\n## ')[1:])
    assert parts.keys() <= {*bench.PARTS}
    for part, text in parts.items():
        assert '\n\n'.join(bench.by_machine(text.split('\n\n')).values()) == text, part
