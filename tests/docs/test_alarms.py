"""config/alarms.yml asks for metrics, labels and values that the service has, and
docs/operations.md lists its alarms; tests/end_to_end/service/test_alarms.py makes each one fire."""
import re

import pytest
import yaml

from docker_registry_index.engine.settings.options import OPTIONS
from docker_registry_index.service import settings as service_settings
from tests.docs import pages
from tests.helpers.engine import EngineIndex
from tests.helpers.service import InProcessService

FILE, PAGE = 'config/alarms.yml', 'docs/operations.md'
[GROUP] = yaml.safe_load(pages.read(FILE))['groups']
RULES = {rule['alert']: rule for rule in GROUP['rules']}
ROWS = {pages.code(row[0])[0]: row for row in pages.table('docs/http.md', 'Metric')}
METRICS = {name: set(pages.code(row[2])) for name, row in ROWS.items()}
RESULTS = pages.code(ROWS['registry_index_notifications_total'][3])


@pytest.fixture(scope='module')
def service(in_process_dynamodb):
    """A service that is not started."""
    return InProcessService(EngineIndex(in_process_dynamodb.url))


def selectors(rule):
    """Return (metric, labels) for each metric in the expression of a rule."""
    found = re.findall(r'\b((?:registry_index|process)_\w+)(?:\{(.*?)\})?', rule['expr'])
    assert found
    return [(metric, dict(re.findall(r'(\w+)=~?"(.*?)"', labels))) for metric, labels in found]


@pytest.mark.parametrize('name', RULES)
def test_a_rule_asks_for_metrics_labels_and_values_that_exist(name, service):
    shown = set(re.findall(r'(?m)^# TYPE (\w+) ', service.get('/metrics').text))
    routes = {rule.rule for rule in service.app.url_map.iter_rules()}
    for metric, labels in selectors(RULES[name]):
        family = re.sub('_bucket$', '', metric)
        assert family in shown and (family in METRICS or family.startswith('process_')), metric
        assert set(labels) <= METRICS.get(family, set()), labels
        assert set(labels.get('route', '/events').split('|')) <= routes
        assert labels.get('result', 'done') in RESULTS


@pytest.mark.parametrize('name', RULES)
def test_a_rule_has_all_that_its_reader_needs(name):
    rule = RULES[name]
    assert set(rule) <= {'alert', 'expr', 'for', 'labels', 'annotations'}
    assert rule['labels']['severity'] in ('critical', 'warning')
    summary, action = rule['annotations']['summary'], rule['annotations']['action']
    assert summary.endswith('.') and action.endswith('.')
    settings = {option.name for option in OPTIONS + service_settings.OPTIONS}
    assert set(pages.code(summary + action)) <= settings
    grouped = re.findall(r'by \((\w+)\)', rule['expr'])
    assert set(re.findall(r'\$labels\.(\w+)', summary)) <= set(grouped)


def test_the_page_lists_the_alarms_with_their_severities():
    assert {name: rule['labels']['severity'] for name, rule in RULES.items()} == {
        pages.code(row[0])[0]: row[1] for row in pages.table(PAGE, 'Alarm')}
