"""docs/http.md and docs/openapi.yml describe the addresses, statuses and metrics that exist."""
import re

import pytest
import yaml

from docker_registry_index import __version__
from docker_registry_index.engine import Settings
from docker_registry_index.service.server import Service
from docker_registry_index.service.settings import settings_of
from tests.docs import pages

PAGE = 'docs/http.md'
REFERENCE = yaml.safe_load(pages.read('docs/openapi.yml'))
ADDRESSES = {pages.code(row[0])[0]: row[2].split(', ') for row in pages.table(PAGE, 'Address')}
METRICS = {pages.code(row[0])[0]: row for row in pages.table(PAGE, 'Metric')}


@pytest.fixture(scope='module')
def app():
    """The application of a service that is not started."""
    settings, _ = settings_of({'REGISTRY_URL': 'http://127.0.0.1:1', 'EVENTS_SECRET': 's' * 20}, {})
    return Service(Settings(access_key='AKIADUMMY', secret_access_key='dummy'), settings).app


def test_the_reference_is_of_this_release_and_has_its_addresses(app):
    assert REFERENCE['info']['version'] == __version__
    assert set(REFERENCE['paths']) == {rule.rule for rule in app.url_map.iter_rules()}


def test_the_page_lists_the_addresses_and_statuses_of_the_reference():
    assert ADDRESSES == {'%s %s' % (method.upper(), path): sorted(operation['responses'])
                         for path, operations in REFERENCE['paths'].items()
                         for method, operation in operations.items()}
    assert {row[0] for row in pages.table(PAGE, 'Status')} >= set(
        sum(ADDRESSES.values(), [])) - {'200'}


def test_the_page_lists_the_metrics_that_exist_and_no_page_names_another(app):
    text = app.test_client().get('/metrics').get_data(as_text=True)
    shown = re.findall(r'^# TYPE (registry_index_\w+) (\w+)$', text, re.MULTILINE)
    # The time when a counter or histogram was created is no metric of its own.
    assert {name: row[1] for name, row in METRICS.items()} == {
        name: kind for name, kind in shown if not name.endswith('_created')}
    for page in pages.CURRENT:
        assert set(re.findall(r'registry_index_\w+', pages.read(page))) <= set(METRICS), page


def test_the_labels_and_results_are_those_of_the_code():
    web = 'docker_registry_index/service/web/'
    labels = {label for row in METRICS.values() for label in pages.code(row[2])}
    assert all("'%s'" % label in pages.read(web + 'monitoring.py') for label in labels)
    results = re.findall(r"count\('(\w+)'(?: if \w+ else '(\w+)')?\)",
                         pages.read(web + 'notifications.py'))
    assert set(pages.code(METRICS['registry_index_notifications_total'][3])) == set(
        sum(results, ())) - {''}
