"""docs/performance.md and its charts are generated from benchmarks/results.json."""
import copy
import xml.etree.ElementTree as tree

from benchmarks import charts, page
from benchmarks.names import names
from benchmarks.results import Results


def test_the_page_and_its_charts_agree_with_the_results():
    assert page.stale() == []


def test_other_results_give_other_tables_and_charts():
    results = copy.deepcopy(Results.read())
    for measured in results['searches'].values():
        for run in measured['times'].values():
            run['rare word'] = {way: 2 * value for way, value in run['rare word'].items()}
            run['rare word']['this index'] /= 3
        measured['exact']['rare word']['this index'].update(read=9, items=9)
    assert page.stale(results) == [
        'docs/performance.md: %s' % name for name in
        ('units', 'requests', 'ratios', 'milliseconds')] + [
        'docs/performance/%s' % name for name in ('searches.svg', 'searches-network.svg')]


def test_a_chart_is_well_formed_and_has_a_point_for_each_value():
    drawn = charts.panels('a < b', {panel: {'x': {10: 0.5, 100: 50}, 'y': {10: 1}}
                                    for panel in ('one', 'two', 'three')}, columns=2)
    found = tree.fromstring(drawn)
    circles = [each for each in found if each.tag.endswith('circle')]
    assert [float(each.get('cx')) for each in circles[:2]] == [50, 250]
    assert len(circles) == 9 and 'a &lt; b' in drawn


def test_a_longer_list_of_names_begins_with_the_shorter_one_and_has_no_name_twice():
    many = names(3000)
    assert many[:1000] == names(1000) and len(set(many)) == 3000
