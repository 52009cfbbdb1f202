"""docker-registry-index serve as a process: how it starts, answers and ends."""
import concurrent.futures
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dev.servers.process import ROOT, free_port, http_status, local_environment
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.scripted_server import late, page
from tests.helpers.service import SECRET

KEY = 'never/ShowThisKey+5'


def settings_of(dynamodb, database='test-none', **more):
    return dict({'REGISTRY_URL': 'http://127.0.0.1:1', 'EVENTS_SECRET': SECRET,
                 'LISTEN': '127.0.0.1:%d' % free_port(), 'DYNAMODB_ENDPOINT_URL': dynamodb,
                 'DYNAMODB_DATABASE': database, 'DYNAMODB_ACCESS_KEY': 'AKIADUMMY',
                 'DYNAMODB_SECRET_ACCESS_KEY': KEY, 'LC_ALL': 'C.UTF-8'}, **more)


class Served:
    """docker-registry-index serve without anything around it, as a container starts it."""

    def __init__(self, settings, options=(), port=None):
        self.port = port or int(settings['LISTEN'].rpartition(':')[2])
        self.process = subprocess.Popen(
            [sys.executable, '-B', '-m', 'docker_registry_index', *options, 'serve'], cwd=ROOT,
            env=local_environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self._text = []
        self._output = threading.Thread(
            target=lambda: self._text.extend(self.process.communicate()))
        self._output.start()

    def wait(self, path='/readyz', seconds=30):
        """Wait until a path is answered with 200."""
        deadline = time.monotonic() + seconds
        while http_status(self.port, path) != 200:
            assert self.process.poll() is None and time.monotonic() < deadline, 'not there'
            time.sleep(0.05)
        return self

    def end(self, number=signal.SIGTERM, seconds=25):
        """Send a signal; return (status, seconds it took, standard output, standard error)."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self._output.join(seconds)
            assert self.process.poll() is not None, 'it does not end'
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._output.join(10)
        out, err = [text.decode() for text in self._text]
        assert not any(secret in out + err for secret in (SECRET, KEY)), 'a secret is shown'
        assert 'Traceback' not in out + err, err
        return self.process.returncode, time.monotonic() - began, out, err


def post(port, event):
    """Send a notification; return the status of the answer."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('POST', '/events', json.dumps({'events': [event]}),
                       {'Authorization': 'Bearer ' + SECRET})
    return connection.getresponse().status


def as_file(settings, path):
    """Write settings of variables to a file; return the options that read it."""
    path.write_text('extensions:\n'
                    '    dynamodb_index:\n'
                    '        database: %(DYNAMODB_DATABASE)s\n'
                    '        endpoint_url: %(DYNAMODB_ENDPOINT_URL)s\n'
                    '        access_key: AKIADUMMY\n'
                    '        secret_access_key: %(DYNAMODB_SECRET_ACCESS_KEY)s\n'
                    'service:\n'
                    '    registry_url: %(REGISTRY_URL)s\n'
                    '    events_secret: %(EVENTS_SECRET)s\n'
                    '    threads: 4\n'
                    '    listen: %(LISTEN)s\n' % settings)
    return ['--config', str(path)]


def test_a_stop_answers_requests_under_way_and_a_restart_goes_on(dynamodb_local, tmp_path):
    with FakeRegistry({'team/web': 'The front end'}) as registry:
        settings = settings_of(dynamodb_local.url, 'test-serve-%d' % os.getpid(),
                               REGISTRY_URL=registry.url, EVENTS_WAIT='20')
        served = Served(settings).wait()
        registry.repositories['team/slow'] = None
        registry.trouble = late(0.5, page({'tags': ['latest']}))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, served.port, pushed('team/slow'))
            time.sleep(0.3)
            status, seconds, out, err = served.end(signal.SIGTERM)
            registry.trouble = None
            assert answer.result() == 200, err
        assert status == 0 and seconds < 12, (seconds, err)
        assert '"POST /events HTTP/1.1" 200 ' in out and 'stopping: SIGTERM' in err
        assert http_status(served.port, '/healthz') is None
        # A file serves as variables do.
        again = Served({'LC_ALL': 'C.UTF-8'}, as_file(settings, tmp_path / 'service.yml'),
                       served.port).wait()
        try:
            connection = http.client.HTTPConnection('127.0.0.1', again.port, timeout=30)
            connection.request('GET', '/v1/search?q=slow')
            found = json.load(connection.getresponse())['results']
        finally:
            status, seconds, out, err = again.end(signal.SIGINT)
        assert [result['name'] for result in found] == ['team/slow']
        assert status == 0 and seconds < 8 and 'stopping: SIGINT' in err, (seconds, err)


@pytest.mark.parametrize('more, problem', [({'HTPASSWD': '/nowhere/htpasswd'}, 'htpasswd names '),
                                           ({'LISTEN': '203.0.113.1:5080'}, 'setting listen is ')])
def test_a_setting_that_cannot_work_ends_the_process_with_status_2(dynamodb_local, more, problem):
    status, _, out, err = Served(settings_of(dynamodb_local.url, **more)).end(0)
    assert (status, out) == (2, '') and problem in err and len(err.splitlines()) == 1, err
