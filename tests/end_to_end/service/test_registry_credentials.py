"""What the client of the registry's own API does with its credentials, and with certificates."""
import base64
import ssl
import subprocess

import pytest

from docker_registry_index.service.registry.connection import (
    CredentialsRefused, RegistryUnavailable)
from docker_registry_index.service.registry.client import RegistryClient
from tests.helpers import scripted_server
from tests.helpers.scripted_server import ScriptedServer, error_page, page

SECRET = 'pass:w\xf6rd'
HEX = 'sha256:' + '0' * 64


class TestCredentials:
    def test_they_do_not_follow_a_blob_to_another_host(self, odd):
        with ScriptedServer({'*': page({'a': 1})}) as elsewhere:
            url = elsewhere.url.replace('127.0.0.1', 'localhost')
            odd.answers['*'] = page('', 307, Location=url + '/blob?Signature=s3cret')
            assert RegistryClient(odd.url, 'reader', SECRET).config('a/b', HEX) == {'a': 1}
            assert odd.requests[0][1]['Authorization']
            assert elsewhere.requests[0][1]['Authorization'] is None
            challenge = 'Bearer realm="%s/token"' % elsewhere.url
            for answer in (page('denied', 403), page('', 401, WWW_Authenticate=challenge),
                           error_page('NAME_UNKNOWN')):
                elsewhere.answers['*'] = answer
                with pytest.raises(RegistryUnavailable) as failed:
                    RegistryClient(odd.url, 'reader', SECRET).config('a/b', HEX)
                assert not isinstance(failed.value, CredentialsRefused)
                assert 's3cret' not in str(failed.value)
            assert '/token' not in ''.join(elsewhere.paths)

    def test_no_message_has_them(self, odd):
        odd.answers['*'] = scripted_server.reset
        client = RegistryClient(odd.url, 'reader', 'hidden')
        with pytest.raises(RegistryUnavailable) as failed:
            client.tags('a/b')
        assert 'hidden' not in str(failed.value) + repr(failed.value) + repr(client)
        assert failed.value.url == odd.url + '/v2/a/b/tags/list'
        basic = 'Basic ' + base64.b64encode(b'reader:hidden').decode()
        assert odd.requests[-1][1]['Authorization'] == basic

    def test_neither_netrc_nor_proxies_are_used(self, odd, tmp_path, monkeypatch):
        (tmp_path / '.netrc').write_text('machine 127.0.0.1 login somebody password else\n')
        monkeypatch.setenv('HOME', str(tmp_path))
        monkeypatch.setenv('http_proxy', 'http://127.0.0.1:1')
        odd.answers['*'] = page({'tags': ['1']}, Set_Cookie='a=b')
        client = RegistryClient(odd.url)
        assert client.tags('a/b') == client.tags('a/b') == ['1']
        assert all(headers['Authorization'] is None and headers['Cookie'] is None
                   for _, headers in odd.requests)


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tls')
    subprocess.run([
        'openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
        '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', 'key.pem', '-out',
        'cert.pem'
    ], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    return folder


class TestCertificates:
    @pytest.fixture
    def secure(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(certificate / 'cert.pem'), str(certificate / 'key.pem'))
        with ScriptedServer({'*': page({'tags': ['1']})}, context) as server:
            yield server

    def test_one_of_the_given_file(self, certificate, secure):
        client = RegistryClient(secure.url, ca_file=str(certificate / 'cert.pem'))
        assert client.tags('a/b') == ['1']

    def test_one_that_nobody_signed(self, secure):
        with pytest.raises(RegistryUnavailable, match='no certificate to trust.*self.signed'):
            RegistryClient(secure.url, 'reader', SECRET).tags('a/b')
        assert not secure.requests

    def test_no_such_file(self, secure, tmp_path):
        with pytest.raises(RegistryUnavailable, match='none.pem'):
            RegistryClient(secure.url, ca_file=str(tmp_path / 'none.pem')).tags('a/b')

    def test_a_password_goes_nowhere_in_the_clear(self, certificate, secure, odd):
        odd.answers['*'] = page({'token': 't'})
        secure.answers['*'] = page('', 401, WWW_Authenticate='Bearer realm="%s/token"' % odd.url)
        with pytest.raises(RegistryUnavailable, match='not https'):
            RegistryClient(secure.url, 'reader', SECRET, str(certificate / 'cert.pem')).tags('a/b')
        assert not odd.requests


class TestTokens:
    @pytest.fixture
    def closed(self, odd):
        """A registry that wants tokens, which it gives itself."""
        self.token = 't1'

        def answer(handler):
            if handler.path.startswith('/token'):
                return page({'token': self.token, 'expires_in': 300})(handler)
            if handler.headers['Authorization'] == 'Bearer ' + self.token:
                return page({'tags': ['1'], 'repositories': ['a/b']})(handler)
            challenge = 'Bearer realm="%s/token",service="the registry"' % odd.url
            page({'errors': [{'code': 'UNAUTHORIZED'}]}, 401, WWW_Authenticate=challenge)(handler)
        odd.answers['*'] = answer
        return odd

    def test_one_token_for_each_scope(self, closed):
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert client.tags('a/b') == client.tags('a/b') == ['1'] and client.has('a/c')
        assert list(client.catalog()) == [['a/b']]
        asked = [(path, headers['Authorization']) for path, headers in closed.requests
                 if path.startswith('/token')]
        basic = 'Basic ' + base64.b64encode(b'reader:' + SECRET.encode()).decode()
        assert asked == [('/token?service=the+registry&scope=' + scope, basic) for scope in (
            'repository%3Aa%2Fb%3Apull', 'repository%3Aa%2Fc%3Apull', 'registry%3Acatalog%3A%2A')]

    def test_one_that_ended_is_renewed(self, closed):
        client = RegistryClient(closed.url)
        assert client.tags('a/b') == ['1']
        self.token = 't2'
        assert client.tags('a/b') == ['1']

    def test_a_registry_that_wants_a_password_again(self, closed):
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert client.tags('a/b') == ['1']
        basic = 'Basic ' + base64.b64encode(b'reader:' + SECRET.encode()).decode()
        wanted = page('', 401, WWW_Authenticate='Basic realm="x"')
        closed.answers['*'] = lambda handler: (
            page({'tags': ['2']}) if handler.headers['Authorization'] == basic else wanted)(handler)
        asked = len(closed.requests)
        assert client.tags('a/b') == client.tags('a/b') == client.tags('a/c') == ['2']
        assert len(closed.requests) == asked + 4, 'once with the token that it had'
        closed.answers['*'] = page('', 401, WWW_Authenticate='Basic realm="x"')
        with pytest.raises(CredentialsRefused, match='refuses'):
            client.tags('a/b')

    def test_a_wrong_password(self, closed):
        right = closed.answers['*']
        closed.answers['*'] = lambda handler: (
            page('', 401) if handler.path.startswith('/token') else right)(handler)
        with pytest.raises(CredentialsRefused, match='refuses'):
            RegistryClient(closed.url, 'reader', SECRET).tags('a/b')

    @pytest.mark.parametrize(
        'body', ['', '[]', '{}', '{"token": 3}', '{"token": "a\\r\\nb"}', '{"token": ""}'])
    def test_no_token_in_the_answer(self, closed, body):
        right = closed.answers['*']
        closed.answers['*'] = lambda handler: (
            page(body) if handler.path.startswith('/token') else right)(handler)
        with pytest.raises(RegistryUnavailable, match='no token'):
            RegistryClient(closed.url).tags('a/b')

    @pytest.mark.parametrize('realm', ['', 'ftp://127.0.0.1/', 'file:///etc/passwd'])
    def test_a_realm_that_is_no_place(self, odd, realm):
        odd.answers['*'] = page('', 401, WWW_Authenticate='Bearer realm="%s"' % realm)
        with pytest.raises(RegistryUnavailable, match='realm'):
            RegistryClient(odd.url).tags('a/b')
