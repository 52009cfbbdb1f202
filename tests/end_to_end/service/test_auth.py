"""Who may read: the registry's own htpasswd file before the search and the catalog of a service."""
import base64
import concurrent.futures
import os
import statistics
import time

import bcrypt
import pytest

from docker_registry_index.service.web import auth
from docker_registry_index.service.web.auth import Users
from tests.end_to_end.service.beside import Beside, without_proxies
from tests.helpers.registry import FakeRegistry

LONG = 'x' * 72
PASSWORDS = {'alice': 'correct horse', 'bob': 'pass:with:colons', 'long': LONG + ' and more',
             'jörg': 'pässwörd 日本', 'empty': '', 'old': 'battery staple'}
PROTECTED = ('/v1/search?q=web', '/v2/_catalog')


def hashed(password, cost=5, prefix=b'2b'):
    return bcrypt.hashpw(password.encode()[:72],
                         bcrypt.gensalt(cost)).replace(b'$2b$', b'$%b$' % prefix).decode()


def lines_of(passwords, **more):
    """The lines of a file, between others that are none of users."""
    made = ['# users of the registry', '', '   ']
    made += ['%s:%s' % (name, hashed(password, prefix={'bob': b'2y', 'old': b'2a'}.get(name, b'2b'),
                                     **more)) for name, password in passwords.items()]
    return '\n'.join(made + ['md5:$apr1$abc$0123456789abcdefghijkl', 'plain:plain',
                             'sha:{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc=', 'broken:$2y$05$short',
                             '#alice:no', ''])


def header(user, password):
    content = user if isinstance(user, bytes) else ('%s:%s' % (user, password)).encode()
    return {'Authorization': 'Basic ' + base64.b64encode(content).decode()}


@pytest.fixture(scope='module')
def users(tmp_path_factory):
    path = tmp_path_factory.mktemp('users') / 'htpasswd'
    path.write_text(lines_of(PASSWORDS))
    return path


@pytest.fixture(scope='module')
def place(dynamodb_local, users):
    with FakeRegistry({'team/web': None}) as registry, Beside(dynamodb_local.url, registry,
                                                              HTPASSWD=str(users)) as made:
        yield made
    text = made.service.log_text()
    for secret in [made.secret, 'wrong-password', 'battery', 'correct horse', LONG,
                   'pässwörd', 'dummy'] + [header(*each)['Authorization'].split()[1]
                                           for each in PASSWORDS.items()]:
        assert secret not in text, 'a secret is in the log'
    assert 'Traceback' not in text


def statuses(place, headers):
    return [place.get(path, headers=headers).status_code for path in PROTECTED]


@pytest.mark.parametrize('user', sorted(PASSWORDS))
def test_the_users_of_the_file_may_read(place, user):
    for _ in range(2):  # computed, then remembered
        assert statuses(place, header(user, PASSWORDS[user])) == [200, 200]
    assert place.get('/v1/search?q=web', headers=header(user, PASSWORDS[user])).json()['results'][
        0]['name'] == 'team/web'
    assert statuses(place, header(user, PASSWORDS[user] + 'x' if user != 'long' else 'y')) == [
        401, 401]


@pytest.mark.parametrize('headers', [{}, header('alice', ''), header('alice', 'correct hors'),
                                     header('alice', 'correct horse\0'), header('alice', '\0'),
                                     header('alice', 'Correct horse'), header('', ''),
                                     header('', 'correct horse'), header('ALICE', 'correct horse'),
                                     header('nobody', 'correct horse'), header('#alice', 'no'),
                                     header('md5', 'md5'), header('plain', 'plain'),
                                     header('sha', 'password'), header('broken', 'x'),
                                     header('alice\0', 'correct horse'), header('al\tice', 'x'),
                                     header('alice\n', 'correct horse'), header('a' * 300, 'x'),
                                     header('alice', 'x' * 5000), header('\U0001f433', 'é'),
                                     header(b'\xff\xfe:\xff', None), header(b'alice', None),
                                     header(b':', None), header(b'', None),
                                     header(b'alice:correct horse\xff', None),
                                     {'Authorization': 'Basic'}, {'Authorization': 'Basic !!!'},
                                     {'Authorization': 'Basic ='}, {'Authorization': 'Bearer x'},
                                     {'Authorization': 'Digest username="alice"'},
                                     {'Authorization': ''}, {'Authorization': 'basic'},
                                     {'Authorization': '\xe9'.encode('latin-1')}])
def test_all_others_may_not(place, headers):
    for path in PROTECTED:
        answer = place.get(path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.headers['WWW-Authenticate'].startswith('Basic realm="'), path
    assert answer.json()['errors'][0]['code'] == 'UNAUTHORIZED'
    assert set(place.get(PROTECTED[0], headers=headers).json()) == {'error'}


def test_what_comes_after_72_bytes_does_not_count_as_in_the_registry(place):
    assert statuses(place, header('long', LONG)) == [200, 200]
    assert statuses(place, header('long', LONG + ' or something else')) == [200, 200]
    assert statuses(place, header('long', LONG[:-1])) == [401, 401]


def test_those_who_ask_for_no_names_need_none(place):
    for path in ('/v1/_ping', '/healthz', '/readyz'):
        for headers in ({}, header('alice', 'wrong-password')):
            assert place.get(path, headers=headers).status_code == 200, path
    assert place.get('/v1/nothing').status_code == 404


def test_nobody_learns_by_the_clock_which_users_there_are(place):
    def median(user):
        taken = []
        for number in range(20):
            began = time.monotonic()
            assert place.get('/v1/search',
                             headers=header(user, 'wrong-password %d' % number)).status_code == 401
            taken.append(time.monotonic() - began)
        return statistics.median(taken)

    for attempt in range(3):  # other processes of the machine disturb the times
        existing, unknown, unusable = median('alice'), median('nobody'), median('md5')
        if max(existing, unknown, unusable) < 2 * min(existing, unknown, unusable):
            return
    raise AssertionError((existing, unknown, unusable))


def test_a_file_that_changes_is_read_anew_and_a_broken_one_changes_nothing(place, users):
    before = users.read_text()
    alice, carol = header('alice', PASSWORDS['alice']), header('carol', 'new here')
    try:
        assert statuses(place, alice) == [200, 200] and statuses(place, carol) == [401, 401]
        users.write_text(lines_of({'carol': 'new here'}))
        assert statuses(place, carol) == [200, 200] and statuses(place, alice) == [
            401, 401], 'a password that was remembered counts no more'
        users.write_text('carol:%s\na line that is none\n' % hashed('another'))
        for _ in range(20):
            assert statuses(place, carol) == [200, 200]
        assert place.service.log_text().count('which cannot be read: a line of it is not '
                                              'NAME:HASH') == 1, 'one line, however many ask'
        os.remove(str(users))
        assert statuses(place, carol) == [200, 200] and statuses(place, alice) == [401, 401]
        replaced = users.with_name('new')
        replaced.write_text('carol:%s\ncarol:%s\n' % (hashed('first'), hashed('last')))
        os.rename(str(replaced), str(users))
        assert statuses(place, header('carol', 'last')) == [
            200, 200], 'the last line of a name counts, as in the registry'
        assert statuses(place, header('carol', 'first')) == statuses(place, carol) == [401, 401]
        users.write_text('')
        assert statuses(place, header('carol', 'last')) == [401, 401]
    finally:
        users.write_text(before)
    assert statuses(place, alice) == [200, 200]


def test_no_user_can_forge_a_line_of_the_log(place):
    for user in ('alice\n2026-01-01 ERROR: forged', '\x1b[31mred', 'x" 200 5 "'):
        assert statuses(place, header(user, 'wrong-password')) == [401, 401]
    assert '\x1b' not in place.service.log_text() and 'forged' not in place.service.log_text()


def test_anonymous_read_lets_in_those_who_give_nothing_and_no_wrong_ones(
        place, users, dynamodb_local):
    with Beside(dynamodb_local.url, place.registry, place.database, HTPASSWD=str(users),
                ANONYMOUS_READ='true') as made:
        assert statuses(made, {}) == [200, 200]
        assert statuses(made, header('alice', PASSWORDS['alice'])) == [200, 200]
        assert statuses(made, header('alice', 'wrong-password')) == [401, 401]
        assert statuses(made, header('nobody', 'x')) == [401, 401]


def test_a_flood_of_wrong_passwords_leaves_threads_for_the_others(place, dynamodb_local, tmp_path):
    users = tmp_path / 'htpasswd'
    users.write_text('alice:%s\nslow:%s\n' % (hashed('correct horse', 12), hashed('slow', 12)))
    with Beside(dynamodb_local.url, place.registry, place.database, HTPASSWD=str(users),
                THREADS='8') as made:
        assert statuses(made, header('alice', 'correct horse')) == [200, 200]
        stop, seen = time.monotonic() + 3, []

        def flood(number):
            with without_proxies() as session:
                while time.monotonic() < stop:
                    seen.append(session.get(made.url + PROTECTED[number % 2],
                                            headers=header('slow', 'wrong-password'),
                                            timeout=30).status_code)

        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            futures = [pool.submit(flood, number) for number in range(24)]
            time.sleep(0.5)
            slowest = 0
            while time.monotonic() < stop - 0.5:
                began = time.monotonic()
                assert made.get('/healthz').status_code == 200
                assert statuses(made, header('alice', 'correct horse')) == [
                    200, 200], 'a password that was right is not computed again'
                slowest = max(slowest, time.monotonic() - began)
            for future in futures:
                future.result()
        assert slowest < 2, slowest
        assert set(seen) <= {401, 503} and 401 in seen


@pytest.mark.parametrize('content', ['alice', 'a line\n', '#ok\nalice:$2y$05$x\nbad'])
def test_a_file_of_another_format_is_refused_by_the_parser(content):
    with pytest.raises(ValueError):
        auth.parse_htpasswd(content.encode())


def test_the_parser_reads_what_the_registry_reads():
    assert auth.parse_htpasswd(b' a:1 \r\n\n#b:2\n  # c:3\nd:4:5\n:6\n\xff:7\na:8') == {
        b'a': b'8', b'd': b'4:5', b'': b'6', b'\xff': b'7'}
    assert auth.parse_htpasswd(b'') == {}
    for usable in ('2a', '2b', '2y'):
        assert auth.is_usable(hashed('x', prefix=usable.encode()).encode())
    for none in (b'', b'$2y$', b'$2y$05$short', b'$2y$99$' + b'.' * 53, b'$apr1$x$y', b'{SHA}x',
                 b'plain', b'\xff' * 60, b'$2y$05$' + b'a' * 60):
        assert not auth.is_usable(none), none
    assert auth.is_usable(auth.nobodys_hash()) and not auth.matches(b'', auth.nobodys_hash())


def test_every_cost_of_the_file_is_computed_whoever_asks(tmp_path, monkeypatch):
    path = tmp_path / 'htpasswd'
    hashes = {name: bcrypt.hashpw(name.encode(), bcrypt.gensalt(cost)) for name,
              cost in (('cheap', 4), ('dear', 6), ('dear-too', 6))}
    path.write_bytes(b''.join(name.encode() + b':' + hashed + b'\n' for name,
                              hashed in hashes.items()))
    users, costs, plain = Users(str(path)), [], auth.matches

    def noting(password, hashed):
        costs.append(auth.cost(hashed))
        return plain(password, hashed)

    monkeypatch.setattr(auth, 'matches', noting)
    for user, password, right in (('cheap', 'cheap', True), ('dear-too', 'dear-too', True),
                                  ('cheap', 'dear', False), ('dear', 'x', False),
                                  ('nobody', 'cheap', False), ('nobody', 'dear', False)):
        del costs[:]
        assert users.may_read(user, password) is right
        assert sorted(costs) == [4, 6], user
