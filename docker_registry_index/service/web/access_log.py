"""The access log: a line for each request, whatever is in it."""

from __future__ import unicode_literals

from gunicorn.glogging import Logger

__all__ = ['FORMAT', 'AccessLog']

#: Who asked what, and how long it took.
FORMAT = '%(h)s "%(r)s" %(s)s %(b)s %(M)sms'


class AccessLog(Logger):
    """gunicorn's log. What a client says is in it as printable ASCII: it
    must not steer the terminal of who reads it, nor forge a line."""

    def atoms(self, resp, req, environ, request_time):
        """What a line can be made of: names to values."""
        found = super(AccessLog, self).atoms(resp, req, environ,
                                             request_time)
        return {name: _escaped(value) for name, value in found.items()}


def _escaped(value):
    if not isinstance(value, str):
        return value
    return value.encode('unicode_escape').decode('ascii')
