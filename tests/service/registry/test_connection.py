"""Connections to a registry: credentials, tokens, certificates and timeouts."""
import base64
import contextlib
import socket
import ssl
import time

import pytest

from dev.servers.process import free_port
from docker_registry_index.service.registry import connection
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import (
    CredentialsRefused, RegistryUnavailable, Tls)
from tests.helpers.certificates import Authority
from tests.helpers.registry import DIGEST
from tests.helpers.scripted_server import ScriptedServer, drip, error_page, late, page

SECRET = 'pass:w\xf6rd'
BASIC = 'Basic ' + base64.b64encode(b'reader:' + SECRET.encode()).decode()


def challenge(header):
    return page('', 401, WWW_Authenticate=header)


def asking(answer, header='Basic realm="x"'):
    """Return an answer for requests with credentials; others get the challenge."""
    return lambda handler: (answer if handler.headers['Authorization'] else challenge(header))(
        handler)


def get_tags(server, *credentials, **limits):
    return RegistryClient(server.url, *credentials).tags('a/b', **limits)


def get_tags_of(server, document, tls):
    """Return the tags in a document that a server answers."""
    server.answers['*'] = page(document)
    return get_tags(server, None, None, tls)


class TestTimeouts:
    @pytest.mark.parametrize('answer', [late(1), drip(True), drip(False)],
                             ids=['silent', 'slow-headers', 'slow-body'])
    def test_a_timeout_is_for_all_of_a_call(self, server, answer):
        server.answers['*'] = answer
        started = time.monotonic()
        with pytest.raises(RegistryUnavailable, match='does not answer within 0.12 seconds'):
            get_tags(server, timeout=0.12)
        assert time.monotonic() - started < 4, 'a drip takes five seconds'

    @pytest.mark.parametrize('timeout', [0, -1])
    def test_nothing_is_sent_if_no_time_is_left(self, server, timeout):
        client = RegistryClient(server.url)
        for ask, *reference in (client.tags,), (client.manifest, 'latest'), (client.config, DIGEST):
            with pytest.raises(RegistryUnavailable):
                ask('a/b', *reference, timeout=timeout)
        assert not server.requests

    def test_a_refused_connection_is_reported_with_its_address(self):
        url = 'http://127.0.0.1:%d' % free_port()
        client = RegistryClient(url, 'reader', 'hidden')
        with pytest.raises(RegistryUnavailable, match=url + '.*refused') as failed:
            client.tags('a/b')
        assert 'hidden' not in str(failed.value) + repr(failed.value) + repr(client)
        assert failed.value.url == url + '/v2/a/b/tags/list'

    def test_a_connection_that_is_not_accepted_is_an_error_of_its_own(self, monkeypatch):
        monkeypatch.setattr(connection, 'CONNECT_TIMEOUT', 0.05)
        with contextlib.ExitStack() as opened:
            full = opened.enter_context(socket.create_server(('127.0.0.1', 0), backlog=0))
            for _ in range(4):  # the queue of the listener is full: it answers no connection
                filler = opened.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            client = RegistryClient('http://127.0.0.1:%d' % full.getsockname()[1])
            with pytest.raises(RegistryUnavailable, match='accepts no connection within'):
                client.tags('a/b', timeout=5)


class TestCredentials:
    def test_credentials_and_challenges_are_not_followed_to_another_host(self, server):
        with ScriptedServer({'*': page({'a': 1})}) as elsewhere:
            url = elsewhere.url.replace('127.0.0.1', 'localhost')
            server.answers['*'] = asking(page('', 307, Location=url + '/blob?Signature=s3cret'))
            client = RegistryClient(server.url, 'reader', SECRET)
            assert client.config('a/b', DIGEST) == {'a': 1}
            assert [headers['Authorization'] for _, headers in server.requests] == [None, BASIC]
            assert elsewhere.requests[0][1]['Authorization'] is None
            for elsewhere.answers['*'] in (
                    page('denied', 403), challenge('Bearer realm="%s/token"' % elsewhere.url),
                    error_page('NAME_UNKNOWN')):
                with pytest.raises(RegistryUnavailable) as failed:
                    client.config('a/b', DIGEST)
                assert not isinstance(failed.value, CredentialsRefused)
                assert 's3cret' not in str(failed.value)
            assert '/token' not in ''.join(elsewhere.paths)

    @pytest.mark.parametrize('credentials, problem', [((), 'requires credentials'),
                                                      (('reader', 'guess'), 'refuses')])
    @pytest.mark.parametrize('status', [401, 403])
    def test_refused_credentials_are_an_error_of_their_own(
            self, server, credentials, problem, status):
        refusal = page('', status)
        server.answers['*'] = asking(refusal) if credentials else refusal
        with pytest.raises(CredentialsRefused,
                           match=problem + '.*REGISTRY_USERNAME and REGISTRY_PASSWORD') as refused:
            get_tags(server, *credentials)
        assert refused.value.status == status and 'guess' not in str(refused.value)

    @pytest.mark.parametrize('header', ['Bearer realm="{}/token"', 'Negotiate', 'Digest realm="a"',
                                        'X-Basic realm="Basic realm=x"'])
    def test_no_password_is_sent_unless_the_registry_asks_for_it(self, server, header):
        server.answers['*'] = challenge(header.format(server.url))
        server.answers['/token'] = page({'token': 't1'})
        for _ in range(2):
            with pytest.raises(CredentialsRefused):
                get_tags(server, 'reader', SECRET)
        to_registry = [headers['Authorization'] for path, headers in server.requests
                       if not path.startswith('/token')]
        assert set(to_registry) <= {None, 'Bearer t1'}

    def test_a_registry_that_has_asked_for_a_password_gets_it_at_once(self, server):
        server.answers['*'] = asking(page({'tags': ['1']}))
        client = RegistryClient(server.url, 'reader', SECRET)
        assert client.tags('a/b') == client.tags('a/c') == ['1']
        assert [headers['Authorization'] for _, headers in server.requests] == [None, BASIC, BASIC]

    @pytest.mark.parametrize('header, asked, is_sent', [
        (BASIC, 'Basic realm="x"', True), ('Bearer t', 'Bearer realm="x"', True),
        ('Bearer t', 'Basic realm="x"', False), (BASIC, 'Negotiate', False),
        (None, 'Basic realm="x"', False)])
    def test_credentials_of_a_caller_replace_those_of_the_settings(
            self, server, header, asked, is_sent):
        server.answers['*'] = asking(page({'tags': ['1']}), asked)
        own = RegistryClient(server.url, 'own', 'secret')
        client = own.of_caller(header)
        if is_sent:
            assert client.tags('a/b') == client.tags('a/b') == ['1']
        else:
            with pytest.raises(CredentialsRefused):
                client.tags('a/b')
        sent = [headers['Authorization'] for _, headers in server.requests]
        assert sent == ([None, header, header] if is_sent else [None])
        assert (client.scheme is None) is (asked == 'Negotiate') and own.scheme is None

    def test_the_password_of_a_caller_is_exchanged_for_a_token(self, server):
        server.answers = {'*': asking(page({'tags': ['1']}), 'Bearer realm="%s/t"' % server.url),
                          '/t': page({'token': 'abc'})}
        assert RegistryClient(server.url, 'own', 'secret').of_caller(BASIC).tags('a/b') == ['1']
        assert [headers['Authorization'] for _, headers in server.requests] == [
            None, BASIC, 'Bearer abc']
        server.answers['*'] = challenge('Bearer realm="%s/t"' % server.url)
        for answer, has_token in (page({'token': 'abc'}), True), (page('', 401), False):
            server.answers['/t'] = answer
            with pytest.raises(CredentialsRefused) as refused:
                RegistryClient(server.url).of_caller(BASIC).tags('a/b')
            assert refused.value.has_token is has_token

    def test_neither_netrc_nor_proxies_nor_cookies_are_used(self, server, tmp_path, monkeypatch):
        (tmp_path / '.netrc').write_text('machine 127.0.0.1 login somebody password else\n')
        monkeypatch.setenv('HOME', str(tmp_path))
        monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
        server.answers['*'] = page({'tags': ['1']}, Set_Cookie='a=b')
        client = RegistryClient(server.url)
        assert client.tags('a/b') == client.tags('a/b') == ['1']
        assert all(headers['Authorization'] is None and headers['Cookie'] is None
                   for _, headers in server.requests)


class TestCertificates:
    @pytest.fixture(scope='class')
    def ours(self, tmp_path_factory):
        return Authority(tmp_path_factory.mktemp('tls'), 'ours')

    @pytest.fixture
    def systems(self, tmp_path, monkeypatch):
        """An authority that the system trusts."""
        authority = Authority(tmp_path, 'systems')
        monkeypatch.setenv('SSL_CERT_FILE', authority.file)
        return authority

    @pytest.fixture
    def secure(self, ours):
        with ScriptedServer({'*': page({'tags': ['1']})}, ours.server_context()) as running:
            yield running

    def test_a_certificate_of_the_given_file_is_trusted_and_no_other(self, ours, secure):
        with pytest.raises(RegistryUnavailable, match='certificate that is not trusted'):
            get_tags(secure, 'reader', SECRET)
        assert not secure.requests
        assert get_tags(secure, None, None, Tls(ours.file)) == ['1']

    def test_the_given_file_is_added_to_the_certificates_of_the_system(
            self, ours, secure, systems):
        with ScriptedServer({'*': page({'a': 1})}, systems.server_context()) as store:
            secure.answers['*'] = page('', 307, Location=store.url + '/blob')
            client = RegistryClient(secure.url, tls=Tls(ours.file))
            assert client.config('a/b', DIGEST) == {'a': 1}
            assert get_tags_of(store, {'tags': ['2']}, Tls(ours.file)) == ['2']

    def test_a_client_certificate_is_sent_to_the_registry_and_to_no_other_server(
            self, ours, tmp_path):
        clients = Authority(tmp_path, 'clients')
        seen = []

        def note(handler):
            seen.append(bool(handler.connection.getpeercert()))
            page({'a': 1})(handler)
        with ScriptedServer(tls=ours.server_context('registry', clients)) as registry, \
                ScriptedServer({'*': note}, ours.server_context(
                    'store', clients, ssl.CERT_OPTIONAL)) as store:
            client = RegistryClient(registry.url, tls=Tls(ours.file, *clients.issue('service')))
            registry.answers['*'] = note
            assert client.config('a/b', DIGEST) == {'a': 1}
            registry.answers['*'] = page('', 307, Location=store.url + '/blob')
            assert client.config('a/b', DIGEST) == {'a': 1}
            assert seen == [True, False]
            with pytest.raises(RegistryUnavailable, match='certificate'):
                get_tags(registry, None, None, Tls(ours.file))

    def test_a_password_is_not_sent_to_a_token_server_without_https(self, ours, secure, server):
        server.answers['*'] = page({'token': 't'})
        secure.answers['*'] = challenge('Bearer realm="%s/t"' % server.url)
        with pytest.raises(RegistryUnavailable, match='not https'):
            get_tags(secure, 'reader', SECRET, Tls(ours.file))
        assert not server.requests


class TestTokens:
    @pytest.fixture
    def closed(self, server):
        """A registry that requires tokens and gives them, as `given`, itself."""
        server.token, server.given = 't1', None

        def answer(handler):
            if handler.path.startswith('/token'):
                given = server.given or page({'token': server.token, 'expires_in': 300})
            elif handler.headers['Authorization'] == 'Bearer ' + server.token:
                given = page({'tags': ['1'], 'repositories': ['a/b']})
            else:
                given = challenge('Bearer realm="%s/token",service="the registry"' % server.url)
            given(handler)
        server.answers['*'] = answer
        return server

    def requests_for_tokens(self, server):
        return [(path, headers['Authorization']) for path, headers in server.requests
                if path.startswith('/token')]

    def test_one_token_is_requested_for_each_scope(self, closed):
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert client.tags('a/b') == client.tags('a/b') == ['1'] and client.has('a/c')
        assert [list(page) for page in client.catalog()] == [['a/b']]
        assert self.requests_for_tokens(closed) == [
            ('/token?service=the+registry&scope=' + scope, BASIC) for scope in (
                'repository%3Aa%2Fb%3Apull', 'repository%3Aa%2Fc%3Apull',
                'registry%3Acatalog%3A%2A')]

    def test_a_token_is_requested_for_the_scope_of_the_challenge_if_it_has_one(self, server):
        server.answers = {
            '*': challenge('Bearer realm="%s/token?a=b",scope="the:scope"' % server.url),
            '/token': page({'token': 't1'})}
        with pytest.raises(CredentialsRefused):
            get_tags(server)
        assert server.paths[1] == '/token?a=b&scope=the%3Ascope'

    def test_a_token_that_is_refused_is_renewed(self, closed):
        client = RegistryClient(closed.url)
        for closed.token in 't1', 't2':
            assert client.tags('a/b') == ['1']

    @pytest.mark.parametrize('seconds, count', [(300, 1), (5, 2), (0, 1), (-1, 1), ('x', 1)])
    def test_a_token_is_kept_until_shortly_before_its_end_or_a_minute(self, closed, seconds, count):
        closed.given = page({'access_token': 't1', 'expires_in': seconds})
        client = RegistryClient(closed.url)
        assert client.tags('a/b') == client.tags('a/b') == ['1']
        assert len(self.requests_for_tokens(closed)) == count

    def test_a_registry_may_change_from_tokens_to_a_password(self, closed):
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert client.tags('a/b') == ['1']
        closed.answers['*'] = lambda handler: (
            page({'tags': ['2']}) if handler.headers['Authorization'] == BASIC
            else challenge('Basic realm="x"'))(handler)
        asked = len(closed.requests)
        assert client.tags('a/b') == client.tags('a/b') == client.tags('a/c') == ['2']
        assert len(closed.requests) == asked + 4, 'once with the token that it had'
        closed.answers['*'] = challenge('Basic realm="x"')
        with pytest.raises(CredentialsRefused, match='refuses'):
            client.tags('a/b')

    def test_an_answer_without_a_token_is_unusable_and_may_be_a_refusal(self, closed):
        for body in '', '[]', '{}', '{"token": 3}', '{"token": "a\\r\\nb"}', '{"token": ""}':
            closed.given = page(body)
            with pytest.raises(RegistryUnavailable, match='sends no token'):
                get_tags(closed)
        closed.given = page('', 401)
        with pytest.raises(CredentialsRefused, match='refuses'):
            get_tags(closed, 'reader', SECRET)

    def test_a_realm_that_is_no_web_address_is_refused(self, server):
        for realm in '', '/token', 'ftp://127.0.0.1/', 'file:///etc/passwd', 'http://':
            server.answers['*'] = challenge('Bearer realm="%s"' % realm)
            with pytest.raises(RegistryUnavailable, match='names the token server .*, which'):
                get_tags(server)

    def test_a_token_server_that_redirects_elsewhere_gets_the_password_alone(self, closed):
        with ScriptedServer({'*': page({'token': 't1'})}) as elsewhere:
            closed.given = page('', 307, Location=elsewhere.url.replace('127.0.0.1', 'localhost'))
            assert get_tags(closed, 'reader', SECRET) == ['1']
            assert [headers['Authorization'] for _, headers in elsewhere.requests] == [None]
        assert self.requests_for_tokens(closed)[0][1] == BASIC

    @pytest.mark.parametrize('realm, problem', [
        ('http://localhost:{}/t', 'which is not https'),
        ('https://localhost:{}/t', 'which is neither on the host of the registry, 127.0.0.1, nor')])
    def test_another_host_gets_no_password_and_the_error_names_the_way_out(
            self, server, realm, problem):
        with ScriptedServer({'*': page({'token': 't1'})}) as elsewhere:
            realm = realm.format(elsewhere.port)
            server.answers['*'] = challenge('Bearer realm="%s"' % realm)
            with pytest.raises(RegistryUnavailable, match=problem + '.*REGISTRY_TOKEN_HOST') as got:
                get_tags(server, 'reader', SECRET)
            assert not elsewhere.requests and realm in str(got.value)
            assert SECRET not in str(got.value)
