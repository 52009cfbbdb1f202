"""Upgrades: each format of postings has a search table of its own.

The tables of an older release are brought into this format by a load, at the next start, and its
search table stays as it is. What a newer release has written is refused."""
from __future__ import unicode_literals

import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.maintenance import next_sync
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import READY_KEY, VERSION_KEY, ReadyMarker
from docker_registry_index.engine.store.tables import create_missing
from tests.helpers.faults import Meanwhile, killed_at_each
from tests.helpers.names import many_words, name_with_postings
from tests.helpers.storage import refuse_to_list
from tests.helpers.waiting import wait_until

WORDS = many_words(4)
#: Of several transactions, because of `short_transactions`.
LONG = name_with_postings(12)
STORED = [('t/web', 'The front end'), ('t/worker', ''), ('L/Nginx', ''), (LONG, WORDS)]
NAMES = sorted(name for name, _ in STORED)
NEWER = postings.FORMAT + 1
pytestmark = pytest.mark.usefixtures('short_transactions')


def put(index, table, item):
    index.store.call('put_item', TableName=table, Item=item)


def write_row(index, name, description, old_format=2, **more):
    """Write a row as an older release does; without a format, as during a long removal."""
    row = {'name': {'S': name}, 'touched': {'N': str(int(time.time()))}}
    if old_format:
        row['postings'] = {'N': str(old_format)}
    if description:
        row.update(description={'S': description}, indexed={'S': description})
    put(index, index.settings.repository_table, dict(row, **more))


def write_tables(index, old_format=2):
    """Write the tables as release 0.2.0 (format 1), 0.4.0 (format 2) or its successor (format 3)
    has left them, also over what an upgrade made of them. Of its search table, which an upgrade
    never reads, write the ready marker and one posting.

    :param index: an EngineIndex of that release: its settings name the search table."""
    create_missing(index.store)
    put(index, index.settings.version_table, VERSION_KEY if old_format < 3 else dict(
        VERSION_KEY, format={'N': str(old_format)}))
    put(index, index.settings.search_table, dict(
        READY_KEY, format={'N': str(old_format)}, number={'S': 'x'}, synced={'N': '1500000000'},
        tried={'N': '1500000000'}, in_vain={'N': '0'}))
    put(index, index.settings.search_table, {'gram': {'S': 'sw'}, 'suffix': {'S': 'web\x01t/'}})
    for name, description in STORED:
        write_row(index, name, description, old_format)


@pytest.fixture
def index(first):
    """This release, with the default names of its tables."""
    assert first.settings.search_table == '%s-search-%d' % (
        first.settings.database, postings.FORMAT)
    return first


@pytest.fixture(scope='module')
def old_engines(three_engines):
    """Engines on the search tables of older releases: before format 3, and of format 3."""
    return [three_engines[0].another(search_table=three_engines[0].settings.database + ending)
            for ending in ('-search', '-search-3')]


@pytest.fixture
def old(request, old_engines, processes):
    """The tables of release 0.4.0, or of the format that a test sets."""
    old_format = getattr(request, 'param', 2)
    made = old_engines[old_format == 3]
    write_tables(made, old_format)
    yield made
    made.delete_tables()


def found(index):
    """Return what searches find: everything, a part of a word, a description, a long name."""
    return [sorted(name for name, _ in index.search(term))
            for term in ('', 'ork', 'front', LONG[-3:], 'NGINX', WORDS[:5])]


FOUND = [NAMES, ['t/worker'], ['t/web'], [LONG], ['L/Nginx'], [LONG]]


def stored(names=NAMES):
    return [(name, None) for name in names]


def marker(index):
    return ReadyMarker.of(index.store.get(index.settings.search_table, READY_KEY))


@pytest.mark.parametrize('old', [1, 2, 3], ids=['of 0.2.0', 'of 0.4.0', '3'], indirect=True)
def test_a_start_upgrades_by_one_load_and_leaves_the_old_table(old, index, caplog):
    caplog.set_level('INFO')
    before = old.items(old.settings.search_table)
    assert index.engine.is_ready() is False
    assert index.engine.start(stored) is True
    assert caplog.text.count('loaded the search index in') == 1
    assert index.engine.ready and index.engine.complete
    assert found(index) == FOUND
    assert dict(index.search('web'))['t/web'] == 'The front end'
    index.assert_whole()
    assert old.items(old.settings.search_table) == before
    report = marker(index).report
    assert report['adopted'] == len(STORED) and report['added'] == report['failed'] == 0
    assert marker(index).format == postings.FORMAT
    assert index.store.get(index.settings.version_table, VERSION_KEY) == dict(
        VERSION_KEY, format={'N': str(postings.FORMAT)})


def test_changes_before_the_load_are_in_the_new_table(old, index):
    create_missing(index.store)
    index.engine.add('t/pushed', 'words')
    index.engine.add('t/worker', 'works')
    index.engine.remove('L/Nginx')
    index.engine.remove(LONG)
    names = ['t/pushed', 't/web', 't/worker']
    index.ready(stored(names))
    assert index.assert_whole() == names
    assert index.search('works') == [('t/worker', 'works')]


@pytest.mark.parametrize('name, kind, is_listed', [
    (LONG, 'description', False), (LONG, 'removal', False), (LONG, 'removal', True),
    # Its postings of the older format were more than fit into one transaction.
    ('t/web', 'description', True)])
def test_a_change_that_the_older_release_did_not_finish_is_finished(
        old, index, name, kind, is_listed):
    words = dict(STORED)[name]
    write_row(old, name, words, None if kind == 'removal' else 2,
              writing={'L': [{'S': 'token'}, {'S': words}]})
    others = [other for other in NAMES if other != name]
    index.ready(stored(NAMES if is_listed else others))
    # A repository that was whole stays, whatever the storage lists; half a removal is finished.
    assert index.assert_whole() == (NAMES if is_listed or kind == 'description' else others)
    assert name not in index.names() or index.rows()[name]['description']['S'] == words


@pytest.mark.parametrize('old', [2, 3], ids=['of 0.4.0', '3'], indirect=True)
def test_an_upgrade_killed_at_any_request_is_completed_by_the_next_start(old, index, second):
    old_format = int(old.rows()['t/web']['postings']['N'])
    before = old.items(old.settings.search_table)
    for count in killed_at_each(index, lambda: index.ensure_ready(stored), every=24):
        # Nothing is lost, and an incomplete index is not called ready.
        assert set(index.rows()) == set(NAMES)
        if second.engine.is_ready():
            assert found(second) == FOUND
        assert second.take_over(stored) is True
        second.assert_whole()
        assert found(second) == FOUND and old.items(old.settings.search_table) == before
        second.store.call('delete_table', TableName=second.settings.search_table)
        write_tables(old, old_format)
    assert count > 10
    assert found(index) == FOUND


def test_another_sync_follows_soon_after_rows_were_adopted(old, index, caplog):
    caplog.set_level('INFO')
    index.ready(stored())
    assert caplog.text.count('delete the search table of that release') == 1
    first = marker(index)
    assert first.resync and next_sync(first, 86400) == first.tried + 600
    # A worker of the older release goes on meanwhile. Its sync writes its own format into rows.
    write_row(old, LONG, WORDS)
    write_row(old, 't/worker', '')
    assert found(index) == FOUND
    write_row(old, 't/web', 'another door')
    write_row(old, 't/new', 'by the older release')
    index.engine.sync(lambda: stored(NAMES + ['t/new']))
    assert index.search('another') == [('t/web', 'another door')]
    assert index.search('older') == [('t/new', 'by the older release')]
    index.assert_whole()
    second = marker(index)
    assert not second.resync and next_sync(second, 86400) == second.synced + 86400


def test_a_load_that_adopted_no_row_is_followed_by_none(index, caplog):
    caplog.set_level('INFO')
    made = marker(index.ready(STORED))
    assert 'the search table of that release' not in caplog.text
    assert not made.resync and made.report['added'] == len(STORED)


def refused(index, starting, error):
    """Return the message that refuses a cold start, a sync and a warm start, and then searches."""
    tables, messages = index.tables(), set()
    before = [index.items(table) for table in tables]
    for attempt in (lambda: index.ensure_ready(stored), lambda: index.engine.sync(stored),
                    lambda: starting.engine.start(stored)):
        with pytest.raises(error) as caught:
            attempt()
        messages.add(str(caught.value))
    assert [index.items(table) for table in tables] == before
    # A start that does not wait leaves nothing to search either.
    try:
        assert starting.engine.start(stored, 0) is False
    except error:
        # The first check was faster than the start.
        pass
    for search in starting.engine.search, starting.engine.catalog:
        with pytest.raises(error):
            search('')
    starting.engine.close()
    (message,) = messages
    return message


def test_a_setting_that_names_an_older_table_stops_the_start(old):
    table = old.settings.search_table
    assert refused(old, old.another(search_table=table), errors.ForeignDatabase) == (
        'table %s holds an index of format 2, of an older release; nothing was changed; name '
        'another database or table in the settings' % table)


NEWER_THAN_OURS = (
    'holds an index of format %d, but this release supports only format %d; nothing was changed; '
    'install the newer release of docker-registry-index-dynamodb, or name another database'
    % (NEWER, postings.FORMAT))


def by_marker(index, number=NEWER):
    """Write the format as a later release that uses the same search table does."""
    index.write_format(number)
    return index.settings.search_table


def by_version_row(index, number=NEWER):
    """Write the format as a later release with a search table of its own does."""
    index.change_item(index.settings.version_table, VERSION_KEY, format={'N': str(number)})
    return index.settings.version_table


each_newer = pytest.mark.parametrize('newer', [by_marker, by_version_row])


@pytest.fixture
def ready(index):
    return index.ready(STORED[:1])


@each_newer
def test_what_a_newer_release_has_made_stops_every_start_and_is_never_searched(
        ready, second, newer):
    message = 'table %s %s' % (newer(ready), NEWER_THAN_OURS)
    assert refused(ready, second, errors.NewerDatabase) == message
    # The same if the other table was deleted.
    lost = ready.tables()[1 if newer is by_marker else 2]
    ready.store.call('delete_table', TableName=lost)
    attempts = [lambda: ready.ensure_ready(stored), lambda: ready.engine.sync(stored)]
    if newer is by_version_row:
        # Also in the command line and in the master under --preload, which only read.
        attempts += [ready.engine.is_ready, ready.engine.status().marker]
    for attempt in attempts:
        with pytest.raises(errors.NewerDatabase, match=message):
            attempt()
    with pytest.raises(errors.MissingTable):
        ready.items(lost)


@each_newer
def test_a_running_process_refuses_searches_until_the_index_is_given_back(ready, newer):
    def is_refused():
        # The check of each minute is made at once.
        ready.engine._maintenance._loop.wake()
        try:
            ready.search('')
        except errors.NewerDatabase:
            return True
        return False

    assert ready.engine.start(lambda: STORED[:1]) is True
    assert is_refused() is False
    newer(ready)
    wait_until(is_refused)
    with pytest.raises(errors.NewerDatabase):
        ready.engine.catalog()
    assert not ready.engine.ready
    # Pushes go on, and the newer release's next load finds them.
    assert ready.engine.apply_change('t/pushed', True) is True
    newer(ready, postings.FORMAT)
    wait_until(lambda: not is_refused())
    assert len(ready.search('')) == 2 and ready.engine.ready


@each_newer
def test_a_process_that_takes_the_lease_after_a_newer_release_does_not_load(ready, second, newer):
    # The request that takes the lease.
    Meanwhile(ready.engine, 'UpdateItem', lambda: newer(second))
    with pytest.raises(errors.NewerDatabase):
        ready.engine.sync(refuse_to_list)
    assert 'lease' not in ready.store.get(ready.settings.version_table, VERSION_KEY)
