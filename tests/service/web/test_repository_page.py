"""The page of a repository as HTML: its tags, the details of one, and who may see them."""
import concurrent.futures
import contextlib
import threading
import time
from unittest.mock import Mock

import bcrypt
import pytest

from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import CredentialsRefused
from docker_registry_index.service.web import repository, responses
from docker_registry_index.service.web.auth import Busy, credentials_in
from docker_registry_index.service.web.repository import Visitors
from tests.end_to_end.service.clients import basic
from tests.helpers.registry import API_VERSION, DIGEST
from tests.helpers.scripted_server import ScriptedServer, page, reset
from tests.helpers.waiting import in_threads, wait_until
from tests.service.registry.test_details import A, B, CHART, PREFIX, child, image
from tests.service.registry.test_image import SIGNATURE
from tests.service.web.test_page import read
from tests.service.web.test_registry_users import ALICE, REALM, WRONG, asks_for, with_password

NAME, PATH = 'team/web', '/-/r/team/web'


def of_registry(manifests, tags=None, config=None, name=NAME):
    """Return the answers of a registry with one repository.

    :param manifests: reference to manifest; the tags of these are listed, unless `tags` are."""
    answers = {'/v2/%s/manifests/%s' % (name, reference): page(manifest, Content_Type='x/manifest')
               for reference, manifest in manifests.items()}
    answers['/v2/%s/tags/list' % name] = page({'tags': list(manifests) if tags is None else tags})
    answers['/v2/%s/blobs/%s' % (name, DIGEST)] = page(config or {})
    return answers


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine, a read may take longer than a page waits."""
    monkeypatch.setattr(repository, '_WAIT', 20)


@pytest.fixture(scope='module')
def open_service(start):
    """A service that everybody may read."""
    with start({}, AUTH='none') as made:
        yield made


@pytest.fixture
def beside(open_service, monkeypatch):
    """Return a function that sets what the registry has, and returns the service, which remembers
    nothing."""
    monkeypatch.setattr(repository, '_ANSWERED', -1)
    monkeypatch.setattr(repository, '_UNAVAILABLE', -1)
    registry = open_service.registry

    def with_answers(*arguments, **more):
        registry.answers = {'*': registry._answer, **of_registry(*arguments, **more)}
        registry.requests.clear()
        return open_service
    return with_answers


def tags_of(found):
    [(_, having)] = found.of('ul') or [('', {})]
    assert having.get('class') in (None, 'tags')
    return [text for text, _ in found.of('li')]


def facts_of(found):
    return dict(zip(*([text for text, _ in found.of(tag)] for tag in ('dt', 'dd'))))


def commands_of(found):
    return [text for text, having in found.of('code') if text.startswith(
        ('docker', 'podman', 'crane', 'helm', 'oras'))]


class TestTags:
    TAGS = ['1.9', 'main', '1.10', SIGNATURE + '.sig', '1.10-alpine', 'latest', 'buildcache']

    def test_the_newest_version_is_first_and_signatures_are_folded(self, beside):
        service = beside({'latest': image(1)}, self.TAGS)
        found = read(service, PATH)
        assert tags_of(found) == ['latest', '1.10', '1.10-alpine', '1.9', 'main']
        assert found.of('p', id='count')[0][0] == '5 tags'
        links = found.links()
        assert links['1.9'] == '?tag=1.9'
        shown = 'Show tags of signatures, attestations and build caches (2)'
        assert tags_of(read(service, PATH + links[shown]))[-2:] == [SIGNATURE + '.sig',
                                                                    'buildcache']
        only = read(beside({SIGNATURE + '.sig': image(1)}), PATH)
        assert tags_of(only) == [SIGNATURE + '.sig'] and shown[:4] not in str(only.links())

    def test_thousands_of_tags_are_filtered_and_have_pages(self, beside):
        service = beside({'1.%d' % number: image(1) for number in range(1234)})
        first = read(service, PATH)
        assert tags_of(first) == ['1.%d' % number for number in range(1233, 1183, -1)]
        assert first.of('p', id='count')[0][0] == '1234 tags, page 1 of 25'
        assert first.links()['Next'] == '?page=2' and 'Previous' not in first.links()
        last = read(service, PATH + '?page=25')
        assert tags_of(last) == ['1.%d' % number for number in range(33, -1, -1)]
        assert 'Next' not in last.links() and last.links()['Previous'] == '?page=24'
        for page_number in '26', '999999999999':
            assert tags_of(read(service, PATH + '?page=' + page_number)) == tags_of(last)
        for page_number in '0', '-1', 'x', '':
            assert tags_of(read(service, PATH + '?page=' + page_number)) == tags_of(first)
        some = read(service, PATH + '?filter=%2033%20&tag=1.7')
        assert tags_of(some) == ['1.%s' % number for number in (
            1233, 1133, 1033, 933, 833, 733, 633, 533, 433, *range(339, 329, -1), 233, 133, 33)]
        assert some.of('p', id='count')[0][0] == '22 tags with 33'
        assert some.links()['1.33'] == '?tag=1.33&filter=+33+'
        assert some.of('input', type='hidden') == [
            ('', {'type': 'hidden', 'name': 'tag', 'value': '1.7'})]
        assert read(service, PATH + '?filter=none').of('p', id='count')[0][0] == (
            'No tag contains none.')

    def test_the_filter_ignores_case(self, beside):
        service = beside({'RC-1': image(1)})
        assert tags_of(read(service, PATH + '?filter=rc')) == ['RC-1']

    def test_the_query_makes_no_page_long_or_slow(self, beside, monkeypatch):
        service = beside({'1.%d' % number: image(1) for number in range(60)})
        for query in 'filter=' + '1' * 7000, 'page=' + '1' * 7000, 'filter=1&tag=' + 'x' * 7000:
            assert len(service.get(PATH + '?' + query).text) < 60_000
        parse = Mock(wraps=responses.parse_qsl)
        monkeypatch.setattr(responses, 'parse_qsl', parse)
        assert len(tags_of(read(service, PATH + '?' + 4000 * 'a&'))) == 50
        assert parse.call_count == 1, 'not once for each link'

    def test_what_is_no_tag_is_not_listed(self, beside):
        found = read(beside({'1': image(1)}, ['1', '; reboot', '<script>', '', '-x', 'a' * 129]),
                     PATH)
        assert tags_of(found) == ['1'] and found.of('script', src=None) == []

    def test_a_part_of_the_tags_is_said_to_be_one(self, beside, monkeypatch):
        monkeypatch.setattr(repository, '_MOST_TAGS', 2)
        service = beside({'latest': image(1), '1': image(1), '2': image(1)})
        answer = service.get(PATH)
        assert 'has more tags than this page lists' in answer.text and '2 tags' in answer.text


class TestDetails:
    CONFIG = {'os': 'linux', 'architecture': 'amd64', 'created': '2024-05-06T07:08:09Z', 'config': {
        'Labels': {PREFIX + 'description': 'The <front> end', PREFIX + 'source':
                   'https://example.com/a?b&c', PREFIX + 'url': 'javascript:alert(1)',
                   '<b>': '"><script>alert(1)</script>', 'n': 3}}}

    def test_the_first_tag_is_open(self, beside):
        service = beside({'1.1': image(1_230_000, 4_000, config=DIGEST), '1.0': image(1)}, None,
                         self.CONFIG)
        found = read(service, PATH)
        assert found.of('h1') == [(NAME, {})] and found.of('h2', id='tag')[0][0] == '1.1'
        assert found.of('title')[0][0] == 'team/web:1.1 – localhost'
        facts = facts_of(found)
        digest = facts.pop('Digest')
        assert digest.startswith('sha256:') and len(digest) == 71
        assert facts == {
            'Kind': 'image', 'Size': '1.2 MB', 'Platform': 'linux/amd64',
            'Created': '2024-05-06 07:08 UTC', 'Media type': 'x/manifest',
            '<b>': '"><script>alert(1)</script>', PREFIX + 'description': 'The <front> end',
            PREFIX + 'source': 'https://example.com/a?b&c', PREFIX + 'url': 'javascript:alert(1)'}
        assert found.of('p', **{'class': 'description'})[0][0] == 'The <front> end'
        assert {having['href'] for _, having in found.of('a') if 'rel' in having} == {
            'https://example.com/a?b&c'}
        assert commands_of(found) == [
            command % reference for reference in (':1.1', '@' + digest) for command in (
                'docker pull localhost/team/web%s', 'podman pull localhost/team/web%s',
                'crane pull localhost/team/web%s image.tar')]
        assert [text for text, having in found.of('a', **{'aria-current': 'true'})] == ['1.1']
        assert len(service.registry.requests) == 3

    def test_a_tag_or_a_digest_can_be_linked_to(self, beside):
        service = beside({'1.1': image(1), '1.0': image(2), A: image(3)}, ['1.1', '1.0'])
        assert facts_of(read(service, PATH + '?tag=1.0'))['Size'] == '2 Bytes'
        found = read(service, PATH + '?tag=' + A)
        assert facts_of(found)['Size'] == '3 Bytes' and facts_of(found)['Digest'] == A
        assert commands_of(found)[0] == 'docker pull localhost/team/web@' + A
        assert len(commands_of(found)) == 3

    def test_the_platforms_of_an_index_are_links(self, beside):
        found = read(beside({'1': {'manifests': [child(A, 'linux', 'arm', 'v7'),
                                                 child(B, 'linux', 'amd64')]},
                             A: image(10 ** 9), B: image(2 * 10 ** 10)}), PATH)
        rows = [text for text, _ in found.of('tr')]
        assert rows[1:] == ['linux/arm/v71.0 GBsha256:aaaaaaaaaaaa…',
                            'linux/amd6420.0 GBsha256:bbbbbbbbbbbb…']
        assert found.links()['sha256:aaaaaaaaaaaa…'] == '?tag=sha256%3A' + 64 * 'a'
        assert facts_of(found)['Size'] == '20.0 GB'

    @pytest.mark.parametrize('media_type, tag, command', [
        (CHART, '1.0_b', 'helm pull oci://%s --version 1.0+b'),
        ('application/vnd.docker.plugin.v1+json', '1', 'docker plugin install %s:1'),
        ('application/vnd.wasm.config.v0+json', '1', 'oras pull %s:1')])
    def test_the_command_suits_what_is_pulled(self, beside, media_type, tag, command):
        found = read(beside({tag: image(1, media_type=media_type)}), PATH)
        assert commands_of(found)[0] == command % ('localhost/' + NAME)

    @pytest.mark.parametrize('host, shown', [
        ('r.example.com:5000', 'r.example.com:5000'), ('[::1]:8080', '[::1]:8080'),
        ('x;reboot', 'HOST'), ('a b', 'HOST'), ('-it', 'HOST'), ('$(reboot)', 'HOST')])
    def test_the_host_in_a_command_is_that_of_the_request(self, beside, host, shown):
        found = read(beside({'1': image(1)}), PATH, headers={
            'Host': host, 'X-Forwarded-Host': 'evil.example.com'})
        assert commands_of(found)[0] == 'docker pull %s/team/web:1' % shown

    def test_only_addresses_of_the_web_are_links(self, beside):
        addresses = ['https://example.com/a?b#c', 'http://a', 'javascript:alert(1)', '//a.com',
                     'data:text/html,x', ' https://a', 'ftp://a', 'java\nscript:alert(1)']
        found = read(beside({'1': image(1, annotations={
            str(number): address for number, address in enumerate(addresses)})}), PATH)
        assert [having['href'] for _, having in found.of('a') if 'rel' in having] == [
            'https://example.com/a?b#c', 'http://a', 'https://a']

    def test_hundreds_of_labels_are_cut(self, beside):
        answer = beside({'1': image(1, config=DIGEST)}, None, {'config': {'Labels': {
            'l%d' % number: 'x' * 300 for number in range(10000)}}}).get(PATH)
        assert '9900 others are not shown' in answer.text and len(answer.text) < 300_000


class TestProblems:
    def test_what_does_not_exist_is_404(self, beside):
        service = beside({'1': image(1)})
        assert 'This tag does not exist' in str(read(service, PATH + '?tag=2', 404).texts)
        assert tags_of(read(service, PATH + '?tag=2', 404)) == ['1']
        for path in '/-/r/none', '/-/r/none?tag=1':
            assert 'no such repository' in str(read(service, path, 404).texts)
        for path in '/-/r/Upper', '/-/r/a%0Ab', '/-/r/a/', '/-/r/..%2Fa', '/-/r/a?tag=../x':
            assert service.get(path).status_code in (404, 308), path

    @pytest.mark.parametrize('answer', [reset, page('', 500), page('<html>'), page('[]')])
    def test_a_registry_that_does_not_answer_is_503(self, beside, answer, caplog):
        service = beside({'1': image(1)})
        service.registry.answers['/v2/team/web/tags/list'] = answer
        answered = service.get(PATH)
        assert answered.status_code == 503 and answered.headers['Retry-After'] == '1'
        assert 'does not answer now' in answered.text
        found = read(service, PATH + '?tag=1')
        assert facts_of(found)['Size'] == '1 Byte', 'the tag itself can be read'
        assert 'the page of team/web is incomplete' in caplog.text

    def test_a_tag_that_cannot_be_read_hides_no_other(self, beside):
        service = beside({'1': image(1), '2': image(2)})
        service.registry.answers['/v2/team/web/manifests/2'] = page('', 500)
        found = read(service, PATH)
        assert tags_of(found) == ['2', '1'] and 'does not answer now' in str(found.texts)

    def test_a_slow_registry_delays_a_page_for_seconds_and_its_answer_is_kept(
            self, beside, monkeypatch):
        monkeypatch.setattr(repository, '_WAIT', 0.2)
        monkeypatch.setattr(repository, '_ANSWERED', 60)
        service, go_on = beside({'1': image(1)}), threading.Event()
        tags = service.registry.answers['/v2/team/web/tags/list']

        def slow(handler):
            go_on.wait(20)
            tags(handler)
        service.registry.answers['/v2/team/web/tags/list'] = slow
        began = time.monotonic()
        assert 'has not answered yet' in str(read(service, PATH, 503).texts)
        assert 'has not answered yet' in str(read(service, PATH + '?tag=1').texts)
        assert time.monotonic() - began < 10
        assert service.registry.paths.count('/v2/team/web/tags/list') == 1
        go_on.set()
        wait_until(lambda: service.get(PATH).status_code == 200)
        assert service.registry.paths.count('/v2/team/web/tags/list') == 1

    def test_pages_that_wait_for_a_slow_registry_leave_threads_for_searches(
            self, start, monkeypatch):
        monkeypatch.setattr(repository, '_PLACE', 20)
        go_on = threading.Event()
        with start({}, AUTH='none', THREADS='8') as service:
            service.registry.answers['/v2/team/web/tags/list'] = lambda handler: (
                go_on.wait(20), page({'tags': []})(handler))
            answers = []
            join = in_threads([lambda: answers.append(service.get(PATH).status_code)] * 12)
            wait_until(lambda: len(answers) == 8)
            assert answers == [429] * 8
            assert service.get('/v1/search?q=web').status_code == 200
            go_on.set()
            join()
            assert answers[8:] == [404] * 4

    def test_few_reads_are_under_way_at_once(self, server, monkeypatch):
        monkeypatch.setattr(repository, '_READS', 2)
        go_on = threading.Event()
        server.answers['*'] = lambda handler: (go_on.wait(20), page({'tags': ['1']})(handler))
        visitors = Visitors(RegistryClient(server.url))
        reads = [visitors.read(None, name) for name in ('a', 'b', 'a')]
        with pytest.raises(Busy):
            visitors.read(None, 'c')
        go_on.set()
        assert [read.result(20).tags for read in reads] == [['1']] * 3
        wait_until(lambda: visitors._places._value == 2)
        assert visitors.read(None, 'c').result(20).tags == ['1']

    def test_a_cache_is_not_asked(self, start):
        with start({}, AUTH='none', PULL_THROUGH_CACHE='true') as service:
            service.registry.requests.clear()
            found = read(service, PATH + '?tag=1')
            assert 'pull-through cache' in str(found.texts)
            assert not [path for path in service.registry.paths if NAME in path]


class TokenRegistry(ScriptedServer):
    """A registry of team/web and team/secret, and its token server. alice may pull both, bob one of
    them; everybody may read the catalog."""

    users = {None: '', 'alice': 'repository:team/web:pull repository:team/secret:pull',
             'bob': 'repository:team/web:pull'}

    def __init__(self):
        super().__init__({'/token': self.token, '/v2/': self.challenge('registry:catalog:*'),
                          '/v2/_catalog': self.challenge('registry:catalog:*')})
        for name in NAME, 'team/secret':
            scope = 'repository:%s:pull' % name
            self.answers.update({
                path: self.challenge(scope, answer)
                for path, answer in of_registry({'1': image(7)}, name=name).items()})

    def challenge(self, scope, answer=page({'repositories': []}, **API_VERSION)):
        def checked(handler):
            sent = handler.headers['Authorization'] or ''
            is_right = sent.startswith('Bearer for:') and scope.replace(':', '-') in sent
            (answer if is_right else asks_for(
                'Bearer realm="%s/token",service="r",scope="%s"' % (self.url, scope)))(handler)
        return checked

    def token(self, handler):
        given = credentials_in(handler.headers['Authorization'])
        if given and given.password != 'right':
            return page('', 401)(handler)
        scopes = self.users[given and given.username] + ' registry:catalog:*'
        page({'token': 'for:' + scopes.replace(':', '-').replace(' ', ',')})(handler)


@pytest.fixture
def tokens():
    with TokenRegistry() as running:
        yield running


class TestRights:
    @pytest.fixture
    def closed(self, start):
        """Return a function that makes a service beside a registry of alice, which the service
        itself reads as another user."""
        with contextlib.ExitStack() as running:
            def make(**settings):
                made = running.enter_context(start({}, **dict({
                    'REGISTRY_USERNAME': 'own', 'REGISTRY_PASSWORD': 'x' * 9}, **settings)))
                made.registry.answers['/v2/'] = with_password
                made.registry.answers.update({
                    path: lambda handler, answer=answer: (
                        answer if handler.headers['Authorization'] == ALICE else asks_for(REALM)
                    )(handler) for path, answer in of_registry({'1': image(7)}).items()})
                return made
            yield make

    @pytest.mark.parametrize('auth', ['none', 'registry'])
    def test_a_password_that_the_registry_accepts_is_required(self, closed, auth):
        service = closed(AUTH=auth)
        for headers in {}, {'Authorization': WRONG}:
            answer = service.get(PATH, headers=headers)
            assert answer.status_code == 401 and '7 Bytes' not in answer.text
            [challenge] = answer.headers.getlist('WWW-Authenticate')
            assert challenge.startswith('Basic realm=')
        found = read(service, PATH, headers={'Authorization': ALICE})
        assert facts_of(found)['Size'] == '7 Bytes'
        asked = [headers['Authorization'] for path, headers in service.registry.requests
                 if path.startswith('/v2/team/web/')]
        assert set(asked) <= {None, WRONG, ALICE}, 'never those of the service'

    def test_users_of_a_file_see_what_the_registry_shows_them(self, closed, tmp_path):
        users = tmp_path / 'htpasswd'
        users.write_bytes(b''.join(b'%s:%s\n' % (
            name, bcrypt.hashpw(password, bcrypt.gensalt(4))) for name, password in (
                (b'alice', b'correct horse'), (b'carol', b'unknown to it'))))
        service = closed(AUTH='htpasswd', HTPASSWD=str(users))
        assert service.get(PATH).status_code == 401
        carol = service.get(PATH, headers={'Authorization': basic('carol', 'unknown to it')})
        assert carol.status_code == 403 and 'does not let you read' in carol.text
        assert '7 Bytes' in service.get(PATH, headers={'Authorization': ALICE}).text

    def test_what_one_visitor_has_read_is_not_shown_to_others(self, closed):
        service = closed(AUTH='none')
        for _ in range(2):
            assert '7 Bytes' in service.get(PATH, headers={'Authorization': ALICE}).text
            count = len(service.registry.requests)
        service.get(PATH, headers={'Authorization': ALICE})
        assert len(service.registry.requests) == count, 'remembered'
        for headers in {}, {'Authorization': WRONG}:
            assert service.get(PATH, headers=headers).status_code == 401

    @pytest.mark.parametrize('auth', ['none', 'registry'])
    def test_a_user_of_a_token_server_sees_what_its_token_permits(self, start, tokens, auth):
        with start({}, AUTH=auth, REGISTRY_URL=tokens.url, REGISTRY_USERNAME='alice',
                   REGISTRY_PASSWORD='right') as service:
            for name, password, status in (
                    ('alice', 'right', 200), ('bob', 'right', 403), ('bob', 'wrong', 401),
                    ('alice', 'wrong', 401)):
                headers = {'Authorization': basic(name, password)}
                for query in '', '?tag=1':
                    answer = service.get('/-/r/team/secret' + query, headers=headers)
                    assert answer.status_code == status, (name, password, query)
                    assert ('7 Bytes' in answer.text) is (status == 200)
                    assert ('WWW-Authenticate' in answer.headers) is (status == 401)
            assert '7 Bytes' in service.get(PATH, headers={
                'Authorization': basic('bob', 'right')}).text
            bearer = 'Bearer for:registry-catalog-*,repository-team/web-pull'
            assert '7 Bytes' in service.get(PATH, headers={'Authorization': bearer}).text
            assert service.get('/-/r/team/secret', headers={
                'Authorization': bearer}).status_code == (403 if auth == 'registry' else 401)
        assert {path.partition('?')[0] for path, headers in tokens.requests
                if (headers['Authorization'] or '').startswith('Basic')} == {'/token'}

    def test_a_token_of_nobody_is_no_reason_to_ask_for_no_password(self, start, tokens):
        with start({}, AUTH='none', REGISTRY_URL=tokens.url) as service:
            answer = service.get('/-/r/team/secret')
            assert answer.status_code == 401 and 'Basic' in answer.headers['WWW-Authenticate']

    def test_a_token_for_the_certificate_of_the_service_permits_nothing(self, tokens):
        """Its token server may identify clients by their certificates."""
        tokens.users = {**tokens.users, None: tokens.users['alice']}
        read = Visitors(RegistryClient(tokens.url), has_cert=True).read(None, NAME)
        assert read.exception(20).status == 401
        assert Visitors(RegistryClient(tokens.url), has_cert=True).read(
            basic('alice', 'right'), NAME).result(20).tags == ['1']

    def test_the_certificate_of_the_service_permits_nothing(self, server):
        server.answers.update(of_registry({'1': image(7)}))
        read = Visitors(RegistryClient(server.url), has_cert=True).read(None, NAME)
        assert isinstance(read.exception(20), CredentialsRefused)

    def test_answers_are_remembered_for_a_minute_and_errors_for_seconds(self, server, clock):
        visitors = Visitors(RegistryClient(server.url), clock=clock)

        def asked():
            """Return the number of requests that a read costs."""
            before = len(server.requests)
            read = visitors.read(None, NAME)
            concurrent.futures.wait([read])
            wait_until(lambda: visitors._places._value == repository._READS)
            return len(server.requests) - before
        for answer, seconds in ((page('', 500), 1), (page('', 403), 5),
                                (page({'tags': ['1']}), 60)):
            server.answers['*'] = answer
            assert asked() == 1
            clock.advance(seconds - 0.5)
            assert asked() == 0
            clock.advance(1)
        assert asked() == 1

    def test_details_that_lack_something_are_remembered_for_a_second(self, server, clock):
        server.answers.update(of_registry({'1': {'manifests': [child(A, 'linux', 'amd64')]}}))
        server.answers['*'] = page('', 500)
        visitors = Visitors(RegistryClient(server.url), clock=clock)
        assert not visitors.read(None, NAME, '1').result(20).is_whole
        clock.advance(1.5)
        server.answers['*'] = page(image(1))
        assert visitors.read(None, NAME, '1').result(20).is_whole

    def test_what_is_remembered_is_bounded_and_holds_no_credentials(self, server, monkeypatch):
        monkeypatch.setattr(repository, '_REMEMBERED', 40000)
        server.answers['*'] = page({'tags': ['%d' % number for number in range(1000)]})
        visitors = Visitors(RegistryClient(server.url))
        for number in range(20):
            visitors.read(ALICE, 'a/%d' % number).result(20)
            wait_until(lambda: visitors._places._value == repository._READS)
        assert 1 <= len(visitors._reads) <= 5
        monkeypatch.setattr(repository, '_REMEMBERED', 4000)
        small = Visitors(RegistryClient(server.url))
        assert len(small.read(None, NAME).result(20).tags) == 1000
        wait_until(lambda: small._reads.currsize == 4000, 'the largest list fills the cache')
        assert ALICE not in repr(visitors._reads) and ALICE[6:] not in repr(visitors._reads)
