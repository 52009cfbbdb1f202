"""What a process of the service writes, with its settings for the log."""
import json
import os
import re
import signal

from tests.end_to_end.service.place import ServiceProcess
from tests.helpers.registry import pushed
from tests.helpers.waiting import wait_until

FORGED = b'docker" 200 1 1ms "\xff'


def test_each_line_is_a_json_object(dynamodb_local):
    with ServiceProcess(dynamodb_local.url, LOG_FORMAT='json', TRUSTED_PROXIES='127.0.0.0/8',
                        REGISTRY_USER='nobody') as place:
        place.get('/v1/search?q=x', headers={'X-Forwarded-For': '203.0.113.9, 127.0.0.2',
                                             'User-Agent': FORGED})
        # Its name is invalid, which is a warning.
        assert place.post([pushed('UPPER\x1b[31m')]).status_code == 200
        os.kill(place.service.pid, signal.SIGTERM)
        wait_until(lambda: not place.service.running, 'it does not end', 12)
        text = place.service.log_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert re.match(r'[ -~\n]+\Z', text) and all(
        re.match(r'20..-..-..T..:..:..\....Z\Z', line['time']) for line in lines)
    assert lines[0]['level'] == 'warning' and lines[0]['message'] == (
        'environment variable REGISTRY_USER is ignored (did you mean REGISTRY_USERNAME?)')
    [search] = [line for line in lines if '/v1/search' in line.get('request', '')]
    assert (search['client'], search['user'], search['status'], search['user_agent']) == (
        '203.0.113.9', '-', 200, r'docker\x22 200 1 1ms \x22\xff')
    assert {line['level'] for line in lines} == {'info', 'warning'}


def test_no_line_is_written_below_the_level_and_no_proxy_is_trusted_by_default(dynamodb_local):
    with ServiceProcess(dynamodb_local.url, LOG_LEVEL='warning') as place:
        place.get('/v1/search?q=x')
        # Another warning is that this registry asks for no credentials.
        assert ' INFO: ' not in place.service.log_text() and 'GET' not in place.service.log_text()
    with ServiceProcess(dynamodb_local.url) as place:
        place.get('/v1/_ping', headers={'X-Forwarded-For': '203.0.113.9'})
        wait_until(lambda: re.search(
            r'(?m)^20\S+Z 127\.0\.0\.1 - "GET /v1/_ping HTTP/1\.1" 200 5 \d+ms "',
            place.service.log_text()), 'there is no such line', 5, place.service)
