"""What tests change of an engine, and take back."""

from __future__ import unicode_literals

import contextlib

from docker_registry_index.engine.lifecycle import start
from docker_registry_index.engine._compat import monotonic
from docker_registry_index.engine.store.client import slowest
from docker_registry_index.engine.lifecycle.lease import Lease


@contextlib.contextmanager
def taken_back(engine):
    """Take back what is registered at an engine's hooks inside the block.

    A boto3 client takes a tenth of a second to make, too long for each test.
    """
    events = engine.client.dynamodb.meta.events
    register, registered = events.register, []

    def recording(event_name, handler, *arguments, **named):
        registered.append((event_name, handler))
        register(event_name, handler, *arguments, **named)

    events.register = recording
    try:
        yield
    finally:
        events.register = register
        for event_name, handler in registered:
            events.unregister(event_name, handler)


def short_leases(monkeypatch, seconds, request=None):
    """Have leases of so many seconds, whatever a request may take.

    :param request: seconds that one may take; by default, what it may.
    """
    def lease_of(store, clock=monotonic, kind='lease'):
        return Lease(store, seconds, clock, request or slowest(store.settings), kind)

    monkeypatch.setattr(start, 'lease_of', lease_of)
