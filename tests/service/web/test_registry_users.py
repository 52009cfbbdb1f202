"""AUTH=registry: users whom the registry accepts may search and read the catalog."""
import contextlib
import threading

import pytest

from docker_registry_index.service.registry.connection import Connection, RegistryUnavailable
from docker_registry_index.service.web import auth
from docker_registry_index.service.web.auth import Busy, Refused, RegistryUsers, credentials_in
from tests.end_to_end.service.clients import basic
from tests.helpers.registry import API_VERSION
from tests.helpers.scripted_server import ScriptedServer, error_page, page, reset
from tests.helpers.waiting import in_threads, wait_until

PROTECTED = ('/v1/search?q=web', '/v2/_catalog')
ALICE, WRONG = basic('alice', 'correct horse'), basic('alice', 'never-show-this')
REALM = 'Basic realm="its own"'
CATALOG = 'registry:catalog:*'


def asks_for(*challenges):
    """Return the answer of a registry that refuses, with these values of WWW-Authenticate."""
    def answer(handler):
        handler.send_response(401)
        for value in challenges:
            handler.send_header('WWW-Authenticate', value)
        handler.send_header('Content-Length', '0')
        handler.end_headers()
    return answer


def with_password(handler):
    """The answer of a registry that alice may read with her password."""
    allowed = handler.headers['Authorization'] == ALICE
    (page('{}', **API_VERSION) if allowed else asks_for(REALM))(handler)


@pytest.fixture
def closed(start):
    """A service beside a registry of alice."""
    with start({'team/web': None}) as made:
        made.registry.answers['/v2/'] = with_password
        yield made


@pytest.fixture
def users(server, clock):
    """Return a function that makes RegistryUsers of the scripted registry."""
    def make(scope=CATALOG, **more):
        return RegistryUsers(Connection(server.url, 'index', 'own secret'), scope,
                             clock=clock, **more)
    return make


def verdict(users, header=None):
    """Return what the users answer: the name, or the challenges, or the error."""
    try:
        return users.user(credentials_in(header))
    except Refused as refused:
        return list(refused.challenges)
    except RegistryUnavailable as error:
        return error


class TestAnswers:
    def test_nobody_sees_a_name_whom_the_registry_refuses(self, closed, caplog):
        for headers in {}, {'Authorization': WRONG}, {'Authorization': 'Bearer x'}, {
                'Authorization': 'Basic !!!'}:
            search, catalog = [closed.get(path, headers=headers) for path in PROTECTED]
            assert search.status_code == catalog.status_code == 401, headers
            assert search.headers.getlist('WWW-Authenticate') == [REALM]
            assert catalog.headers.getlist('WWW-Authenticate') == [REALM]
            assert catalog.json()['errors'][0]['code'] == 'UNAUTHORIZED'
            assert 'team' not in search.text + catalog.text and set(search.json()) == {'error'}
        for path in PROTECTED:
            answer = closed.get(path, headers={'Authorization': ALICE})
            assert answer.status_code == 200 and 'team/web' in answer.text
        assert 'never-show-this' not in caplog.text and 'correct horse' not in caplog.text
        assert WRONG[6:] not in caplog.text

    def test_a_registry_that_asks_nobody_may_be_searched_by_everybody(self, start, caplog):
        with start({'team/web': None}) as service:
            for headers in {}, {'Authorization': WRONG}:
                assert service.get(PROTECTED[0], headers=headers).status_code == 200
        assert caplog.text.count('asks for no credentials, so everybody who reaches') == 1

    @pytest.mark.parametrize('answer', [asks_for(REALM), page('', 403), page('', 404)])
    def test_a_catalog_that_only_a_proxy_protects_is_protected(self, start, answer):
        with start({'team/web': None}) as service:
            service.registry.answers['/v2/_catalog?n=0'] = answer
            for path in PROTECTED:
                assert service.get(path).status_code in (401, 503)

    def test_a_proxy_that_protects_only_the_catalog_checks_passwords(self, start):
        with start({'team/web': None}) as service:
            service.registry.answers['/v2/_catalog?n=0'] = with_password
            for path in PROTECTED:
                assert [service.get(path, headers={'Authorization': each}).status_code
                        for each in (ALICE, WRONG)] == [200, 401]

    def test_all_challenges_are_passed_on(self, server, users):
        challenges = ['Bearer realm="{0}/t",service="a, b"'.format(server.url), REALM]
        server.answers['*'] = asks_for(*challenges)
        assert verdict(users()) == challenges

    @pytest.mark.parametrize('answer', [
        reset, page('', 500), page('', 404), page('', 429), page('a login', 200),
        page('', 302, Location='/login'), page('', 508)])
    def test_if_the_registry_cannot_be_asked_the_answer_is_503(self, closed, answer, caplog):
        closed.registry.answers.update({'/v2/': answer, '/login': page('a login')})
        for headers in {}, {'Authorization': ALICE}:
            search, catalog = [closed.get(path, headers=headers) for path in PROTECTED]
            assert search.status_code == catalog.status_code == 503
            assert search.headers['Retry-After'] == catalog.headers['Retry-After'] == '1'
            assert 'not available now' in search.text and 'UNAVAILABLE' in catalog.text
        assert 'check that the registry runs and that REGISTRY_URL is its' in caplog.text

    def test_another_host_cannot_permit(self, server, users):
        with ScriptedServer({'*': page('{}', **API_VERSION)}) as elsewhere:
            url = elsewhere.url.replace('127.0.0.1', 'localhost')
            server.answers['*'] = page('', 307, Location=url)
            assert str(verdict(users())).endswith(
                'it does not answer as a registry (status 200); so it cannot decide who may read; '
                'check that the registry runs and that REGISTRY_URL is its address')
            server.answers['*'] = lambda handler: (
                page('', 307, Location=url) if handler.headers['Authorization']
                else asks_for(REALM))(handler)
            assert 'does not answer as a registry' in str(verdict(users(), ALICE))
            assert {headers['Authorization'] for _, headers in elsewhere.requests} == {None}

    def test_another_host_asks_for_no_password(self, server, users):
        with ScriptedServer({'*': asks_for(REALM)}) as elsewhere:
            url = elsewhere.url.replace('127.0.0.1', 'localhost')
            server.answers['*'] = page('', 307, Location=url)
            assert 'does not answer as a registry' in str(verdict(users(), ALICE))
            assert {headers['Authorization'] for _, headers in server.requests} == {None}

    def test_a_request_of_the_service_itself_is_refused(self, closed):
        headers = {'User-Agent': 'docker-registry-index-dynamodb', 'Authorization': ALICE}
        assert {closed.get(path, headers=headers).status_code for path in PROTECTED} == {508}

    def test_the_certificate_of_the_service_permits_nobody(self, server, users):
        server.answers['*'] = page('{}', **API_VERSION)
        assert 'set AUTH to htpasswd or none' in str(verdict(users(has_cert=True)))
        server.answers['*'] = with_password
        users = users(has_cert=True)
        assert verdict(users, ALICE) == 'alice' and verdict(users, WRONG) == [REALM]


class TestCache:
    def test_a_permission_is_remembered_for_a_minute(self, server, users, clock):
        server.answers['*'] = with_password
        users = users()
        assert verdict(users, ALICE) == 'alice'
        assert [headers['Authorization'] for _, headers in server.requests] == [None, ALICE]
        server.answers['*'] = reset
        clock.advance(59)
        assert verdict(users, ALICE) == 'alice'
        clock.advance(2)
        assert isinstance(verdict(users, ALICE), RegistryUnavailable)

    def test_a_refusal_is_remembered_for_seconds(self, server, users, clock):
        server.answers['*'] = asks_for(REALM)
        users = users()
        assert verdict(users, ALICE) == [REALM]
        server.answers['*'] = with_password
        clock.advance(4)
        assert verdict(users, ALICE) == [REALM] and verdict(users, WRONG) == [REALM]
        clock.advance(2)
        assert verdict(users, ALICE) == 'alice'

    def test_a_registry_that_is_closed_later_is_noticed_within_seconds(self, server, users, clock):
        server.answers['*'] = page('{}', **API_VERSION)
        users = users()
        assert verdict(users) is None and verdict(users, WRONG) is None
        server.answers['*'] = with_password
        clock.advance(6)
        assert verdict(users) == verdict(users, WRONG) == [REALM]

    def test_the_caches_are_bounded_and_hold_no_credentials(self, server, users):
        server.answers['*'] = with_password
        users = users()
        verdict(users, ALICE)
        for number in range(2100):
            users._remember(auth.keyed_hash(str(number)), lambda: 5)
        assert len(users._verdicts) == 2000
        shown = repr(users._verdicts)
        assert 'alice' not in shown and ALICE[6:] not in shown


BEARER = 'Bearer realm="{}/token",service="the registry"'


class TokenRegistry(ScriptedServer):
    """A registry and its token server. Its users have a password, and tokens for scopes."""

    users = {'alice': CATALOG, 'bob': 'repository:team/app:pull'}

    def __init__(self):
        super().__init__({'*': self.registry, '/token': self.token})

    def registry(self, handler):
        path, sent = handler.path.partition('?')[0], handler.headers['Authorization'] or ''
        scope = {'/v2/': '', '/v2/_catalog': CATALOG}.get(path, 'repository:team/app:pull')
        challenge = BEARER.format(self.url) + (',scope="%s"' % scope if scope else '')
        if sent.startswith('Bearer for') and scope in sent:
            (error_page('BLOB_UPLOAD_UNKNOWN', **API_VERSION) if '/blobs/' in path
             else page('{}', **API_VERSION))(handler)
        else:
            asks_for(challenge + ',error="insufficient_scope"' * bool(sent))(handler)

    def token(self, handler):
        given = credentials_in(handler.headers['Authorization'])
        if given and given.password != 'right':
            return page('', 401)(handler)
        return page({'token': 'for:' + self.users.get(given and given.username, '')})(handler)

    def sent(self, scheme):
        """Return the paths that got credentials of a scheme."""
        return [path.partition('?')[0] for path, headers in self.requests
                if (headers['Authorization'] or '').startswith(scheme)]


@pytest.fixture
def tokens():
    with TokenRegistry() as running:
        yield running


class TestTokens:
    def test_a_password_is_exchanged_and_goes_nowhere_else(self, tokens):
        users = RegistryUsers(Connection(tokens.url, 'index', 'own'), CATALOG)
        assert verdict(users, basic('alice', 'right')) == 'alice'
        assert tokens.sent('Basic') == ['/token'] and tokens.sent('Bearer') == ['/v2/_catalog']
        [path] = [path for path, _ in tokens.requests if path.startswith('/token')]
        assert path == '/token?service=the+registry&scope=registry%3Acatalog%3A%2A'
        assert '/v2/_catalog?n=0' in tokens.paths, 'the registry lists nothing'

    def test_a_user_without_the_scope_and_a_wrong_password_are_refused(self, tokens):
        users = RegistryUsers(Connection(tokens.url), CATALOG)
        named = BEARER.format(tokens.url) + ',scope="registry:catalog:*"'
        refused = named + ',error="insufficient_scope"'
        assert verdict(users) == verdict(users, basic('alice', 'wrong')) == [named]
        assert verdict(users, basic('bob', 'right')) == [refused]
        assert verdict(users, 'Bearer for:') == verdict(users, 'Bearer x') == [refused]
        assert verdict(users, 'Bearer for:' + CATALOG) is None
        for malformed in 'Bearer', 'Bearer a b', 'Bearer a=b,c', 'Digest a=b', 'Bearer é':
            assert verdict(users, malformed) == [named]

    def test_the_setting_may_name_the_scope_of_a_repository(self, tokens):
        users = RegistryUsers(Connection(tokens.url),
                              'repository:team/app:pull')
        assert verdict(users, basic('bob', 'right')) == 'bob'
        assert tokens.sent('Bearer') == ['/v2/team/app/blobs/uploads/0']
        assert isinstance(verdict(users, basic('alice', 'right')), list)
        assert isinstance(verdict(users), list)

    def test_the_password_of_a_caller_goes_to_no_token_server_elsewhere(self, server, users):
        with ScriptedServer({'*': page({'token': 'for:registry:catalog:*'})}) as elsewhere:
            url = elsewhere.url.replace('127.0.0.1', 'localhost')
            server.answers['*'] = asks_for('Bearer realm="%s/token"' % url)
            assert 'REGISTRY_TOKEN_HOST' in str(verdict(users(), ALICE))
            assert not elsewhere.requests
            assert all(headers['Authorization'] is None for _, headers in server.requests)


class TestFlood:
    def test_one_question_answers_all_who_send_the_same_credentials(self, server, users):
        go_on = threading.Event()

        def slow(handler):
            go_on.wait(20)
            with_password(handler)
        server.answers['*'] = slow
        users = users()
        results = in_threads([lambda: verdict(users, ALICE)] * 8)
        wait_until(lambda: server.requests)
        go_on.set()
        assert results() == ['alice'] * 8
        assert len(server.requests) == 2

    def test_others_are_served_and_the_registry_gets_few_questions(self, server, users):
        go_on, users = threading.Event(), users(limit=3)
        server.answers['*'] = with_password
        assert verdict(users, ALICE) == 'alice'

        def slow(handler):
            go_on.wait(20)
            with_password(handler)
        server.answers['*'] = slow
        asked = len(server.requests)
        flood = in_threads([
            lambda header=basic('alice', 'wrong-%d' % place): verdict(users, header)
            for place in range(3)])
        with contextlib.ExitStack() as ended:
            ended.callback(go_on.set)
            wait_until(lambda: not users._places._value)
            with pytest.raises(Busy):
                verdict(users, WRONG)
            assert verdict(users, ALICE) == 'alice', 'remembered'
            # Two of them may wait for one lock.
            assert len(server.requests) <= asked + 3
        assert flood() == [[REALM]] * 3

    def test_a_registry_that_cannot_be_asked_is_left_alone_for_a_second(self, server, users, clock):
        server.answers['*'] = page('', 500)
        users = users()
        for _ in range(5):
            assert isinstance(verdict(users, ALICE), RegistryUnavailable)
        assert len(server.requests) == 1
        clock.advance(1.1)
        verdict(users, ALICE)
        assert len(server.requests) == 2
