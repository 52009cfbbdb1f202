"""docs/performance.md and its charts are generated from benchmarks/results.json, and the programs
that measure count what the engine does."""
import copy
import json
import xml.etree.ElementTree as tree

import pytest

from benchmarks import calculated, charts, meter, page, results as results_module, words
from benchmarks.names import names
from benchmarks.operations import operations
from benchmarks.results import Results
from docker_registry_index.engine import SearchIndex


def test_the_page_and_its_charts_agree_with_the_results():
    assert page.stale() == []


def test_other_results_give_other_tables_and_charts():
    results = copy.deepcopy(Results.read())
    for measured in results['searches'].values():
        for run in measured['times'].values():
            run['rare word'] = {way: 2 * value for way, value in run['rare word'].items()}
            run['rare word']['this index'] /= 3
        measured['exact']['rare word']['this index'].update(read=9, items=9)
    # The dearest search is in the table of limits.
    assert set(page.stale(results)) == {'docs/performance.md: %s' % name for name in (
        'units', 'requests', 'ratios', 'milliseconds', 'limits')} | {
            'docs/performance/%s' % name for name in ('searches.svg', 'searches-network.svg')}


def test_a_chart_is_well_formed_and_has_a_point_for_each_value():
    drawn = charts.panels('a < b', {panel: {'x': {10: 0.5, 100: 50}, 'y': {10: 1}}
                                    for panel in ('one', 'two', 'three')}, columns=2)
    found = tree.fromstring(drawn)
    circles = [each for each in found if each.tag.endswith('circle')]
    assert [float(each.get('cx')) for each in circles[:2]] == [50, 230]
    assert len(circles) == 9 and 'a &lt; b' in drawn


def test_a_longer_list_of_names_begins_with_the_shorter_one_and_has_no_name_twice():
    many = names(3000)
    assert many[:1000] == names(1000) and len(set(many)) == 3000


@pytest.fixture(scope='module')
def database(in_process_dynamodb):
    """The endpoint and the database of an index of 40 names."""
    database = 'measured'
    SearchIndex(meter.index_settings(in_process_dynamodb.url, database)).sync(
        lambda: [(name, None) for name in names(40)])
    return in_process_dynamodb.url, database


def test_operations_are_counted_as_they_are_billed(database):
    found = {what: (requests, counts['read'], counts['write'], counts['items'])
             for what, requests, counts in operations(*database)}
    name = 'acme/checkout-service-eu'
    # A posting for each character but those of which an earlier one has the same or a longer rest.
    push = found['the first push of `%s`' % name]
    assert push == ('GetItem, TransactWriteItems', 1, push[2], 0) and 40 < push[2] <= 52
    assert found['another push of it'] == ('GetItem', 1, 0, 1)
    assert found['a push after half an hour'] == ('GetItem, UpdateItem', 1, 1, 1)
    assert found['a delete'][2] > push[2]
    assert found['a start of a worker, and each check'][:3] == ('BatchGetItem', 3, 0)
    assert found['a page of 100 names of the catalog'][0::3] == ('Query', 40)


def test_words_of_one_name_find_it_in_a_complete_search(database):
    found = words.completeness(*database, names(40), 5)
    assert found['two words of one name'] == {'complete': 1, 'found': 1}
    assert found['a word each of two names']['found'] < 1 and set(found) == set(words.KINDS)


def test_a_slow_function_is_called_in_each_tenth_round_only():
    now, calls = [0], []

    def taking(seconds):
        def function():
            now[0] += seconds
            calls.append(seconds)
        return function

    times = meter.in_turns({'slow': taking(1), 'fast': taking(0.01)}, 3.5, lambda: now[0])
    assert len(times['slow']) == 4
    assert 30 < len(times['fast']) <= 41 and meter.percentile(list(range(100)), 0.99) == 99


def test_results_of_another_machine_are_dropped_and_floats_are_rounded(tmp_path, monkeypatch):
    monkeypatch.setattr(results_module, 'PATH', str(tmp_path / 'results.json'))
    monkeypatch.setattr(results_module, 'machine', lambda: {'processor': 'this'})
    results = Results(machine={'processor': 'another'}, load={'7': {}})
    results.add('words', 10, {'share': 2 / 3})
    results.add('words', 20, {})
    written = Results.read()
    assert set(written) == {'machine', 'words'} and written['machine']['processor'] == 'this'
    assert written['words']['10']['share'] == 0.667 and set(written['words']) == {'10', '20'}
    written.add('words', 30, {}, is_alone=True)
    assert set(json.loads((tmp_path / 'results.json').read_text())['words']) == {'30'}


def test_limits_and_costs_follow_from_units():
    assert calculated.limits(40, 6)[0][2] == '100 repositories'
    assert calculated.limits(40, 6)[-1][2] == '500 searches'
    small, _, large = [dict(zip(calculated.COSTS, row)) for row in calculated.costs(40, 50)]
    assert (large['First load'], small['Hours, new table']) == ('$250.00', '0.0028')
    written, _ = calculated.shares()
    assert sum(written.values()) == pytest.approx(1)
