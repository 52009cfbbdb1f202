"""Names that docker-registry accepts, though docker would not send them, and what a registry finds
after it was restarted or its tables were deleted."""
import functools
import random

from tests.contract import oracle
from tests.end_to_end.plugin.registry_place import LOADED
from tests.helpers.waiting import in_threads

ODD = ['library/c++', 'team/c++', 'team/a+b', 'team/with space', 'te am/x', 't+m/x', 'team/100%',
       'team/%41', 'team/a%2Fb', 'team/%252B', 'MixedCase/Name', 'a/b/c', 'a/b/c/d-e',
       'team/x.y_z-1', 'team/a?b', 'team/a#b', 'team/a:b', 'team/a&b=c', 'team/"quoted"',
       "team/it's", 'team/a\\b', 'team/~tilde', 'team/*', 'team/' + 'x' * 100]
NOT_IN_THE_INDEX = ['team/' + 'x' * 251, 'team/\x1b[31m', 'team/\x00']
#: docker-registry's own urllib.quote_plus answers 500 to names beyond ASCII.
REFUSED = ['team/%C3%A4', 't%C3%ABam/x', 'team/%E6%97%A5', 'team/%ff', 'team/a%0ab']


def parts_of(names):
    """Return parts of names, in capital and small letters."""
    chance = random.Random(1976)
    for name in names:
        yield name
        yield name.split('/', 1)[1].upper()
        start = chance.randrange(len(name))
        yield name[start:start + chance.randint(1, 12)]


def test_odd_names_are_found_as_they_were_pushed_also_after_a_restart_and_a_load(place_on_each):
    place, repositories = place_on_each, dict.fromkeys(ODD + ['acme/kept'])
    place.put('acme/kept', 'acme/deleted')
    place.never_logged = 'the search index missed'

    def assert_found(client, term=''):
        assert client.names(term) == [name for name, _ in oracle.answer(repositories, term)], term

    with place.running() as client:
        in_threads([functools.partial(client.begin_push, name)
                    for name in ODD + NOT_IN_THE_INDEX])()
        client.delete('acme/deleted')
        for path in REFUSED:
            status = client.request('PUT', '/v1/repositories/%s/' % path, json=[]).status_code
            assert status in (404, 500), path
        assert_found(client)
        for term in parts_of(ODD):
            assert_found(client, term)
        warnings = [line for line in client.registry.log_text().splitlines()
                    if 'WARNING: a repository is left out of the search index' in line]
        assert len(warnings) == len(NOT_IN_THE_INDEX) and '\x1b' not in ''.join(warnings)
    with place.running() as client:
        assert_found(client)
        assert LOADED not in client.registry.log_text()
    place.drop('repository', 'version', 'search')
    place.put('acme/restored-from-a-backup')
    repositories['acme/restored-from-a-backup'] = None
    with place.running() as client:
        assert_found(client)
        assert client.registry.log_text().count(LOADED) == 1
        for name in repositories:
            client.delete(name)
        assert client.names() == place.names() == []
    assert place.tables() == ['repository', 'version', 'search']
