"""A new format of postings: an index is brought into it by a load, whole after any crash, while searches read the old one."""

from __future__ import unicode_literals

import contextlib

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.store import formats, postings
from tests.engine.faults import KillAfter, Killed, Meanwhile
from tests.engine.hooks import taken_back
from tests.engine.requests_made import RequestsMade
from tests.engine.test_changes import delete_as_0_1_0
from tests.engine.test_parts import name_of
from tests.engine.test_takeover import put_as_0_1_0
from tests.engine_index import EngineIndex

OF_SECOND = {'s': 'S', 'i': 'I', 'd': 'D', '/': '|'}
OF_FIRST = {second: first for first, second in OF_SECOND.items()}


def second_postings(name, description=''):
    return [each._replace(gram=OF_SECOND[each.gram[0]] + each.gram[1:]) for each in postings.postings(name, description)]


def second_name_of(gram, suffix, spelled=None):
    gram = '*' if gram == '+' else OF_FIRST[gram[0]] + gram[1:]
    return postings.name_of(gram, suffix, spelled)


def second_range_of(kind, word):
    found = postings.range_of(OF_FIRST[kind], word)
    return found._replace(gram=kind + found.gram[1:])


OLD = formats.SUFFIXES.number
NEW = OLD + 1
#: What a later release might do, without what would make it worth while.
SECOND = formats.Format(
    NEW, 'postings2', 'indexed2', 'writing2', '+', '|', ('S', 'I', 'D'), second_postings, second_name_of, second_range_of, postings.catalog_key)

LONG = name_of(120)
STORED = [('team/web-api', 'the door'), ('team/worker', None), ('library/nginx', None), (LONG, None)]
NAMES = sorted(name for name, _ in STORED)


@contextlib.contextmanager
def release(number):
    """What is made within is of the release whose format has this number."""
    before = formats.KNOWN, formats.CURRENT
    formats.KNOWN = {OLD: formats.SUFFIXES} if number == OLD else {OLD: formats.SUFFIXES, NEW: SECOND}
    formats.CURRENT = formats.KNOWN[number]
    try:
        yield
    finally:
        formats.KNOWN, formats.CURRENT = before


@pytest.fixture
def old(dynamodb_endpoint):
    """An index that the older release has made."""
    with release(OLD):
        made = EngineIndex(dynamodb_endpoint).ready(STORED)
        made.engine.sync(lambda: STORED)
    yield made
    made.delete_tables()


@pytest.fixture
def new(old):
    """The newer release, before it has loaded anything, which has looked."""
    with release(NEW):
        made = old.another(startup_wait=1)
        assert made.engine.is_ready() is False
        yield made


def old_format_of(index):
    return [item for item in index.postings() if formats.SUFFIXES.owns(item['gram']['S'])]


def found(index):
    """What searches tell, of everything, of a part of a word, of descriptions and of a long name."""
    return [sorted(name for name, _ in index.search(term)) for term in ('', 'ork', 'door', LONG[-3:])]


def settle(index, stored=STORED):
    """Load until the older format is gone."""
    for _ in range(3):
        index.engine.sync(lambda: stored)
    index.assert_whole(SECOND)
    assert [row for row in index.rows().values() if set(row) & set(formats.SUFFIXES.attributes)] == []


def test_the_formats_of_this_release_share_nothing():
    for known in [list(formats.KNOWN.values()), [formats.SUFFIXES, SECOND]]:
        attributes = [attribute for each in known for attribute in each.attributes]
        starts = [start for each in known for start in (each.listed, each.catalog) + each.classes]
        assert len(set(attributes)) == len(attributes) and len(set(starts)) == len(starts) and '!' not in starts
    assert formats.KNOWN[formats.CURRENT.number] is formats.CURRENT and max(formats.KNOWN) == formats.CURRENT.number


def test_searches_go_on_from_the_old_postings_until_the_load_ends(old, new):
    before = found(old)
    assert found(new) == before and before[0] == NAMES and before[3] == [LONG]
    seen = []

    def source():
        seen.append(found(new))
        return STORED

    assert new.engine.ensure_ready(source) is True
    seen.append(found(new))
    assert seen == [before, before]
    new.assert_whole(SECOND, alone=False)
    assert new.engine.is_ready()


def test_the_old_postings_go_with_a_load_after_the_next_complete_one(new):
    new.engine.ensure_ready(lambda: STORED)
    assert old_format_of(new)
    new.engine.sync(lambda: STORED)
    assert old_format_of(new), 'others may not have noticed yet'
    new.engine.sync(lambda: STORED)
    assert old_format_of(new) == []
    settle(new)


def test_a_load_comes_soon_after_the_format_has_changed(new):
    new.engine.ensure_ready(lambda: STORED)
    mark = new.engine.status().mark()
    assert mark.format == NEW and mark.synced is None and mark.due(86400, 600) == mark.tried + 600


def test_once_it_is_settled_a_change_costs_what_it_did(new):
    settle(new)
    made = RequestsMade(new.engine)
    new.engine.add('team/new')
    new.engine.remove('team/new')
    new.search('new', 25)
    assert made.operations[:4] == ['GetItem', 'TransactWriteItems'] * 2 and set(made.operations[4:]) == {'Query'}


def test_pushes_and_deletes_before_the_load_are_found_in_either_format(old, new):
    new.engine.add('team/pushed', 'words')
    new.engine.add('team/worker', 'works')
    new.engine.remove('library/nginx')
    new.engine.remove(LONG)
    expected = sorted(set(NAMES) - {LONG, 'library/nginx'} | {'team/pushed'})
    assert [name for name, _ in new.search('')] == expected == [name for name, _ in old.search('')]
    assert new.search('words') == [('team/pushed', 'words')] == old.search('words')
    new.assert_whole(formats.SUFFIXES, alone=False)
    stored = [(name, None) for name in expected]
    new.engine.ensure_ready(lambda: stored)
    assert [name for name, _ in new.search('')] == expected
    assert new.search('words') == [('team/pushed', 'words')] and new.search('works') == [('team/worker', 'works')]
    settle(new, stored)


@pytest.mark.parametrize('name', ['team/pushed', name_of(130)], ids=['short', 'long'])
def test_what_the_older_release_writes_beside_is_found_by_the_next_load(old, new, name):
    new.engine.ensure_ready(lambda: STORED)
    with release(OLD):
        old.engine.add(name, 'words')
        old.engine.add('team/web-api', 'another door')
        old.engine.remove('library/nginx')
        old.engine.remove(LONG)
    put_as_0_1_0(old, 'team/oldest')
    delete_as_0_1_0(old, 'team/worker')
    stored = [('team/web-api', None), (name, None), ('team/oldest', None)]
    new.engine.sync(lambda: stored)
    new.assert_whole(SECOND, alone=False)
    assert [each for each, _ in new.search('')] == sorted(each for each, _ in stored)
    assert new.search('another') == [('team/web-api', 'another door')]
    settle(new, stored)


def test_a_load_that_could_not_write_everything_leaves_searches_with_the_old_postings(old, new, monkeypatch):
    from docker_registry_index.engine.write.writer import Writer
    change = Writer.change

    def refused(self, name, *arguments, **named):
        if name == 'team/worker':
            raise errors.ChangeConflict(name, 8)
        return change(self, name, *arguments, **named)

    monkeypatch.setattr(Writer, 'change', refused)
    monkeypatch.setattr(Writer, 'write_together', lambda *_: False)
    before = found(old)
    report = new.engine.sync(lambda: STORED)
    assert report.failed == 1 and not new.engine.is_ready()
    assert found(new) == before
    monkeypatch.undo()
    formats.KNOWN, formats.CURRENT = {OLD: formats.SUFFIXES, NEW: SECOND}, SECOND
    new.engine.ensure_ready(lambda: STORED)
    assert new.engine.is_ready() and found(new) == before


def test_the_older_release_does_not_start_on_what_the_newer_one_has_made(old, new):
    new.engine.ensure_ready(lambda: STORED)
    with release(OLD):
        late = old.another()
        before = [late.items(table) for table in late.tables()]
        with pytest.raises(errors.NewerDatabase) as caught:
            late.engine.ensure_ready(lambda: [])
    assert 'format 2' in str(caught.value) or '2' in str(caught.value)
    assert [late.items(table) for table in late.tables()] == before


def test_killed_at_any_request_of_the_load_the_next_one_makes_it_whole(old, new):
    before = found(old)
    for count in range(500):
        with taken_back(new.engine):
            KillAfter(new.engine, count)
            try:
                new.engine.load(lambda: STORED)
                break
            except Killed:
                pass
        # Whoever reads, reads all of it.
        assert found(old) == before
        if count % 5 == 4:
            new.engine.load(lambda: STORED)
            new.assert_whole(SECOND, alone=False)
            with release(NEW):
                from docker_registry_index.engine.write.writer import Writer
                for name in NAMES:
                    Writer(new.engine.client, new.engine._tables, format=SECOND).withdraw(name)
    assert count > 5
    new.assert_whole(SECOND, alone=False)


CHANGES = {
    'push': lambda index: index.engine.add('team/pushed', 'words'),
    'push of a long name': lambda index: index.engine.add(name_of(140), 'words'),
    'description': lambda index: index.engine.add(LONG, 'words'),
    'delete': lambda index: index.engine.remove('team/web-api'),
    'delete of a long name': lambda index: index.engine.remove(LONG)}


@pytest.mark.parametrize('kind', sorted(CHANGES))
def test_a_change_killed_at_any_request_is_mended_by_loads(new, kind):
    change = CHANGES[kind]
    count = 0
    while True:
        with taken_back(new.engine):
            KillAfter(new.engine, count)
            try:
                change(new)
                break
            except Killed:
                count += 1
        # Once more, by a process that lives, and back to where it was.
        change(new)
        new.assert_whole(formats.SUFFIXES, alone=False)
        for name in set(new.rows()) - set(NAMES):
            new.engine.remove(name)
        for name, description in STORED:
            new.engine.add(name, description or '')
        new.assert_whole(formats.SUFFIXES, alone=False)
    assert count >= 3
    new.assert_whole(formats.SUFFIXES, alone=False)
    stored = [(name, None) for name in new.rows()]
    new.engine.ensure_ready(lambda: stored)
    settle(new, stored)


@pytest.mark.parametrize('name', ['team/web-api', LONG], ids=['short', 'long'])
@pytest.mark.parametrize('operation', ['GetItem', 'TransactWriteItems'])
def test_a_delete_meets_a_push_of_the_older_release(old, new, name, operation):
    def sneak():
        with release(OLD):
            old.engine.add(name, 'sneaked in')

    Meanwhile(new.engine, operation, sneak)
    new.engine.remove(name)
    assert name not in new.rows()
    new.assert_whole(formats.SUFFIXES, alone=False)
    assert [each for each, _ in old.search('')] == sorted(set(NAMES) - {name})


def test_check_and_status_look_at_what_searches_read(old, new):
    assert list(new.engine.checker().check()) == []
    status = new.engine.status()
    names, rows, sample = status.counts()
    assert (names, rows) == (4, 4) and status.drift(sample)[2] == {}
    new.engine.ensure_ready(lambda: STORED)
    assert list(new.engine.checker(lambda: STORED).check()) == []
    status = new.engine.status()
    assert status.counts()[:2] == (4, 4) and status.drift(status.counts()[2])[2] == {}
