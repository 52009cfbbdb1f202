"""Names that hide the differences between Python 2.7 and 3 from the engine."""

import os
import sys
import time

try:
    import queue
except ImportError:  # Python 2.7
    import Queue as queue

__all__ = ['NARROW', 'PY2', 'aws_options', 'monotonic', 'queue', 'sleep', 'text_type', 'wait']

PY2 = sys.version_info[0] == 2
#: True where the interpreter stores a character beyond U+FFFF as two.
NARROW = sys.maxunicode == 0xFFFF

text_type = type(u'')

if PY2:
    def monotonic():
        """Return the seconds of a clock that is never set. Python 2.7 has no time.monotonic. But
        times(2) counts ticks of 10 ms from a fixed point in the past, which is precise enough for a
        lease."""
        return os.times()[4]
else:
    monotonic = time.monotonic


def aws_options(known):
    """Return the options of a botocore Config with which only our settings choose an endpoint.
    botocore for Python 2.7 has none of these options, and reads none of these endpoints.

    :param known: the OPTION_DEFAULTS of the Config class."""
    options = {
        # AWS_ENDPOINT_URL*, which our settings read, and endpoint_url in ~/.aws/config.
        'ignore_configured_endpoint_urls': True,
        # https://<account>.ddb.<region>.amazonaws.com, which a firewall may not know.
        'account_id_endpoint_mode': 'disabled'}
    return dict((name, value) for name, value in options.items() if name in known)


def sleep(seconds):
    """Sleep, and let other threads and greenlets run. Each call looks up time.sleep, because
    gunicorn's --preload imports this module before gevent patches time. The unpatched function
    would stop all greenlets."""
    time.sleep(seconds)


def wait(event, seconds, longest_pause=0.05):
    """Wait until an event is set, at most ``seconds``; return True if it is set. Python 2.7 polls
    the event, with ever longer pauses. Its Event.wait uses the time of day, and would not end if
    that is set back."""
    if not PY2:
        return event.wait(seconds)
    end, pause = monotonic() + seconds, 0.001
    while not event.is_set() and monotonic() < end:
        sleep(min(pause, max(0, end - monotonic())))
        pause = min(2 * pause, longest_pause)
    return event.is_set()
