"""The status of an index; `tests/cli/test_commands.py` tests the rest."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.verify.status import Status


@pytest.mark.parametrize('seconds', [20, 45])
def test_a_holder_that_renews_its_lease_late_is_alive_and_one_that_does_not_is_not(
        tables, clock, seconds):
    def status():
        return Status(tables.store, sleep=lambda passed: act(passed)).lease()

    def renew_now_and_then(passed):
        clock.advance(passed)
        holder.renew()

    holder = Lease(tables.store, seconds, clock)
    assert holder.acquire()
    act, waited = renew_now_and_then, []
    for _ in range(3):
        assert status()['alive'] is True
    act = waited.append
    assert status()['alive'] is False
    assert sum(waited) >= 3 * seconds / 20.0
    holder.release()
    assert status() is None
