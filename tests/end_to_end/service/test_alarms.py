"""Prometheus's own promtool accepts config/alarms.yml; each alarm fires in its situation and is
silent otherwise."""
import contextlib
import os
import re
import subprocess

import pytest
import yaml

from dev.servers.process import ROOT
from dev.servers.programs import path_of
from tests.docs.test_alarms import FILE, RULES
from tests.end_to_end.service.place import needs
from tests.helpers.engine import EngineIndex
from tests.helpers.service import InProcessService

pytestmark = needs('promtool')
SEARCHES = 'registry_index_http_requests_total{route="/v1/search",status="%s"}'
SECONDS = 'registry_index_http_request_seconds_bucket{route="/v1/search",le="%s"}'
NOTIFICATIONS = 'registry_index_notifications_total{result="%s"}'
DYNAMODB = 'registry_index_dynamodb_requests_total{operation="Query",outcome="%s"}'
RETRIES = 'registry_index_dynamodb_retries_total{operation="Query"}'
READY, INCOMPLETE = 'registry_index_ready', 'registry_index_incomplete_searches_total'
WAITING, UNREADABLE = 'registry_index_descriptions_waiting', 'registry_index_storage_unreadable'
UNREADABLE_PART = UNREADABLE + '{part="acme"}'
#: Four hours, a sample a minute, of a service with 600 searches a minute; of each series, the
#: values of a quiet service. `0+5x240` grows by 5 in each minute.
QUIET = {
    READY: '1x240', SEARCHES % 200: '0+600x240', SEARCHES % 503: '0+1x240', INCOMPLETE: '0+6x240',
    SECONDS % '0.5': '0+599x240', SECONDS % '2.5': '0+600x240', SECONDS % '+Inf': '0+600x240',
    NOTIFICATIONS % 'done': '0+5x240', NOTIFICATIONS % 'retry': '3x240',
    NOTIFICATIONS % 'refused': '2x240', NOTIFICATIONS % 'malformed': '1x240',
    DYNAMODB % 'ok': '0+600x240', DYNAMODB % 'AccessDeniedException': '0x240', RETRIES: '0+1x240',
    WAITING: '0+1x60 0x180', 'process_open_fds': '40x240', 'process_max_fds': '1024x240'}
#: What differs from it in the situation of each alarm; None for a series that is missing.
SITUATIONS = {
    'Missing': {READY: None},
    'NotReady': {READY: '0x240'},
    'Answers503': {SEARCHES % 503: '0+60x240'},
    'Busy': {SEARCHES % 429: '0+30x240'},
    'Slow': {SECONDS % '0.5': '0+300x240'},
    'IncompleteSearches': {INCOMPLETE: '0+300x240'},
    'NotificationsRetried': {NOTIFICATIONS % 'retry': '0+1x240'},
    'NotificationsRefused': {NOTIFICATIONS % 'refused': '2x230 3x10'},
    'NotificationsMalformed': {NOTIFICATIONS % 'malformed': '1x230 2x10'},
    'StorageUnreadable': {UNREADABLE_PART: '1x240'},
    'DescriptionsWaiting': {WAITING: '3x240'},
    'RightMissing': {DYNAMODB % 'AccessDeniedException': '0x230 1+1x10'},
    'Throttled': {RETRIES: '0+100x240'},
    'FilesRunOut': {'process_open_fds': '900x240'},
}
#: Situations that are like those above, but too short or too small for an alarm.
HARMLESS = {
    'Missing': {READY: '1x237'},
    'NotReady': {READY: '1x230 0x10'},
    'Answers503': {SEARCHES % 503: '0+20x240'},
    'Busy': {SEARCHES % 429: '0+3x240'},
    'Slow': {SECONDS % '0.5': '0+580x240'},
    'IncompleteSearches': {INCOMPLETE: '0+100x240'},
    'NotificationsRetried': {NOTIFICATIONS % 'retry': '3x200 4x40'},
    'StorageUnreadable': {UNREADABLE_PART: '_x220 1x20'},
    'DescriptionsWaiting': {WAITING: '3x200 0 3x40'},
    'Throttled': {RETRIES: '0+40x240'},
    'FilesRunOut': {'process_open_fds': '800x240'},
}


def promtool(*arguments):
    done = subprocess.run([path_of('promtool'), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def labels(alert, changed):
    """Return the labels with which an alarm fires: those of its rule, and those it groups by."""
    grouped = re.findall(r'by \((\w+)\)', RULES[alert]['expr'])
    found = dict(RULES[alert]['labels'])
    for series in changed:
        found.update(pair for pair in re.findall(r'(\w+)="(.*?)"', series) if pair[0] in grouped)
    return {name: value for name, value in found.items() if name != 'le'}


def situation(name, changed, fires):
    """Return a test of promtool: after four hours, this alarm alone fires, or none."""
    series = dict(QUIET, **changed)

    def expected(alert):
        if alert != name or not fires:
            return []
        found = labels(alert, changed)
        texts = {key: re.sub(r'{{ \$labels\.(\w+) }}', lambda match: found[match.group(1)], text)
                 for key, text in RULES[alert]['annotations'].items()}
        return [{'exp_labels': found, 'exp_annotations': texts}]

    return {'name': name, 'interval': '1m', 'input_series': [
        {'series': each, 'values': values} for each, values in series.items() if values],
        'alert_rule_test': [{'eval_time': '4h', 'alertname': alert, 'exp_alerts': expected(alert)}
                            for alert in RULES]}


def run(tmp_path, tests):
    path = tmp_path / 'alarms_test.yml'
    path.write_text(yaml.safe_dump({
        'rule_files': [os.path.join(ROOT, FILE)], 'evaluation_interval': '5m', 'tests': tests}))
    promtool('test', 'rules', str(path))


def test_promtool_accepts_the_file():
    assert '%d rules found' % len(RULES) in promtool('check', 'rules', os.path.join(ROOT, FILE))


def test_each_alarm_fires_alone_in_its_situation(tmp_path):
    assert {'RegistryIndex' + name for name in SITUATIONS} == set(RULES)
    run(tmp_path, [situation('RegistryIndex' + name, changed, True)
                   for name, changed in SITUATIONS.items()])


def test_no_alarm_fires_if_all_is_well_or_for_a_short_trouble(tmp_path):
    run(tmp_path, [situation('RegistryIndex' + name, changed, False)
                   for name, changed in dict(HARMLESS, Quiet={}).items()])


@pytest.mark.parametrize('is_ready', [True, False])
def test_the_metrics_of_a_service_are_read_by_the_rules(tmp_path, in_process_dynamodb, is_ready):
    place = InProcessService(EngineIndex(in_process_dynamodb.url))
    with place if is_ready else contextlib.nullcontext():
        lines = [line.rpartition(' ') for line in place.get('/metrics').text.splitlines()
                 if not line.startswith('#')]
    series = {name: '%sx240' % value for name, _, value in lines}
    assert READY in series and 'process_open_fds' in series
    test = situation('RegistryIndexNotReady', {READY: series[READY]}, not is_ready)
    test['input_series'] = [{'series': name, 'values': values} for name, values in series.items()]
    run(tmp_path, [test])
