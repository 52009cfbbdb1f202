"""The log: as text and as JSON, and the access log."""
import contextlib
import io
import json
import logging
import re
import sys
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docker_registry_index.cli.output import configure_logging
from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.web.log import client_address

ACCESS = re.compile(r'(?P<time>\S+) (?P<client>\S+) (?P<user>\S+) "(?P<request>[^"]*)" '
                    r'(?P<status>\d+) (?P<bytes>\d+) (?P<milliseconds>\d+)ms "(?P<agent>[^"]*)"\Z')
#: Bytes of a header, except those that no web server passes on.
HEADER = st.lists(st.sampled_from(sorted(set(range(256)) - set(b'\r\n\0'))),
                  max_size=30).map(bytes)
EVIL = st.text(max_size=30) | st.sampled_from(['\x1b[31m', 'a\nb', 'x" 1 1ms "', '\u202e', '\x85'])


class Log:
    """The log of a process.

    :ivar out, err: its standard output and standard error."""

    def __init__(self, **variables):
        self.out, self.err = io.StringIO(), io.StringIO()
        self._settings = settings_of(variables, {})[0]
        self._loggers = [logging.getLogger(name) for name in (
            None, 'docker_registry_index.access', 'boto3', 'botocore', 'urllib3', 'passlib',
            'waitress', 'waitress.queue')]

    def __enter__(self):
        self._before = [(each, each.handlers[:], each.level, each.propagate)
                        for each in self._loggers]
        for each in self._loggers:
            each.handlers = []
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.err):
            configure_logging(self._settings)
        return self

    def __exit__(self, *failure):
        for each, each.handlers, level, each.propagate in self._before:
            each.setLevel(level)

    def lines(self, stream):
        """Return the lines that were written to a stream since the last call."""
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        assert not text or text.endswith('\n')
        return text[:-1].split('\n') if text else []


def ask(service, target, **headers):
    lines = [b'%s: %s' % (name.replace('_', '-').encode(), value)
             for name, value in headers.items()]
    return service.request_bytes('GET', target, *lines)


def test_the_access_log_has_a_line_for_each_request(service):
    with Log() as log:
        for target in (b'/counted', b'/a\x85b\xe9\x08?\x1b[31m', b'/back\\slash"'):
            assert ask(service, target, User_Agent=b'docker/20.10 "x"').status_code == 404
        service.get('/healthz')
        lines = [ACCESS.match(line) for line in log.lines(log.out)]
        assert [line['request'] for line in lines] == [
            'GET /counted HTTP/1.1', r'GET /a\x85b\xe9\x08?\x1b[31m HTTP/1.1',
            r'GET /back\\slash\x22 HTTP/1.1', 'GET /healthz HTTP/1.1']
        assert lines[0].group('client', 'user', 'status', 'agent') == (
            '127.0.0.1', '-', '404', r'docker/20.10 \x22x\x22')
        moment = datetime.strptime(lines[0]['time'], '%Y-%m-%dT%H:%M:%S.%fZ')
        assert abs((datetime.utcnow() - moment).total_seconds()) < 60
        assert log.lines(log.err) == []


def test_a_line_of_the_access_log_may_be_a_json_object(service):
    with Log(LOG_FORMAT='json') as log:
        ask(service, b'/counted', User_Agent=b'skopeo/1.9')
        [line] = map(json.loads, log.lines(log.out))
        assert list(line) == ['time', 'level', 'client', 'user', 'request', 'status', 'bytes',
                              'milliseconds', 'user_agent']
        assert (line['client'], line['request'], line['status'], line['user_agent']) == (
            '127.0.0.1', 'GET /counted HTTP/1.1', 404, 'skopeo/1.9')


@pytest.mark.parametrize('form', ['text', 'json'])
def test_no_message_forges_a_line(form):
    with Log(LOG_FORMAT=form) as log:
        logger = logging.getLogger('docker_registry_index.test')
        logger.warning('of %s\x1b[31m', 'a client\n2026-01-01T00:00:00.000Z ERROR: forged')
        try:
            raise ValueError('of a client\n2026-01-01T00:00:00.000Z ERROR: forged\x1b[31m')
        except ValueError:
            logger.exception('failed')
        lines = log.lines(log.err)
        assert log.lines(log.out) == [] and all(line.isprintable() for line in lines)
        if form == 'json':
            first, second = map(json.loads, lines)
            assert (first['level'], second['level'], second['message']) == (
                'warning', 'error', 'failed')
            assert 'ValueError: of a client' in second['traceback'] and len(lines) == 2
        else:
            assert [bool(re.match(r'\S+Z (WARNING: of a|ERROR: failed)|    \S*', line))
                    for line in lines] == [True] * len(lines) and len(lines) > 3


@pytest.mark.parametrize('level, count, accesses', [
    ('debug', 4, 1), ('info', 3, 1), ('warning', 2, 0), ('error', 1, 0)])
def test_lines_below_the_level_are_not_logged(service, level, count, accesses):
    with Log(LOG_LEVEL=level) as log:
        logger = logging.getLogger('of.this.test')
        for each in logger.debug, logger.info, logger.warning, logger.error:
            each('x')
        for name in 'botocore.auth', 'urllib3.connectionpool':
            logging.getLogger(name).debug('Authorization: Basic')
        service.get('/healthz')
        assert (len(log.lines(log.err)), len(log.lines(log.out))) == (count, accesses)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(agent=HEADER, forwarded=HEADER | st.just(b'fe80::1%a \x1b[31m"'), user=EVIL,
       target=HEADER.filter(lambda path: not set(path) & set(b' #?')),
       form=st.sampled_from(['text', 'json']))
def test_nothing_in_a_request_forges_a_line(service, agent, forwarded, user, target, form):
    service.app.before_request_funcs.setdefault(None, []).insert(
        0, lambda: setattr(sys.modules['flask'].g, 'user', user))
    try:
        with Log(LOG_FORMAT=form, TRUSTED_PROXIES='127.0.0.1') as log:
            ask(service, b'/' + target, User_Agent=agent, X_Forwarded_For=forwarded)
            [line] = log.lines(log.out)
    finally:
        del service.app.before_request_funcs[None][0]
    assert re.match('[ -~]+\\Z', line)
    fields = json.loads(line) if form == 'json' else ACCESS.match(line).groupdict()
    assert fields['client'] and int(fields['status']) >= 200


NETWORKS = settings_of({'TRUSTED_PROXIES': '127.0.0.1,10.0.0.0/8,fd00::/8'}, {})[0].trusted_proxies


@pytest.mark.parametrize('peer, forwarded, client', [
    ('192.0.2.1', '203.0.113.9', '192.0.2.1'), ('127.0.0.1', '', '127.0.0.1'),
    ('127.0.0.1', '203.0.113.9', '203.0.113.9'), ('10.2.3.4', '2001:db8::1', '2001:db8::1'),
    ('127.0.0.1', '198.51.100.7, 203.0.113.9', '203.0.113.9'),
    ('127.0.0.1', '198.51.100.7, 203.0.113.9,10.1.1.1 , fd00::5', '203.0.113.9'),
    ('127.0.0.1', '10.1.1.1,10.2.2.2', '10.1.1.1'), ('fd00::1', ' 2001:db8::2 ', '2001:db8::2'),
    ('::ffff:127.0.0.1', '192.0.2.9', '192.0.2.9'), ('127.0.0.1', 'unknown', '127.0.0.1'),
    ('127.0.0.1', '203.0.113.9, unknown, 10.0.0.1', '10.0.0.1'),
    ('127.0.0.1', '٣.٣.٣.٣', '127.0.0.1'),
    ('127.0.0.1', ',,', '127.0.0.1'), ('-', '203.0.113.9', '-')])
def test_the_client_is_the_last_address_that_is_not_of_a_trusted_proxy(peer, forwarded, client):
    assert client_address(peer, forwarded, NETWORKS) == client
    assert client_address(peer, forwarded, ()) == client_address(peer, '', ())
