"""Repositories with names that the registry accepts though docker would not send them."""
import concurrent.futures

import pytest

from tests.end_to_end.plugin.registry_place import Place

ODD = ['library/c++', 'team/c++', 'team/a+b', 'team/with space', 'te am/x', 't+m/x', 'team/100%',
       'team/%41', 'team/a%2Fb', 'team/%252B', 'MixedCase/Name', 'a/b/c', 'a/b/c/d-e',
       'team/x.y_z-1', 'team/a?b', 'team/a#b', 'team/a:b', 'team/a&b=c', 'team/"quoted"',
       "team/it's", 'team/a\\b', 'team/~tilde', 'team/*', 'team/' + 'x' * 100,]
NOT_IN_THE_INDEX = ['team/' + 'x' * 251, 'team/\x1b[31m']


@pytest.fixture(scope='module')
def place(ministack):
    return Place(ministack.url, ministack.url)


@pytest.fixture(scope='module')
def pushed(place):
    """A registry to which all of these were pushed: its client."""
    with place.running() as client:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(client.begin_push, ODD + NOT_IN_THE_INDEX))
        yield client


@pytest.mark.parametrize('name', ODD, ids=lambda name: name[:20])
def test_a_pushed_name_is_found_as_it_was_pushed(pushed, name):
    assert name in pushed.names(name)
    assert name in pushed.names(name.split('/', 1)[1].upper())


def test_no_other_names_are_found(pushed):
    assert pushed.names() == sorted(ODD)


def test_a_name_that_the_index_cannot_hold_is_pushed_and_warned_about(pushed):
    warnings = [line for line in pushed.registry.log_text().splitlines()
                if 'WARNING: a repository is left out of the search index' in line]
    assert len(warnings) == len(NOT_IN_THE_INDEX)
    assert '\x1b' not in ''.join(warnings)


@pytest.mark.parametrize('path', ['team/%C3%A4', 't%C3%ABam/x', 'team/%E6%97%A5', 'team/%ff',
                                  'team/a%0ab', 'team/%00'])
def test_a_name_that_the_registry_itself_fails_on_leaves_nothing_in_the_index(pushed, path):
    """docker-registry answers 500 to names beyond ASCII, from its own urllib.quote_plus; none of it
    comes from the index."""
    before = pushed.names()
    length = len(pushed.registry.log_text())
    answer = pushed.request('PUT', '/v1/repositories/%s/' % path, json=[])
    added = pushed.registry.log_text()[length:]
    assert answer.status_code in (200, 404, 500)
    assert 'docker_registry_index' not in added and 'search index missed' not in added, added
    if answer.status_code != 200:
        assert pushed.names() == before


def test_a_load_from_S3_gives_the_same_names_as_the_pushes_gave_and_all_can_be_deleted(
        pushed, place):
    before = pushed.names()
    place.drop('repository', 'version', 'search')
    with place.running() as client:
        assert client.names() == before
        for name in before:
            client.delete(name)
        assert client.names() == []
