"""A process that loads stops before its lease ends, also if each of its requests takes as long as
it can."""
import threading
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle import lease, start
from tests.end_to_end.faults.conftest import through
from tests.end_to_end.faults.test_kills import assert_right, repositories


class Recorded(object):
    """The times at which an engine's requests to its rows and postings began and ended."""

    def __init__(self, index):
        self.times = []
        self._call = index.engine.client.call
        self._tables = {index.settings.repository_table, index.settings.search_table}
        self._version = index.settings.version_table
        #: When it last tried to take or renew the lease.
        self.leases = []
        index.engine.client.call = self._record

    def _record(self, operation, **arguments):
        began = time.monotonic()
        if operation == 'update_item' and arguments['TableName'] == self._version:
            self.leases.append(began)
        try:
            return self._call(operation, **arguments)
        finally:
            if any(table in repr(arguments) for table in self._tables):
                self.times.append((began, time.monotonic()))


def test_a_holder_whose_requests_hang_has_stopped_when_another_takes_over(
        dynamodb_local, proxy, index, monkeypatch):
    monkeypatch.setattr(lease, 'LEASE_SECONDS', 1)
    stored = repositories(150)
    slow = through(proxy, index, connect_timeout=0.3, read_timeout=0.6, attempts=1)
    seen, failures = Recorded(slow), []

    def load():
        with pytest.raises((errors.RequestFailed, errors.LeaseLost)) as failed:
            slow.ensure_ready(lambda: stored)
        failures.append(failed.value)

    thread = threading.Thread(target=load)
    thread.start()
    while len(seen.leases) < 2:
        assert thread.is_alive(), failures
        time.sleep(0.01)
    start._loading.clear()
    other = index.another(connect_timeout=0.3, read_timeout=0.6, attempts=1)
    taken = Recorded(other)
    with proxy.black_hole():
        assert other.ensure_ready(lambda: stored) is True
        thread.join(20)
    assert failures and max(ended for _, ended in seen.times) < taken.leases[0]
    assert_right(index, stored)
