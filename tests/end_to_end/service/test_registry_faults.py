"""The client of the registry's own API, on servers that are slow, odd, or no registry at all."""
import socket
import time

import pytest

from dev.servers.process import free_port
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.registry.image import description
from docker_registry_index.service.registry.client import (BLOB_BYTES, RegistryClient)
from tests.helpers import scripted_server
from tests.end_to_end.service.images import TITLE
from tests.helpers.scripted_server import error_page, page

HEX = 'sha256:' + '0' * 64


def every_question(client, **limits):
    return [lambda: client.tags('a/b', **limits), lambda: client.has('a/b', **limits),
            lambda: client.manifest('a/b', 'latest', **limits),
            lambda: client.config('a/b', HEX, **limits)]


@pytest.mark.parametrize('answer', [
    page('<html>no such site</html>', 404), page('{"detail": "Not Found"}', 404), page('', 404),
    page('busy', 503), page('slow down', 429), page('{}', 500), scripted_server.reset,
    error_page('UNSUPPORTED', status=400), page('<html>', 400), page('gone', 301, Location='/*'),
    error_page('UNKNOWN', status=500),
], ids=['html-404', 'json-404', 'empty-404', '503', '429', '500', 'reset', 'another-400',
        'html-400', 'redirect-loop', 'errors-500'])
def test_what_is_no_answer_of_a_registry_is_no_absence(odd, answer):
    odd.answers['*'] = answer
    client = RegistryClient(odd.url)
    for ask in every_question(client) + [lambda: list(client.catalog())]:
        with pytest.raises(RegistryUnavailable, match='REGISTRY_URL'):
            ask()


@pytest.mark.parametrize('body', [
    '<html>log in</html>', '', '[]', 'null', '3', '{"tags": 3}', '{"tags": [1]}',
    '{"tags": {"a": "b"}}', '{"name": "a/b"}', '[' * 100000, b'\xff\xfe',
    '{"repositories": [["a"]]}', '{"tags": "latest"}', '{"tags": {}, "repositories": {}}',
    '{"tags": 0, "repositories": ""}'])
def test_garbage_is_no_list(odd, body):
    odd.answers['*'] = page(body)
    client = RegistryClient(odd.url)
    for ask in (lambda: client.tags('a/b'), lambda: list(client.catalog())):
        with pytest.raises(RegistryUnavailable):
            ask()
    assert client.config('a/b', HEX) is None or body.startswith('{"')


@pytest.mark.parametrize('body', ['{"name": "a/b", "tags": null}', '{"name": "a/b", "tags": []}'])
def test_both_ways_to_say_no_tags(odd, body):
    odd.answers['*'] = page(body)
    assert RegistryClient(odd.url).tags('a/b') == []


def test_absences(odd):
    client = RegistryClient(odd.url)
    for answer in (error_page('NAME_UNKNOWN'), error_page('NAME_INVALID', status=400),
                   error_page('MANIFEST_UNKNOWN'), error_page()):
        odd.answers['*'] = answer
        assert client.tags('a/b') == [] and client.manifest('a/b', 'x') is None
        assert client.config('a/b', HEX) is None


def test_a_config_is_never_read_beyond_4_megabytes(odd):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', str(200 * 1024 * 1024))
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b' ' * 1024 * 1024)
            sent.append(1)
    odd.answers['*'] = endless
    assert RegistryClient(odd.url).config('a/b', HEX) is None
    time.sleep(0.3)
    assert len(sent) < 30, 'the rest is in the buffers of the sockets'
    odd.answers['*'] = page(b'{"a": 1}' + b' ' * (BLOB_BYTES - 8))
    assert RegistryClient(odd.url).config('a/b', HEX) == {'a': 1}
    odd.answers['*'] = page(b'{"a": 1}' + b' ' * (BLOB_BYTES - 7))
    assert RegistryClient(odd.url).config('a/b', HEX) is None
    with pytest.raises(RegistryUnavailable, match='more than a registry would'):
        RegistryClient(odd.url).manifest('a/b', 'latest')


@pytest.mark.parametrize(
    'answer',
    [scripted_server.late(3), scripted_server.drip(True), scripted_server.drip(False)],
    ids=['silent', 'slow-headers', 'slow-body'])
def test_a_timeout_is_for_all_of_a_call(odd, answer):
    odd.answers['*'] = answer
    for ask in every_question(RegistryClient(odd.url), timeout=0.3):
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable, match='does not answer within 0.3 seconds'):
            ask()
        assert time.monotonic() - started < 0.8


@pytest.mark.parametrize('timeout', [0, -1])
def test_no_time_left(odd, timeout):
    with pytest.raises(RegistryUnavailable):
        RegistryClient(odd.url).tags('a/b', timeout=timeout)
    time.sleep(0.05)
    assert not odd.requests


def test_the_description_takes_no_longer_than_its_timeout(odd):
    odd.answers['*'] = scripted_server.late(0.2, page({'manifests': [{'digest': HEX}]}))
    started = time.monotonic()
    with pytest.raises(RegistryUnavailable):
        description(RegistryClient(odd.url), 'a/b', 'latest', timeout=0.5)
    assert time.monotonic() - started < 0.8


def test_an_index_that_contains_itself_ends(odd):
    odd.answers['*'] = page({'manifests': [{'digest': HEX}], 'annotations': {TITLE: 'round'}})
    assert description(RegistryClient(odd.url), 'a/b', 'latest') == 'round'
    assert len(odd.requests) == 3


def test_nobody_there():
    port = free_port()
    with pytest.raises(RegistryUnavailable, match='127.0.0.1:%d.*refused' % port):
        RegistryClient('http://127.0.0.1:%d' % port).tags('a/b')


def test_a_connection_that_cannot_be_made_is_retried_once_and_not_with_a_timeout():
    with socket.socket() as full:
        full.bind(('127.0.0.1', 0))
        full.listen(0)
        url = 'http://127.0.0.1:%d' % full.getsockname()[1]
        fillers = []
        for _ in range(4):  # the queue of the listener is full: connects get no answer
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        client = RegistryClient(url, connect_timeout=0.3)
        for limits, least, most in (({}, 0.6, 1.2), ({'timeout': 5}, 0.3, 0.59)):
            started = time.monotonic()
            with pytest.raises(RegistryUnavailable, match='accepts no connection in time'):
                client.tags('a/b', **limits)
            assert least <= time.monotonic() - started < most
        for filler in fillers:
            filler.close()


class TestCatalog:
    def pages(self, odd, *links, names=('a', 'b', 'c')):
        for place, link in enumerate(links):
            path = '/v2/_catalog?page=%d' % place if place else '/v2/_catalog?n=1000'
            link = link.replace('NEXT', '/v2/_catalog?page=%d' % (place + 1))
            headers = {'Link': link} if link else {}
            odd.answers[path] = page({'repositories': [names[place]] if names else []}, **headers)
        return RegistryClient(odd.url).catalog()

    def test_links_may_be_relative_or_absolute(self, odd):
        found = self.pages(odd, '<NEXT>; rel="next"',
                           '<https://127.0.0.1:5000NEXT>; rel="next"', '')
        assert list(found) == [['a'], ['b'], ['c']], 'scheme and port of a proxy are ours'

    @pytest.mark.parametrize('link', ['<http://example.test/v2/_catalog?page=1>; rel="next"',
                                      '<//example.test/v2/>; rel="next"'])
    def test_links_stay_on_the_host(self, odd, link):
        with pytest.raises(RegistryUnavailable, match='another host'):
            list(self.pages(odd, link))

    def test_a_link_that_is_no_address(self, odd):
        with pytest.raises(RegistryUnavailable, match='not an address'):
            list(self.pages(odd, '<http://[>; rel="next"'))

    @pytest.mark.parametrize('link', ['<NEXT>', 'NEXT', '<NEXT>; rel="prev"', ';', '<'])
    def test_what_is_no_link_is_the_end(self, odd, link):
        assert list(self.pages(odd, link, '')) == [['a']]

    def test_rounds_end(self, odd):
        loop = self.pages(odd, '<NEXT>; rel="next"', '</v2/_catalog?page=1>; rel="next"')
        with pytest.raises(RegistryUnavailable, match='was there before'):
            list(loop)
        with pytest.raises(RegistryUnavailable, match='was there before'):
            list(self.pages(odd, '<NEXT>; rel="next"', '<NEXT>; rel="next"', '', names='aaa'))

    def test_empty_pages_end(self, odd):
        def empty(handler):
            page({'repositories': []},
                 Link='</v2/_catalog?page=%d>; rel="next"' % len(odd.requests))(handler)
        odd.answers['*'] = empty
        with pytest.raises(RegistryUnavailable):
            list(RegistryClient(odd.url).catalog())
        assert len(odd.requests) < 150

    def test_null_is_an_empty_catalog(self, odd):
        odd.answers['*'] = page({'repositories': None})
        assert list(RegistryClient(odd.url).catalog()) == [[]]

    def test_a_prefix_of_the_registry_stays(self, odd):
        odd.answers['/images/v2/_catalog?n=1000'] = page({'repositories': ['a']})
        assert list(RegistryClient(odd.url + '/images/').catalog()) == [['a']]
