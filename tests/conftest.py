"What all tests share: decoded pictures are kept in a folder of the test run, never in the user's cache."
import pytest


@pytest.fixture(autouse=True, scope='session')
def own_cache(tmp_path_factory):
    "A cache of this run's own."
    with pytest.MonkeyPatch.context() as m:
        m.setenv('COURSEHELPERS_DATA_CACHE', str(tmp_path_factory.mktemp('cache')))
        yield
