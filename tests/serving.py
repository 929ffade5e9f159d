"A model of noise, the app that serves it in a process of its own, and a client: for tests and the bench."
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import numpy as np
import torch
from PIL import Image

from coursehelpers.data import load, loaders
from coursehelpers.images.folders import folder
from coursehelpers.vision import vision_learner
from tests.browser import free_port

# whatever would leave this machine is told, and does not
GUARD = '''
import socket, sys
sys.modules['uvloop'] = None # it would look up names and connect in C
def inside(host): return host in (None, '', 'localhost', '127.0.0.1', '::1', b'127.0.0.1', b'localhost')
def guard(name, find):
    real = getattr(*name)
    def guarded(*args, **options):
        host = find(args)
        if not inside(host):
            print('ELSEWHERE', host, file=sys.stderr, flush=True)
            raise OSError(f'no network in this test: {host}')
        return real(*args, **options)
    setattr(*name, guarded)
def connected(args): return args[1][0] if isinstance(args[1], tuple) else None
guard((socket, 'getaddrinfo'), lambda args: args[0])
guard((socket.socket, 'connect'), connected)
guard((socket.socket, 'connect_ex'), connected)
'''
COMMANDS = 'from coursehelpers.cli import app; app(sys.argv[1:])'


def light_learner(home):
    "A learner that tells dark noise from bright noise, exported as home/light; its pictures lie in home/pictures."
    for label, light in (('dark', 60), ('bright', 190)):
        (home/'pictures'/label).mkdir(parents=True)
        for i in range(10):
            noise = np.random.default_rng(i).normal(light, 40, (70, 90 + i, 3)).clip(0, 255).astype('uint8')
            Image.fromarray(noise).save(home/'pictures'/label/f'{i}.png')
    torch.manual_seed(0)
    learn = vision_learner(loaders(folder(home/'pictures'), 48, 4, 'cpu'), 'test_resnet', None)
    learn.fine_tune(1, quiet=True)
    learn.export(home/'light')
    return learn


def light_model(home):
    "The folder of that model."
    light_learner(home)
    return home/'light'


def pets_model(home):
    "A folder with a model of the 37 breeds that ship with the course: a head fitted in seconds."
    torch.manual_seed(0)
    learn = vision_learner(loaders(load('pets', full=False), 192, 32, 'cpu'), 'mobilenetv2_100')
    learn.fine_tune(0, quiet=True)
    learn.export(home/'pets', licence='cc-by-sa-4.0')
    return home/'pets'


def environment(box):
    "Home, temporary folder and working folder of a process, below `box`."
    for name in ('home', 'tmp', 'here'):
        (box/name).mkdir(parents=True, exist_ok=True)
    return {**os.environ, 'HOME': str(box/'home'), 'TMPDIR': str(box/'tmp'), 'PYTHONUNBUFFERED': '1'}


def serving(model, box, *options):
    "`coursehelpers app model`: as `running` gives it."
    return running(box, COMMANDS, 'app', str(model), '--port', str(free_port()), *options)


@contextmanager
def running(box, code, *args, cwd=None, seconds=120, **env):
    "A Python that serves an app, away from everything: its process, its address and its log, once it answers."
    log, env = box/'log', environment(box) | env
    with open(log, 'w') as out:
        process = subprocess.Popen([sys.executable, '-c', GUARD + code, *args], cwd=cwd or box/'here', env=env,
                                   stdout=out, stderr=out)
    try:
        yield process, address(process, log, seconds), log
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired: process.kill()


def address(process, log, seconds):
    "What the app says when it is ready: its address."
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        said = [word for word in log.read_text().split() if word.startswith('http://127.0.0.1')]
        if said: return said[0].rstrip('/')
        time.sleep(.02)
    raise RuntimeError(f'the app did not start within {seconds} s:\n{log.read_text()[-3000:]}')


class Client:
    "Asks an app by its HTTP interface, as its page does."
    def __init__(self, base): self.http = httpx.Client(base_url=base, timeout=120, trust_env=False)

    def upload(self, data, name=b'picture.jpg'):
        "The response to an upload whose name is these bytes, as they are."
        name = name.encode() if isinstance(name, str) else name
        head = b'--part\r\nContent-Disposition: form-data; name="files"; filename="' + name + b'"\r\n\r\n'
        kind = {'Content-Type': 'multipart/form-data; boundary=part'}
        return self.http.post('/gradio_api/upload', content=head + data + b'\r\n--part--\r\n', headers=kind)

    def answer(self, path, api='name'):
        "(the sentence, {label: probability}) about an upload; (None, what was said) where the app raised."
        note = dict(path=path, meta={'_type': 'gradio.FileData'})
        event = self.http.post(f'/gradio_api/call/{api}', json=dict(data=[note])).json()['event_id']
        lines = self.http.get(f'/gradio_api/call/{api}/{event}').text.strip().split('\n')
        data = json.loads(lines[-1].removeprefix('data: '))
        if lines[-2] != 'event: complete': return None, data
        said, bars = data
        return said, {part['label']: part['confidence'] for part in (bars or {}).get('confidences') or []}

    def name(self, data, name=b'picture.jpg', api='name'):
        "The sentence and the probabilities for the bytes of a file; the status and the words of a refusal."
        response = self.upload(data, name)
        if response.status_code != 200: return response.status_code, response.text
        return self.answer(response.json()[0], api)
