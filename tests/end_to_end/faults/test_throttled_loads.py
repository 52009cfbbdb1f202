"""Loads of real processes, on both Pythons, from a DynamoDB that leaves items unprocessed and
throttles a table or a key. No local engine does that, so the proxy does it."""
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from dev.servers.process import LOCAL, ROOT
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.write.bulk import intents
from tests.end_to_end.faults.conftest import assert_right
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

PYTHON3, PYTHON27 = sys.executable, os.path.join(LOCAL, 'py27', 'bin', 'python')
STORED = [('team-%d/application-%03d' % (number % 7, number), 'words of %d' % number
           if number % 5 == 0 else None) for number in range(24)]
#: Seconds of a lease, which is as long as three of the slowest requests.
LEASE = 4.5
PROGRAM = '''
import logging, sys
from docker_registry_index.engine.lifecycle import lease
from tests.helpers.engine import EngineIndex
lease.LEASE_SECONDS = 1
logging.basicConfig(stream=sys.stdout, format='%(message)s')
logging.getLogger('docker_registry_index').setLevel(logging.INFO)
index = EngineIndex({url!r}, {database!r}, connect_timeout=0.5, read_timeout=1, attempts=1)
try:
    index.engine.sync(lambda: {stored!r})
except KeyboardInterrupt:
    print('interrupted')
'''


@pytest.fixture
def seen(dynamodb_local):
    """The index itself, without a proxy before it."""
    made = EngineIndex(dynamodb_local.url)
    yield made
    made.delete_tables()


@contextlib.contextmanager
def loading(python, proxy, seen, stored=STORED):
    """Run a process that loads through the proxy; killed at the end of the block."""
    program = PROGRAM.format(url=proxy.url, database=seen.settings.database, stored=stored)
    process = subprocess.Popen(
        [python, '-c', program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONUNBUFFERED='1'))
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def output_of(process):
    """Return what a process has printed until its end."""
    return process.communicate(timeout=60)[0]


@pytest.mark.parametrize('python', [PYTHON3, PYTHON27], ids=['Python 3', 'Python 2.7'])
def test_a_load_whose_batches_are_processed_in_part_is_complete(python, proxy, seen):
    seen.ready()
    with proxy.unprocessed(0.5), loading(python, proxy, seen) as process:
        printed = output_of(process)
    assert ': 24 repositories in the storage: 24 added, ' in printed
    assert 'NOT COMPLETE' not in printed and proxy.outcomes['unprocessed'] > 20
    assert_right(seen, STORED)


@pytest.mark.parametrize('python, table, key', [
    (PYTHON3, 'repository_table', None), (PYTHON27, 'search_table', {'gram': {'S': 'sa'}})],
    ids=['a table, Python 3', 'a partition, Python 2.7'])
def test_a_load_keeps_its_lease_while_a_table_or_a_partition_is_throttled_and_then_ends(
        python, proxy, seen, table, key):
    seen.ready()
    name = getattr(seen.settings, table)
    with loading(python, proxy, seen) as process:
        with proxy.throttling(name, key, is_on_demand=True):
            wait_until(lambda: proxy.outcomes['throttled'], 'nothing is throttled', 30)
            lease, end = Lease(seen.store), time.monotonic() + LEASE + 1
            while time.monotonic() < end:
                assert lease.read() and process.poll() is None
                time.sleep(0.2)
            assert lease.is_alive
        printed = output_of(process)
    assert 'NOT COMPLETE' not in printed and ': 24 added' in printed, printed
    assert_right(seen, STORED)
    lines = [line for line in printed.splitlines() if line.startswith('DynamoDB throttles ')]
    assert 0 < len(lines) == len(set(line.split()[2] for line in lines)), lines
    assert all('the billing is on-demand' in line and name in line for line in lines)


@pytest.mark.parametrize('python', [PYTHON3, PYTHON27], ids=['Python 3', 'Python 2.7'])
def test_a_throttled_load_is_stopped_at_once_and_the_next_begins_without_a_wait(
        python, proxy, seen):
    seen.ready()
    with proxy.throttling(seen.settings.search_table, {'gram': {'S': 'sa'}}):
        with loading(python, proxy, seen) as process:
            wait_until(lambda: proxy.outcomes['throttled'] > 3, 'nothing is throttled', 30)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert 'interrupted' in output_of(process)
            assert time.monotonic() - began < LEASE
    left = intents(seen.store)
    assert left and all(intent.is_settled for intent in left)
    # The lease was released, so that another process need not wait.
    assert Lease(seen.store).read() is None
    with loading(python, proxy, seen) as process:
        assert 'NOT COMPLETE' not in output_of(process)
    assert_right(seen, STORED)
    assert intents(seen.store) == []
