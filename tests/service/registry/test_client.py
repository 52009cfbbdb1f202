"""The client of a registry's API, on answers that are usual, odd, or no registry's at all."""
import hashlib
import threading
from urllib.parse import urlencode

import pytest

from docker_registry_index.service.registry.catalog import MARK
from docker_registry_index.service.registry.client import BLOB_BYTES, CacheClient, RegistryClient
from docker_registry_index.service.registry.connection import RegistryUnavailable
from tests.helpers.registry import DIGEST
from tests.helpers.scripted_server import error_page, page, reset


@pytest.fixture
def client(server):
    return RegistryClient(server.url)


def names(client):
    """Return the names in the catalog."""
    return [name for page in client.catalog() for name in page]


def test_an_invalid_name_or_reference_is_absent_without_a_request(server, client):
    for name in 'Upper/Case', '../../v2/a', 'a?b', '', None, 'a' * 256, 'x\n':
        assert client.tags(name) == [] and not client.has(name)
        assert not client.has_manifest(name, 'latest')
        assert client.manifest(name, 'latest') is None and client.config(name, DIGEST) is None
    for reference in '../tags/list', 'a b', 'a' * 129, 'sha256:0', '', None:
        assert not client.has_manifest('a/b', reference)
        assert client.manifest('a/b', reference) is client.config('a/b', reference) is None
    assert not server.requests


def test_an_error_of_the_registry_itself_is_an_absence(server, client):
    for server.answers['*'] in (error_page('NAME_UNKNOWN'), error_page('NAME_INVALID', status=400),
                                error_page('MANIFEST_UNKNOWN'), error_page()):
        assert client.tags('a/b') == [] and client.manifest('a/b', 'x') is None
        assert client.config('a/b', DIGEST) is None and not client.has('a/b')
    server.answers['*'] = page('', 404)
    assert not client.has_manifest('a/b', 'x')


@pytest.mark.parametrize('answer', [
    page('<html>no such site</html>', 404), page('{"detail": "Not Found"}', 404), page('', 404),
    page('busy', 503), page('{}', 500), reset, page('<html>', 400), page('', 301, Location='/*'),
    error_page('UNSUPPORTED', status=400), error_page('UNKNOWN', status=500)])
def test_an_answer_that_no_registry_sends_is_not_an_absence(server, client, answer):
    server.answers['*'] = answer
    for ask in (lambda: client.tags('a/b'), lambda: client.manifest('a/b', 'latest'),
                lambda: client.config('a/b', DIGEST), lambda: list(client.catalog()),
                lambda: client.has('a/b')):
        with pytest.raises(RegistryUnavailable, match='REGISTRY_URL'):
            ask()


@pytest.mark.usefixtures('no_garbage_collection')
@pytest.mark.parametrize('body', [
    '<html>log in</html>', '', '[]', 'null', '3', '{"tags": 3}', '{"tags": [1]}',
    '{"tags": {"a": "b"}}', '{"name": "a/b"}', '[' * 100000, b'\xff\xfe',
    '{"repositories": [["a"]]}', '{"tags": "latest"}', '{"tags": {}, "repositories": {}}',
    '{"tags": 0, "repositories": ""}'])
def test_an_answer_that_is_not_a_list_is_unusable(server, client, body):
    server.answers['*'] = page(body)
    for ask in (lambda: client.tags('a/b'), lambda: list(client.catalog())):
        with pytest.raises(RegistryUnavailable):
            ask()
    assert client.config('a/b', DIGEST) is None or body.startswith('{"')


@pytest.mark.parametrize('listed, expected', [(None, []), ([], []), (['1', '2'], ['1', '2'])])
def test_a_list_without_values_is_null_or_empty(server, client, listed, expected):
    server.answers = {'/v2/a/b/tags/list': page({'name': 'a/b', 'tags': listed}),
                      '/v2/_catalog?n=1000': page({'repositories': listed})}
    assert client.tags('a/b') == expected and client.has('a/b') is bool(expected)
    assert names(client) == expected


@pytest.mark.parametrize('answer', [
    page('<html>log in</html>'), page('', 405), page('', 500), reset, page('', 301, Location='/*'),
    page('', 302, Location='http://127.0.0.1:1/')])
def test_an_answer_to_head_that_no_registry_sends_is_not_a_manifest(server, client, answer):
    server.answers['*'] = answer
    with pytest.raises(RegistryUnavailable):
        client.has_manifest('a/b', '1')


def test_a_tag_exists_if_the_answer_to_head_has_its_digest(server, client):
    server.answers['*'] = page('{}', Docker_Content_Digest=DIGEST)
    assert client.has_manifest('a/b', '1')
    assert server.lines == ['HEAD /v2/a/b/manifests/1']


def pages_of_tags(pages):
    """Return the answers of a registry with these pages of tags; -1 of a page follows a page."""
    def answer(handler):
        number = int(handler.path.partition('page=')[2] or 0)
        links = {'Link': '</v2/a/b/tags/list?page=%d>; rel="next"' % (number + 1)} if (
            number + 1 < len(pages)) else {}
        page({'name': 'a/b', 'tags': pages[number]}, **links)(handler)
    return answer


class TestPagesOfTags:
    def test_all_are_read(self, server, client):
        server.answers = {'/v2/a/b/tags/list': pages_of_tags([['1', '2'], ['3'], [], ['4']]),
                          '/v2/a/b/manifests/latest': page('', 404)}
        tags = client.tags('a/b')
        assert tags == ['1', '2', '3', '4'] and tags.is_complete
        assert len(server.requests) == 5

    @pytest.mark.parametrize('first', [['1'], ['1', 'latest']])
    def test_one_is_enough_if_the_tag_latest_exists(self, server, client, first):
        server.answers = {
            '/v2/a/b/tags/list': pages_of_tags([first] * 9),
            '/v2/a/b/manifests/latest': page('', Docker_Content_Digest=DIGEST)}
        tags = client.tags('a/b')
        assert tags == ['1', 'latest'] and len(server.requests) == 2 and not tags.is_complete

    def test_at_most_100_are_read(self, server, client):
        server.answers = {'/v2/a/b/tags/list': pages_of_tags([['1']] * 999),
                          '/v2/a/b/manifests/latest': page('', 404)}
        tags = client.tags('a/b')
        assert tags == ['1'] and len(server.requests) == 101 and not tags.is_complete

    def test_all_tags_are_those_of_five_pages(self, server, client):
        for count, expected, is_complete in ((1, 1, True), (5, 5, True), (9, 5, False)):
            server.requests.clear()
            server.answers['/v2/a/b/tags/list'] = pages_of_tags(
                [[str(number), 'latest'] for number in range(count)])
            tags = client.all_tags('a/b')
            assert sorted(tags) == [*map(str, range(expected)), 'latest']
            assert tags.is_complete is is_complete and len(server.requests) == expected
        assert server.paths[0] == '/v2/a/b/tags/list', 'Distribution then sends all at once'
        server.answers['/v2/a/b/tags/list'] = error_page('NAME_UNKNOWN')
        assert client.all_tags('a/b') == []

    def test_a_link_to_another_host_is_refused(self, server, client):
        server.answers['/v2/a/b/tags/list'] = page(
            {'tags': ['1']}, Link='<http://example.test/v2/>; rel="next"')
        with pytest.raises(RegistryUnavailable, match='another host'):
            client.tags('a/b')


def test_only_the_beginning_of_a_long_list_is_read_to_find_a_tag(server, client):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.send_header('Content-Type', kind)
        handler.end_headers()
        try:
            handler.wfile.write(b'{"name":"a/b","tags":["0"')
            for _ in range(200):
                handler.wfile.write(b',"tag"' * 100000)
                sent.append(None)
        except OSError:
            pass
    server.answers['*'] = endless
    for kind in 'application/json', 'application/json; charset=utf-8':
        assert client.has('a/b')
    kind = 'text/html'
    with pytest.raises(RegistryUnavailable):
        client.has('a/b')
    assert len(sent) < 100


def test_the_digest_of_a_manifest_is_computed(server, client):
    body = b'{"a": 1}'
    server.answers['*'] = page(body, Content_Type='a/b; q=1', Docker_Content_Digest=DIGEST)
    expected = 'sha256:' + hashlib.sha256(body).hexdigest()
    assert client.whole_manifest('a/b', 'latest') == (expected, 'a/b', {'a': 1})
    assert client.whole_manifest('a/b', DIGEST) == (DIGEST, 'a/b', {'a': 1})
    server.answers['*'] = error_page('MANIFEST_UNKNOWN')
    assert client.whole_manifest('a/b', 'latest') is None


class TestCacheClient:
    @pytest.fixture
    def client(self, server):
        return CacheClient(server.url)

    def test_the_catalog_of_the_index_itself_is_not_that_of_the_cache(self, server, client):
        server.answers['*'] = page({'repositories': ['a/b']}, Answered_By=MARK[1])
        with pytest.raises(RegistryUnavailable, match='answers from the search index'):
            client.has('a/b')

    def test_a_name_behind_a_full_page_may_exist(self, server, client):
        # Version 3 on S3 lists a-0 in front of a.
        for name, expected in ('a', True), ('b', False):
            server.answers['*'] = page({'repositories': ['a-%03d' % each for each in range(100)]})
            assert client.has(name) is expected
        server.answers['*'] = page({'repositories': ['a-0', 'a-1']})
        assert not client.has('a')

    def test_nothing_is_requested_that_a_cache_passes_on(self, server, client):
        assert client.tags('a/b') == [] and client.manifest('a/b', 'latest') is None
        assert client.config('a/b', DIGEST) is None and not client.has_manifest('a/b', 'latest')
        assert not client.has('A/b') and server.requests == []
        server.answers['*'] = page('{}')
        assert client.manifest('a/b', DIGEST) == {}

    @pytest.mark.parametrize('name, last', [
        ('a/b', 'a/a~'), ('a/10', 'a/1.~'), ('web', 'wea~'), ('x2', 'x1~'), ('a', '`~')])
    def test_a_repository_exists_if_the_catalog_lists_it(self, server, client, name, last):
        path = '/v2/_catalog?' + urlencode({'n': 100, 'last': last})
        for listed, expected in ([name, name + 'x'], True), ([name + 'x'], False), (None, False):
            server.answers = {path: page({'repositories': listed})}
            assert client.has(name) is expected
        server.answers = {path: page('{}', 404)}
        with pytest.raises(RegistryUnavailable):
            client.has(name)


def test_a_config_is_read_up_to_4_megabytes(server, client):
    sent, is_over = [], threading.Event()

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(200):
                handler.wfile.write(b' ' * 1024 * 1024)
                sent.append(1)
        finally:
            is_over.set()
    server.answers['*'] = endless
    assert client.config('a/b', DIGEST) is None
    assert is_over.wait(20) and len(sent) < 30, 'the sockets have buffers'
    for spaces, config in (BLOB_BYTES - 8, {'a': 1}), (BLOB_BYTES - 7, None):
        server.answers['*'] = page(b'{"a": 1}' + b' ' * spaces)
        assert client.config('a/b', DIGEST) == config
    with pytest.raises(RegistryUnavailable, match='more bytes than a registry would'):
        client.manifest('a/b', 'latest')


class TestCatalog:
    def pages(self, server, *links, listed='abc'):
        for place, link in enumerate(links):
            path = '/v2/_catalog?page=%d' % place if place else '/v2/_catalog?n=1000'
            link = link.replace('NEXT', '/v2/_catalog?page=%d' % (place + 1))
            server.answers[path] = page({'repositories': [listed[place]]},
                                        **({'Link': link} if link else {}))
        return names(RegistryClient(server.url))

    def test_links_are_relative_or_absolute(self, server):
        # The absolute one has the scheme and the port behind a proxy.
        assert self.pages(server, '<NEXT>; rel="next"', '<https://127.0.0.1:5000NEXT>; rel="next"',
                          '') == ['a', 'b', 'c']

    def test_a_page_without_a_next_link_is_the_last(self, server):
        for link in '<NEXT>', 'NEXT', '<NEXT>; rel="prev"', ';', '<':
            assert self.pages(server, link, '') == ['a']

    @pytest.mark.parametrize('first, second, listed, problem', [
        ('<http://example.test/v2/_catalog?page=1>', '', 'abc', 'another host'),
        ('<//example.test/v2/>', '', 'abc', 'another host'), ('<http://[>', '', 'abc', 'not a URL'),
        ('<NEXT>', '</v2/_catalog?page=1>; rel="next"', 'abc', 'repeats a page')])
    def test_a_link_leads_to_another_page_of_the_same_host(
            self, server, first, second, listed, problem):
        with pytest.raises(RegistryUnavailable, match=problem):
            self.pages(server, first + '; rel="next"', second, '', listed=listed)

    def test_a_path_that_looks_like_another_host_is_a_path(self, server, client):
        link = '<http://127.0.0.1//example.test/v2/_catalog>; rel="next"'
        server.answers = {'/v2/_catalog?n=1000': page({'repositories': ['a']}, Link=link),
                          '/example.test/v2/_catalog?': page({'repositories': ['b']}),
                          '/example.test/v2/_catalog': page({'repositories': ['b']})}
        assert names(client) == ['a', 'b']

    def test_at_most_100_empty_pages_are_followed(self, server, client):
        server.answers['*'] = lambda handler: page(
            {'repositories': []},
            Link='</v2/_catalog?page=%d>; rel="next"' % len(server.requests))(handler)
        with pytest.raises(RegistryUnavailable):
            list(client.catalog())
        assert len(server.requests) == 101

    def test_a_page_size_that_is_refused_is_left_to_the_registry(self, server, client):
        server.answers = {'/v2/_catalog': page({'repositories': ['a']}), '/v2/_catalog?n=1000':
                          error_page('PAGINATION_NUMBER_INVALID', status=400)}
        assert names(client) == ['a']

    def test_the_catalog_begins_at_its_first_page_if_a_place_is_refused(self, server, client):
        server.answers = {'/v2/_catalog?token=old': error_page('UNKNOWN', status=400),
                          '/v2/_catalog?n=1000': page({'repositories': ['a']}),
                          '/v2/_catalog?token=new': page({'repositories': ['b']})}
        for token, expected in ('old', 'a'), ('new', 'b'):
            [found] = client.catalog('/v2/_catalog?token=' + token)
            assert found == [expected]

    @pytest.mark.parametrize('status', [200, 503])
    def test_an_answer_of_the_index_itself_is_not_that_of_a_registry(self, server, client, status):
        server.answers['*'] = page({'repositories': ['a']}, status, Answered_By=MARK[1])
        with pytest.raises(RegistryUnavailable, match='set REGISTRY_URL to the address of the reg'):
            list(client.catalog())

    def test_a_path_in_the_address_of_the_registry_is_kept(self, server):
        server.answers['/images/v2/_catalog?n=1000'] = page({'repositories': ['a']})
        assert names(RegistryClient(server.url + '/images/')) == ['a']
