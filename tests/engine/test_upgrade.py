# -*- coding: utf-8 -*-
"""Upgrades: each format of postings has a search table of its own.

The tables of an older release are brought into this format by a load, at the next start, and its
search table stays as it is. What a newer release has written is refused.
"""

from __future__ import unicode_literals

import time
import uuid

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine._compat import monotonic
from docker_registry_index.engine.lifecycle import maintenance
from docker_registry_index.engine.lifecycle.maintenance import Maintenance, next_sync
from docker_registry_index.engine.store import postings, text
from docker_registry_index.engine.store.records import READY_KEY, VERSION_KEY, ReadyMarker
from docker_registry_index.engine.store.tables import create_missing
from tests.helpers.faults import KillAfter, Killed, Meanwhile
from tests.helpers.hooks import taken_back
from tests.helpers.requests_made import RequestsMade
from tests.helpers.names import MANY_WORDS, name_with_postings
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

LONG = name_with_postings(120)
STORED = [('team/web-api', 'the door'), ('team/worker', None), ('Library/Nginx', None),
          (LONG, MANY_WORDS)]
NAMES = sorted(name for name, _ in STORED)
NEWER = postings.FORMAT + 1
HOUR = 3600


def old_items(name, description, old_format):
    """The items of a repository in the search table of release 0.2.0 (format 1) or 0.4.0
    (format 2): a list of names is the witness, and the catalog has no descriptions."""
    found = [postings.to_item(posting) for posting in postings.postings(name, description)]
    witness = {'gram': {'S': '*'}, 'suffix': {'S': name}}
    if description:
        witness['d'] = {'S': description}
    found.append(witness)
    if old_format > 1:
        found.append({'gram': {'S': '/'}, 'suffix': {'S': postings.catalog_key(name)}})
    if text.length(name) > 97:
        for item in found:
            item['v'] = {'N': '1'}
    return found


def old_row(name, description, old_format):
    row = {'name': {'S': name}, 'postings': {'N': str(old_format)},
           'touched': {'N': str(int(time.time()))}}
    if description:
        row.update(description={'S': description}, indexed={'S': description})
    return row


def old_marker(number):
    return dict(READY_KEY, format={'N': str(number)}, number={'S': uuid.uuid4().hex},
                synced={'N': '1500000000'}, tried={'N': '1500000000'}, in_vain={'N': '0'})


class OldRelease(object):
    """The tables that an older release has left, written item by item.

    :param index: an EngineIndex of that release: its settings name the search table.
    """

    def __init__(self, index, old_format):
        self.index = index
        self.old_format = old_format
        create_missing(index.store)
        self.put(index.settings.version_table, VERSION_KEY)
        self.put(index.settings.search_table, old_marker(old_format))
        # What a removal had left, and a description that was still to be read.
        for kind in 'removed ', 'describe ':
            self.put(index.settings.search_table, {
                'gram': {'S': '!'}, 'suffix': {'S': kind + 'team/gone'}, 'number': {'S': 'x'}})
        for name, description in STORED:
            self.add(name, description)

    def put(self, table, item):
        self.index.store.call('put_item', TableName=table, Item=item)

    def add(self, name, description=None):
        settings = self.index.settings
        clean = text.clean_description(description)
        self.put(settings.repository_table, old_row(name, clean, self.old_format))
        self.index.store.batch_write(settings.search_table, [
            {'PutRequest': {'Item': item}} for item in old_items(name, clean, self.old_format)])

    def postings(self):
        return self.index.items(self.index.settings.search_table)


def left_by(endpoint, old_format):
    database = 'test-' + uuid.uuid4().hex[:12]
    return OldRelease(EngineIndex(endpoint, database, search_table=database + '-search'),
                      old_format)


@pytest.fixture(params=[1, 2], ids=['of 0.2.0', 'of 0.4.0'])
def old(request, dynamodb_endpoint):
    made = left_by(dynamodb_endpoint, request.param)
    yield made
    made.index.delete_what_is_left()


@pytest.fixture
def index(old):
    """This release, with the default names of its tables."""
    made = EngineIndex(old.index.settings.endpoint_url, old.index.settings.database)
    assert made.settings.search_table == '%s-search-%d' % (made.settings.database, postings.FORMAT)
    yield made
    made.engine.close()
    made.another().delete_what_is_left()


def found(index):
    """What searches return: everything, a part of a word, a description, a long name."""
    return [sorted(name for name, _ in index.search(term))
            for term in ('', 'ork', 'door', LONG[-3:], 'NGINX', MANY_WORDS[:5])]


FOUND = [NAMES, ['team/worker'], ['team/web-api'], [LONG], ['Library/Nginx'], [LONG]]


def stored(names=NAMES):
    return [(name, None) for name in names]


def marker(index):
    return ReadyMarker.of(index.store.get(index.settings.search_table, READY_KEY))


# A load

def test_a_start_upgrades_by_a_load_and_leaves_the_old_table(old, index):
    before = old.postings()
    assert index.engine.is_ready() is False
    assert index.engine.start(stored) is True
    assert index.engine.ready and index.engine.complete
    assert found(index) == FOUND
    assert dict(index.search('web'))['team/web-api'] == 'the door'
    index.assert_whole()
    assert old.postings() == before
    report = marker(index).report
    assert report['adopted'] == len(STORED) and report['added'] == report['failed'] == 0


def test_what_a_load_of_this_format_ended_is_recorded_in_both_tables(old, index):
    index.ready(stored())
    assert index.store.get(index.settings.version_table, VERSION_KEY) == dict(
        VERSION_KEY, format={'N': str(postings.FORMAT)})
    assert marker(index).format == postings.FORMAT
    made = RequestsMade(index.another().engine)
    assert index.another().engine.is_ready() and made.operations == []


def test_changes_while_the_load_waits_are_in_the_new_table(old, index):
    create_missing(index.store)
    index.engine.add('team/pushed', 'words')
    index.engine.add('team/worker', 'works')
    index.engine.remove('Library/Nginx')
    index.engine.remove(LONG)
    names = ['team/pushed', 'team/web-api', 'team/worker']
    index.ready(stored(names))
    assert sorted(index.names()) == names
    assert index.search('works') == [('team/worker', 'works')]
    index.assert_whole()


def test_what_the_storage_does_not_have_any_more_goes_after_an_hour(old, index, monkeypatch):
    index.ready(stored(NAMES[1:]))
    # Pushed within the hour: it stays for now.
    assert index.names() == NAMES
    index.store.call(
        'update_item', TableName=index.settings.repository_table,
        Key={'name': {'S': NAMES[0]}}, UpdateExpression='SET touched = :long_ago',
        ExpressionAttributeValues={':long_ago': {'N': str(int(time.time()) - 2 * HOUR)}})
    index.engine.sync(lambda: stored(NAMES[1:]))
    assert index.names() == NAMES[1:]
    index.assert_whole()


@pytest.mark.parametrize('is_listed', [True, False], ids=['listed', 'not listed'])
@pytest.mark.parametrize('kind', ['description', 'removal'])
def test_a_change_that_the_older_release_broke_off_is_ended(old, index, kind, is_listed):
    row = old_row(LONG, MANY_WORDS, old.old_format)
    row['writing'] = {'L': [{'S': 'token'}, {'S': MANY_WORDS}, {'S': 'few'}]}
    if kind == 'removal':
        del row['postings']
    old.put(old.index.settings.repository_table, row)
    others = [name for name in NAMES if name != LONG]
    index.ready(stored(NAMES if is_listed else others))
    # A repository that was whole stays, whatever the storage lists; half a removal is ended.
    assert index.names() == (NAMES if is_listed or kind == 'description' else others)
    assert LONG not in index.names() or index.rows()[LONG]['description']['S'] == MANY_WORDS
    index.assert_whole()


def test_an_upgrade_killed_at_any_request_is_ended_by_the_next_start(old, index):
    before = old.postings()
    for count in range(500):
        with taken_back(index.engine):
            KillAfter(index.engine, count)
            try:
                index.ensure_ready(stored)
                break
            except Killed:
                pass
        # Whatever is there already is whole, and nobody takes it for all.
        assert set(row for row in index.rows()) == set(NAMES)
        another = index.another()
        if another.engine.is_ready():
            assert found(another) == FOUND
        forget_lease(index)
    assert count > 10
    index.assert_whole()
    assert found(index) == FOUND and old.postings() == before


@pytest.mark.parametrize('count', range(0, 30, 3))
def test_whoever_starts_after_a_killed_upgrade_ends_it(old, index, count):
    with taken_back(index.engine):
        KillAfter(index.engine, count)
        try:
            index.ensure_ready(stored)
        except Killed:
            pass
    forget_lease(index)
    another = index.another()
    assert another.ensure_ready(stored) is True
    another.assert_whole()
    assert found(another) == FOUND


def forget_lease(index):
    """As if the lease of whoever was killed had run out."""
    index.store.call('update_item', TableName=index.settings.version_table, Key=VERSION_KEY,
                     UpdateExpression='REMOVE lease')


# The older release goes on beside

def test_another_sync_follows_soon_after_rows_were_adopted(old, index):
    index.ready(stored())
    first = marker(index)
    assert first.resync and next_sync(first, 86400) == first.tried + 600
    # A worker of the older release goes on meanwhile.
    old.add('team/web-api', 'another door')
    old.add('team/new', 'by the older release')
    index.engine.sync(lambda: stored(NAMES + ['team/new']))
    assert index.search('another') == [('team/web-api', 'another door')]
    assert index.search('older') == [('team/new', 'by the older release')]
    index.assert_whole()
    second = marker(index)
    assert not second.resync and next_sync(second, 86400) == second.synced + 86400


def test_none_follows_where_nothing_was_adopted(index, dynamodb_endpoint):
    fresh = EngineIndex(dynamodb_endpoint)
    try:
        fresh.ready(STORED)
        made = marker(fresh)
        assert not made.resync and made.report['added'] == len(STORED)
        assert next_sync(made, 86400) == made.synced + 86400
    finally:
        fresh.delete_tables()


def test_a_running_process_makes_that_sync_after_ten_minutes(old, index):
    times = [time.time()]
    loads = []

    def load(heartbeat):
        loads.append(times[0])
        return index.load(stored, heartbeat)

    upkeep = Maintenance(index.store, load, wall_clock=lambda: times[0])
    began = times[0]
    for seconds in (0, 0, 60, 590, 602, 603, 1300, 80000, 87100):
        times[0] = began + seconds
        upkeep.run_once(monotonic())
    assert [int(round(when - began)) for when in loads] == [0, 602, 87100]
    assert upkeep.is_ready and not upkeep.marker.resync


# Another format

def everything(index):
    return [index.items(table) for table in index.tables()]


def refused(index, error):
    """Return the message with which a cold start, a load and a warm start are refused."""
    before = everything(index)
    messages = set()
    for attempt in (lambda: index.ensure_ready(stored),
                    lambda: index.engine.sync(stored),
                    lambda: index.another(
                        search_table=index.settings.search_table).engine.start(stored)):
        with pytest.raises(error) as caught:
            attempt()
        messages.add(str(caught.value))
    assert everything(index) == before
    (message,) = messages
    return message


def test_a_setting_that_leads_to_an_older_table_stops_the_start(old):
    assert refused(old.index, errors.ForeignDatabase) == (
        'table %s holds an index of format %d, of an older release: nothing was changed; name '
        'another database or table in the settings' % (
            old.index.settings.search_table, old.old_format))
    # A start that does not wait, too: nothing is ever searched.
    late = old.index.another(search_table=old.index.settings.search_table)
    assert late.engine.start(stored, 0) is False
    with pytest.raises(errors.ForeignDatabase):
        late.search('web')
    late.engine.close()


NEWER_THAN_OURS = (
    'holds an index of format %d, this release supports %d: nothing was changed; install the '
    'newer release of docker-registry-index-dynamodb, or name another database'
    % (NEWER, postings.FORMAT))


def by_marker(index, number=NEWER):
    """As if a later release had written into the same search table."""
    index.store.call(
        'update_item', TableName=index.settings.search_table, Key=READY_KEY,
        UpdateExpression='SET #format = :number', ExpressionAttributeNames={'#format': 'format'},
        ExpressionAttributeValues={':number': {'N': str(number)}})
    return index.settings.search_table


def by_version_row(index, number=NEWER):
    """As a later release does, which has a search table of its own."""
    index.store.call(
        'update_item', TableName=index.settings.version_table, Key=VERSION_KEY,
        UpdateExpression='SET #format = :number', ExpressionAttributeNames={'#format': 'format'},
        ExpressionAttributeValues={':number': {'N': str(number)}})
    return index.settings.version_table


@pytest.fixture
def ready(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready(STORED)
    yield made
    made.engine.close()
    made.another().delete_what_is_left()


@pytest.mark.parametrize('newer', [by_marker, by_version_row])
def test_what_a_newer_release_has_made_stops_every_start(ready, newer):
    table = newer(ready)
    assert refused(ready, errors.NewerDatabase) == 'table %s %s' % (table, NEWER_THAN_OURS)


def test_so_it_does_where_our_own_table_was_deleted_since(ready):
    table = by_version_row(ready)
    ready.store.call('delete_table', TableName=ready.settings.search_table)
    # Also those that only look: the command line and the master under --preload.
    for look in (lambda: ready.ensure_ready(stored), ready.engine.is_ready,
                 lambda: ready.engine.sync(stored), ready.engine.status().marker):
        with pytest.raises(errors.NewerDatabase) as caught:
            look()
        assert str(caught.value) == 'table %s %s' % (table, NEWER_THAN_OURS)
    with pytest.raises(errors.MissingTable):
        ready.store.call('describe_table', TableName=ready.settings.search_table)


@pytest.mark.parametrize('newer', [by_marker, by_version_row])
def test_a_start_that_does_not_wait_never_searches_it(ready, newer):
    newer(ready)
    late = ready.another()
    assert late.engine.start(stored, 0) is False
    with pytest.raises(errors.NewerDatabase):
        late.search('web')
    with pytest.raises(errors.NewerDatabase):
        late.engine.catalog()
    late.engine.close()


def test_a_running_process_checks_every_minute():
    assert maintenance._CHECK_EVERY == 60


@pytest.mark.parametrize('newer', [by_marker, by_version_row])
def test_a_running_process_refuses_searches_until_it_is_given_back(ready, newer, monkeypatch):
    monkeypatch.setattr(maintenance, '_CHECK_EVERY', 0.1)
    assert ready.engine.start(stored) is True
    assert len(ready.search('')) == len(STORED)
    newer(ready)
    wait_until(lambda: is_refused(ready))
    with pytest.raises(errors.NewerDatabase):
        ready.engine.catalog()
    assert not ready.engine.ready
    newer(ready, postings.FORMAT)
    wait_until(lambda: not is_refused(ready))
    assert len(ready.search('')) == len(STORED) and ready.engine.ready


def is_refused(index):
    try:
        index.search('')
    except errors.NewerDatabase:
        return True
    return False


@pytest.mark.parametrize('newer', [by_marker, by_version_row])
def test_whoever_gets_the_lease_after_a_newer_release_does_not_load(ready, newer):
    def refuse():
        raise AssertionError('the storage is listed')

    # The request that takes the lease.
    Meanwhile(ready.engine, 'UpdateItem', lambda: newer(ready.another()))
    with pytest.raises(errors.NewerDatabase):
        ready.engine.sync(refuse)
    assert 'lease' not in ready.store.get(ready.settings.version_table, VERSION_KEY)
