"""What tests change of an engine, and take back."""

from __future__ import unicode_literals

import contextlib


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
