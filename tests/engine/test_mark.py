"""The mark that an index is ready, and when a sync is due."""

from __future__ import unicode_literals

from docker_registry_index.engine.store.ready_marker import KEY, Mark
from docker_registry_index.engine.sync.report import LoadReport

WHOLE = LoadReport(5, 1, 0, 0, 0, 0, 4, 0, (), 1.5)
PART = WHOLE._replace(unreadable=('team',))


def test_it_comes_back_as_it_was_put():
    for report in WHOLE, PART:
        mark = Mark.none().after(report, 1, 'number', 1000)
        action = mark.put('table')
        assert action['Put']['TableName'] == 'table'
        item = action['Put']['Item']
        assert {name: item[name] for name in KEY} == KEY
        assert Mark.of(item) == mark
        assert mark.report['found'] == 5


def test_no_item_and_items_that_are_none_are_no_mark():
    assert Mark.of(None) is None
    assert Mark.of({}) is None
    assert Mark.of(dict(KEY)) is None


def test_the_mark_of_a_release_without_syncs_is_due_at_once():
    mark = Mark.of(dict(KEY, format={'N': '1'}, number={'S': 'x'}))
    assert mark == Mark(1, 'x', None, None, None)
    assert mark.due(86400, 600) == 0


def test_after_a_complete_load_it_is_due_after_the_interval():
    mark = Mark.none().after(WHOLE, 1, 'number', 1000)
    assert mark.due(86400, 600) == 1000 + 86400


def test_after_one_that_was_not_complete_it_is_due_soon():
    first = Mark.none().after(PART, 1, 'number', 1000)
    assert first.synced is None and first.due(86400, 600) == 1600
    complete = first.after(WHOLE, 1, 'number', 2000)
    later = complete.after(PART, 1, 'number', 3000)
    assert later.synced == 2000 and later.due(86400, 600) == 3600
    assert later.due(60, 600) == 3060


def test_each_further_one_that_is_not_complete_doubles_the_pause():
    mark, pauses = Mark.none(), []
    for _ in range(40):
        mark = mark.after(PART, 1, 'number', 1000)
        # It is kept with the mark: processes come and go.
        mark = Mark.of(mark.put('table')['Put']['Item'])
        pauses.append(mark.due(7200, 600) - 1000)
    assert pauses[:5] == [600, 1200, 2400, 4800, 7200]
    assert set(pauses[4:]) == {7200}
    # A day at the most.
    assert mark.due(10 ** 7, 600) == 1000 + 86400
    mark = mark.after(WHOLE, 1, 'number', 2000).after(PART, 1, 'number', 3000)
    assert mark.due(7200, 600) == 3600


def test_of_very_many_unreadable_namespaces_some_are_kept():
    report = PART._replace(unreadable=tuple('n%d' % number
                                            for number in range(1000)))
    mark = Mark.none().after(report, 1, 'number', 1000)
    assert len(mark.report['unreadable']) == 20
