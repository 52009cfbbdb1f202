"""Absent tables: before the first load there is nothing, and that is known."""

from __future__ import unicode_literals

from .. import errors

__all__ = ['EmptyWhereMissing']


class EmptyWhereMissing(object):
    """A Client to which a table that is missing is an empty one.

    :param client: a Client.
    """

    def __init__(self, client):
        self._client = client

    def call(self, operation, **arguments):
        """Make one request, a Query or a Scan; see Client.call."""
        try:
            return self._client.call(operation, **arguments)
        except errors.MissingTable:
            return {'Items': []}
