"""Which challenges a registry sends, and which token servers may get passwords."""
import pytest
from urllib3.response import HTTPHeaderDict
from werkzeug.datastructures import WWWAuthenticate

from docker_registry_index.service.registry.connection import Answer
from docker_registry_index.service.registry.tokens import challenges_of, token_url

BEARER = ('Bearer realm="https://auth.example.com/token",service="a, b",'
          'scope="repository:a:pull,push"')


@pytest.mark.parametrize('lines', [
    [BEARER, 'Basic realm="Registry, Inc. Basic"'], ['Basic realm="Registry, Inc. Basic"', BEARER],
    ['Basic realm="Registry, Inc. Basic", ' + BEARER],
    [BEARER + ',Basic  realm = "Registry, Inc. Basic"'],
    ['Negotiate', BEARER + ', Negotiate abc==, basic realm="Registry, Inc. Basic"']])
def test_all_challenges_are_read_from_one_line_or_several(lines):
    found = challenges_of(lines)
    assert set(found) - {'negotiate'} == {'bearer', 'basic'}
    assert found['bearer'].parameters == {
        'realm': 'https://auth.example.com/token', 'service': 'a, b',
        'scope': 'repository:a:pull,push'}
    assert found['basic'].realm == 'Registry, Inc. Basic'


@pytest.mark.parametrize('line', ['', ',', ' , ,', '"', 'Basic', 'realm="x"', '=', 'é', 'a b c d=',
                                  'Bearer realm', 'Bearer realm="', 'Bearer "a=b', '\xff=\xff'])
def test_a_malformed_challenge_is_no_error(line):
    assert 'bearer' not in challenges_of([line]) or challenges_of([line])['bearer'].realm in (
        None, '"')


def test_a_folded_line_becomes_one_line_which_the_service_can_send_on():
    # https://www.rfc-editor.org/rfc/rfc9110#section-5.5
    headers = HTTPHeaderDict({'WWW-Authenticate': 'Bearer realm="https://a",\r\n service="b"'})
    [line] = Answer('http://a/v2/', 401, headers, b'', False).challenges
    assert line == 'Bearer realm="https://a", service="b"'


def test_the_first_of_two_challenges_of_one_scheme_counts():
    assert challenges_of(['Basic realm="a", Basic realm="b"'])['basic'].realm == 'a'


def url_of(registry, realm, token_host=None):
    challenge = WWWAuthenticate('bearer', {'realm': realm, 'service': 'the registry'})
    return token_url(challenge, 'registry:catalog:*', registry, token_host)


QUERY = '?service=the+registry&scope=registry%3Acatalog%3A%2A'
TRUSTED = [
    ('http://registry:5000', 'http://registry:5001/token'),
    ('http://registry:5000', 'https://registry/token'),
    ('http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'),
    ('http://[::1]:5000', 'http://[::1]:5001/token'),
    ('https://registry.example.com', 'https://auth.example.com:8443/token'),
    ('https://example.com', 'https://auth.EXAMPLE.com/token'),
    ('http://registry.example.co.uk', 'https://login.example.co.uk/token'),
    ('https://registry.example.com', 'https://registry.example.com./token')]
UNTRUSTED = [
    # Not https.
    ('http://registry.example.com', 'http://auth.example.com/token'),
    ('https://registry.example.com', 'http://registry.example.com/token'),
    # Of other owners.
    ('https://registry.example.com', 'https://example.org/token'),
    ('https://registry.example.com', 'https://notexample.com/token'),
    ('https://registry.example.com', 'https://registry.example.com.evil.org/token'),
    ('https://a.co.uk', 'https://b.co.uk/token'),
    ('https://mine.github.io', 'https://yours.github.io/token'),
    ('https://registry', 'https://auth/token'), ('https://localhost', 'https://a.localhost/token'),
    ('https://10.0.0.1', 'https://11.0.0.1/token'), ('https://[2001:db8::1]', 'https://[::1]/t'),
    ('https://registry.apps.internal', 'https://auth.apps.internal/token'),
    # What another parser may read as registry.example.com.
    ('https://registry.example.com', 'https://registry.example.com@evil.org/token'),
    ('https://registry.example.com', 'https://evil.org\\@registry.example.com/token'),
    ('https://registry.example.com', 'https://evil.org/@registry.example.com'),
    ('https://registry.example.com', 'https://evil.org#registry.example.com'),
    ('https://registry.example.com', 'https:/registry.example.com/token'),
    ('https://registry.example.com', '//registry.example.com/token')]


@pytest.mark.parametrize('registry, realm', TRUSTED)
def test_token_servers_of_the_registry_get_passwords(registry, realm):
    assert url_of(registry, realm) == realm.replace('EXAMPLE', 'example') + QUERY


@pytest.mark.parametrize('registry, realm', UNTRUSTED)
def test_other_token_servers_get_no_passwords(registry, realm):
    with pytest.raises(ValueError, match='^is n'):
        url_of(registry, realm)


def test_a_setting_may_name_one_more_host_but_only_with_https():
    for host in 'auth.example.org', '10.1.2.3':
        assert url_of('http://registry:5000', 'https://%s/a?b=c' % host, host) == (
            'https://%s/a?b=c&' % host + QUERY[1:])
        for other in 'http://' + host, 'https://evil.org', 'https://a.' + host:
            with pytest.raises(ValueError):
                url_of('http://registry:5000', other, host)
