"files: a whole file or none, whatever stops the writing."

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from coursehelpers.base.files import DataError, fetch, locked, whole


@pytest.fixture
def server(tmp_path):
    "A web server on 127.0.0.1 that serves tmp_path/www; under /cut/ it promises all and sends half."
    (tmp_path / 'www').mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / 'www'))

        def log_message(self, *args):
            pass

        def do_GET(self):
            if not self.path.startswith('/cut/'):
                return super().do_GET()
            whole = (tmp_path / 'www' / self.path[5:]).read_bytes()
            self.send_response(200)
            self.send_header('Content-Length', str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])

    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{running.server_port}', tmp_path / 'www'
        running.shutdown()


def test_a_full_disk_leaves_what_was_there(tmp_path):
    (tmp_path / 'a').write_text('old')
    with pytest.raises(OSError, match='No space'), whole(tmp_path / 'a') as part:
        part.write_text('ne')
        open('/dev/full', 'w').write('w' * 100_000)
    assert (tmp_path / 'a').read_text() == 'old' and os.listdir(tmp_path) == ['a']


def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path):
    "SIGKILL while the new file is half there: the old one is whole, and the next writer succeeds."
    (tmp_path / 'a').write_text('old')
    code = "import sys, time; from coursehelpers.base.files import whole\nwith whole(sys.argv[1]) as p:"
    code += " p.write_text('half'); print('there', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, '-c', code, tmp_path / 'a'], stdout=subprocess.PIPE)
    assert child.stdout.readline().strip() == b'there'
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert (tmp_path / 'a').read_text() == 'old'
    with whole(tmp_path / 'a') as part:
        part.write_text('new')
    assert (tmp_path / 'a').read_text() == 'new'


def test_parts_of_dead_writers_are_swept_up(tmp_path):
    "What a killed writer left goes after a day; what is young or is not ours stays."
    old, young, other = [tmp_path / name for name in ('.a.9999.part', '.b.9999.part', '.d.part')]
    for path in (old, young, other):
        path.write_text('half')
    for path in (old, other):
        os.utime(path, (time.time() - 90_000,) * 2)
    with whole(tmp_path / 'new') as part:
        part.write_text('new')
    assert [p.exists() for p in (old, young, other)] == [False, True, True]


def test_what_is_synced_may_be_written(tmp_path, monkeypatch):
    "Windows refuses to sync a file that was opened for reading only."
    writable = []
    monkeypatch.setattr(os, 'fsync', lambda fd: writable.append(os.write(fd, b'n') == 1))
    with whole(tmp_path / 'a') as part:
        part.write_text('new')
    assert writable == [True]


def test_one_after_the_other(tmp_path):
    with (
        locked(tmp_path / 'a'),
        pytest.raises(DataError, match=str(tmp_path / 'a')),
        locked(tmp_path / 'a', timeout=0.1),
    ):
        pass
    with locked(tmp_path / 'a', timeout=0.1):
        pass


def test_fetch(server, tmp_path):
    url, www = server
    (www / 'a.bin').write_bytes(b'x' * 100_000)
    assert fetch(tmp_path / 'to' / 'a.bin', [f'{url}/gone.bin', f'{url}/a.bin']).read_bytes() == b'x' * 100_000
    assert fetch(tmp_path / 'to' / 'b.bin', [www / 'a.bin']).stat().st_size == 100_000
    sums = {kind: hashlib.new(kind, b'x' * 100_000).hexdigest() for kind in ('md5', 'sha256')}
    assert fetch(tmp_path / 'to' / 'c.bin', [f'{url}/a.bin'], **sums).exists()


@pytest.mark.parametrize(
    'source, why',
    [
        ('{}/cut/a.bin', 'cut off after 50000 of 100000 bytes'),
        ('{}/gone.bin', '404'),
        ('http://127.0.0.1:9/a.bin', 'refused'),
        ('/no/such/file', 'No such file'),
    ],
)
def test_a_failed_fetch_leaves_what_was_there(server, tmp_path, source, why):
    url, www = server
    (www / 'a.bin').write_bytes(b'x' * 100_000)
    (tmp_path / 'a.bin').write_text('old')
    with pytest.raises(DataError, match=why):
        fetch(tmp_path / 'a.bin', [source.format(url)])
    assert (tmp_path / 'a.bin').read_text() == 'old' and not list(tmp_path.glob('.*.part'))


def test_fetch_refuses_wrong_bytes(server, tmp_path):
    url, www = server
    (www / 'a.bin').write_bytes(b'x')
    for kind, length in (('md5', 32), ('sha256', 64)):
        with pytest.raises(DataError, match=f'{kind} is wrong'):
            fetch(tmp_path / 'a.bin', [f'{url}/a.bin'], **{kind: '0' * length})
    assert not (tmp_path / 'a.bin').exists()
