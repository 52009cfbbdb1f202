"""A process that loads stops before its lease ends, also if each of its requests takes as long as
it can."""
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle import lease
from tests.end_to_end.faults.processes import assert_right, repositories
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import in_threads, wait_until

SLOW = {'connect_timeout': 0.3, 'read_timeout': 0.6, 'attempts': 1}


class Recorded(object):
    """The times at which an engine's requests to its rows and postings ended, and at which it tried
    to take or renew the lease."""

    def __init__(self, index):
        self.ended, self.leases = [], []
        self._call, self._tables = index.engine.client.call, index.tables()
        index.engine.client.call = self._record

    def _record(self, operation, **arguments):
        rows, version, postings = self._tables
        if operation == 'update_item' and arguments['TableName'] == version:
            self.leases.append(time.monotonic())
        try:
            return self._call(operation, **arguments)
        finally:
            if rows in repr(arguments) or postings in repr(arguments):
                self.ended.append(time.monotonic())


def test_a_holder_whose_requests_hang_has_stopped_when_another_takes_over(
        dynamodb_local, proxy, index, monkeypatch):
    monkeypatch.setattr(lease, 'LEASE_SECONDS', 1)
    stored = repositories(150)
    slow = EngineIndex(proxy.url, index.settings.database, **SLOW)
    other = index.another(**SLOW)
    seen, taken = Recorded(slow), Recorded(other)

    def load():
        with pytest.raises((errors.RequestFailed, errors.LeaseLost)):
            slow.ensure_ready(lambda: stored)

    join = in_threads([load])
    wait_until(lambda: len(seen.leases) > 1, 'the lease is not renewed')
    with proxy.black_hole():
        assert other.ensure_ready(lambda: stored) is True
        join()
    assert max(seen.ended) < taken.leases[0]
    assert_right(index, stored)
