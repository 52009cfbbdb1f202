"""AUTH=htpasswd: the users of the registry's htpasswd file may search and read the catalog."""
import base64
import concurrent.futures

import bcrypt
import pytest

from docker_registry_index.service.web import auth
from docker_registry_index.service.web.auth import HtpasswdUsers, Refused, credentials_in
from tests.helpers.waiting import Hanging, wait_until

LONG = 'x' * 72
PASSWORDS = {'alice': 'correct horse', 'bob': 'pass:with:colons', 'long': LONG + ' and more',
             'jörg': 'pässwörd 日本', 'empty': '', 'old': 'battery staple'}
PROTECTED = ('/v1/search?q=web', '/v2/_catalog')


def hashed(password, cost=4, prefix=b'2b'):
    return bcrypt.hashpw(password.encode()[:72],
                         bcrypt.gensalt(cost)).replace(b'$2b$', b'$%b$' % prefix).decode()


def lines_of(passwords):
    """Return the lines of a file with these users, between lines that are no users."""
    prefixes = {'bob': b'2y', 'old': b'2a'}
    return '\n'.join([
        '# users of the registry', '', '   ', *(
            '%s:%s' % (name, hashed(password, prefix=prefixes.get(name, b'2b')))
            for name, password in passwords.items()),
        'md5:$apr1$abc$0123456789abcdefghijkl', 'plain:plain', '#alice:no',
        'sha:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=', 'broken:$2y$05$short', ''])


def basic(content):
    return b'Basic ' + base64.b64encode(content)


def header(user, password):
    return {'Authorization': basic(('%s:%s' % (user, password)).encode()).decode()}


def check_of(users):
    """Return a function of a name and a password: True if that user may read."""
    def may_read(name, password):
        try:
            return users.user(credentials_in(
                header(name, password)['Authorization'])) == name
        except Refused:
            return False
    return may_read


@pytest.fixture(scope='module')
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp('users') / 'htpasswd'
    path.write_text(lines_of(PASSWORDS))
    return path


@pytest.fixture(scope='module')
def guarded(start, users):
    """A service with users, beside a registry with one repository."""
    with start({'team/web': None}, AUTH='htpasswd', HTPASSWD=str(users), THREADS='8') as made:
        yield made


def status(service, headers):
    """Return the status of the answers to a search and to a request for the catalog."""
    [found] = {service.get(path, headers=headers).status_code for path in PROTECTED}
    return found


@pytest.mark.parametrize('user', sorted(PASSWORDS))
def test_the_users_of_the_file_may_read(guarded, caplog, user):
    right = header(user, PASSWORDS[user])
    for _ in range(2):  # computed, then remembered
        assert status(guarded, right) == 200
    assert guarded.get(PROTECTED[0], headers=right).json()['results'][0]['name'] == 'team/web'
    assert status(guarded, header(user, 'wrong-password')) == 401
    for secret in PASSWORDS[user], right['Authorization'].split()[1], 'wrong-password':
        assert not secret or secret not in caplog.text


@pytest.mark.parametrize('value', [None] + [
    basic(each) for each in (
        b'alice:', b'alice:correct hors', b'alice:correct horse\0', b'alice:Correct horse', b':',
        b':correct horse', b'ALICE:correct horse', b'nobody:correct horse', b'#alice:no',
        b'md5:md5', b'plain:plain', b'sha:password', b'broken:x', b'alice\0:correct horse',
        b'alice\n:correct horse', b'a' * 300 + b':x', b'alice:' + b'x' * 5000, b'\xff\xfe:\xff',
        b'alice', b'', b'alice:correct horse\xff', b'\0:\0')] + [
    b'', b' ', b'Basic', b'Basic ', b'basic =', b'Basic !!!', b'Basic a', b'BASIC \x80\x81',
    b'\xe9', b'\xff \xff', b'"', b'Basic ' + b'A' * 5000, basic(b'alice:correct horse') + b'\xff',
    basic(b'alice:correct horse')[:-1], basic(b'alice:correct horse').replace(b' ', b'\t'),
    basic(b'alice:correct horse') + b', ' + basic(b'alice:correct horse'), b'Bearer x',
    b'Digest username="alice"', b'Digest username="\xff', b'Digest username*=utf-8\'\'%FF'])
def test_a_client_without_right_credentials_may_not_read(guarded, value):
    lines = [] if value is None else [b'Authorization: ' + value]
    search, catalog = [guarded.request_bytes('GET', path.encode(), *lines) for path in PROTECTED]
    for answer in search, catalog:
        assert answer.status_code == 401
        assert answer.headers['WWW-Authenticate'].startswith('Basic realm="')
    assert catalog.json()['errors'][0]['code'] == 'UNAUTHORIZED'
    assert set(search.json()) == {'error'}
    assert guarded.request_bytes('POST', b'/events', *lines).status_code == 401


def test_the_scheme_basic_has_any_case_and_may_have_spaces_around_it(guarded):
    right = basic(b'alice:correct horse')
    for value in right, b'bAsIc  ' + right[6:] + b' ':
        for path in PROTECTED:
            answer = guarded.request_bytes('GET', path.encode(), b'Authorization: ' + value)
            assert answer.status_code == 200


def test_only_72_bytes_of_a_password_count_as_in_the_registry(guarded):
    for password, expected in ((LONG, 200), (LONG + ' or something else', 200), (LONG[:-1], 401)):
        assert status(guarded, header('long', password)) == expected


def test_requests_that_read_no_names_need_no_user(guarded):
    for path in ('/v1/_ping', '/healthz', '/readyz'):
        for headers in ({}, header('alice', 'wrong-password')):
            assert guarded.get(path, headers=headers).status_code == 200, path
    assert guarded.get('/v1/nothing').status_code == 404


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path, caplog):
    path, replaced = tmp_path / 'htpasswd', tmp_path / 'new'
    path.write_text(lines_of(PASSWORDS))
    may_read = check_of(HtpasswdUsers(str(path)))
    assert '4 of 10 users' in caplog.text and 'have no bcrypt hash' in caplog.text
    alice, carol = ('alice', PASSWORDS['alice']), ('carol', 'new here')
    assert may_read(*alice) and not may_read(*carol)
    path.write_text(lines_of({'carol': 'new here'}))
    assert may_read(*carol) and not may_read(*alice), 'a remembered password counts no more'
    path.write_text('carol:%s\na line without a colon\n' % hashed('another'))
    assert all(may_read(*carol) for _ in range(20))
    assert caplog.text.count('which cannot be read: a line is not NAME:HASH') == 1
    path.unlink()
    assert may_read(*carol) and not may_read(*alice)
    replaced.write_text('carol:%s\ncarol:%s\n' % (hashed('first'), hashed('last')))
    replaced.rename(path)
    assert may_read('carol', 'last'), 'the last line counts'
    assert not may_read('carol', 'first') and not may_read(*carol)
    path.write_text('')
    assert not may_read('carol', 'last')


def test_a_flood_of_wrong_passwords_leaves_half_of_the_threads_to_others(guarded, monkeypatch):
    alice = header('alice', PASSWORDS['alice'])
    assert status(guarded, alice) == 200
    with concurrent.futures.ThreadPoolExecutor(5) as pool, Hanging(auth.matches) as matches:
        monkeypatch.setattr(auth, 'matches', matches)
        flood = [pool.submit(guarded.get, PROTECTED[0], headers=header('alice', 'wrong-%d' % each))
                 for each in range(5)]
        # Four hold half of the eight threads, so the fifth is refused.
        wait_until(lambda: len(matches.calls) == 2 and any(each.done() for each in flood))
        search, catalog = [guarded.get(path, headers=header('alice', 'wrong-5'))
                           for path in PROTECTED]
        assert search.status_code == catalog.status_code == 429
        assert search.headers['Retry-After'] == catalog.headers['Retry-After'] == '1'
        assert 'too many requests' in search.text and 'TOOMANYREQUESTS' in catalog.text
        assert status(guarded, alice) == 200, 'a remembered password is not computed'
        assert guarded.get('/healthz').status_code == 200
        assert len(matches.calls) == 2, 'two are computed at once'
        matches.go_on.set()
        assert sorted(each.result().status_code for each in flood) == [401] * 4 + [429]
    assert status(guarded, header('bob', PASSWORDS['bob'])) == 200


def test_the_parser_reads_what_the_registry_reads():
    assert auth.parse_htpasswd(b' a:1 \r\n\n#b:2\n  # c:3\nd:4:5\n:6\n\xff:7\na:8') == {
        b'a': b'8', b'd': b'4:5', b'': b'6', b'\xff': b'7'}
    assert auth.parse_htpasswd(b'') == {}
    for content in b'alice', b'a line\n', b'#ok\nalice:$2y$05$x\nbad':
        with pytest.raises(ValueError):
            auth.parse_htpasswd(content)
    for usable in (b'2a', b'2b', b'2y'):
        assert auth.cost(hashed('x', prefix=usable).encode()) == 4
    for none in (b'', b'$2y$', b'$2y$05$short', b'$2y$99$' + b'.' * 53, b'$apr1$x$y', b'{SHA}x',
                 b'plain', b'\xff' * 60, b'$2y$05$' + b'a' * 60):
        assert auth.cost(none) is None, none


def test_each_cost_of_the_file_is_computed_for_any_user(tmp_path, monkeypatch):
    # So the time reveals neither which users exist nor their costs.
    path, costs, plain = tmp_path / 'htpasswd', [], auth.matches
    path.write_text('md5:$apr1$abc$0123456789abcdefghijkl\n' + ''.join(
        '%s:%s\n' % (name, hashed(name, cost))
        for name, cost in (('cheap', 4), ('dear', 6), ('dear-too', 6))))
    may_read = check_of(HtpasswdUsers(str(path)))
    monkeypatch.setattr(auth, 'matches', lambda password, hashed: costs.append(
        auth.cost(hashed)) or plain(password, hashed))
    for user, password in (('cheap', 'cheap'), ('dear-too', 'dear-too'), ('cheap', 'dear'),
                           ('dear', 'x'), ('nobody', 'cheap'), ('nobody', 'dear'), ('md5', 'md5')):
        del costs[:]
        assert may_read(user, password) is (user == password != 'md5')
        assert sorted(costs) == [4, 6], user
