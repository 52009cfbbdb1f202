"""Which Distribution stands beside, told by how it answers.

2.8.2 and 3.0.0 answer the same but for a header, and for what they make of a
wrong ``n``. Clients go on as they did before this service stood there.
"""

from __future__ import unicode_literals

import collections
import logging
import re
import threading
import time

import requests

__all__ = ['Dialect', 'Dialects']

logger = logging.getLogger(__name__)

#: Seconds after which it is asked again; it may be upgraded meanwhile.
_REMEMBERED, _RETRY = 600, 30
_TIMEOUT = 2
_REALM = re.compile(r'Basic\s+.*\brealm="([^"\\]*)"', re.IGNORECASE)


class Dialect(collections.namedtuple('Dialect',
                                     'content_type is_strict realm')):
    """How a registry speaks.

    :param content_type: of its JSON.
    :param is_strict: whether it refuses numbers that are none.
    :param realm: of its Basic challenge; a name of our own where it makes
        none.
    """

    __slots__ = ()


#: Of 3.0.0, when the registry cannot be asked.
LATEST = Dialect('application/json', True, 'registry')


class Dialects(object):
    """Tells the Dialect of one registry. Costs a request now and then.

    :param url: of the registry.
    :param ca_file: as for RegistryClient.
    """

    def __init__(self, url, ca_file=None, clock=time.monotonic):
        self._url = url.rstrip('/') + '/v2/'
        self._verify = ca_file or True
        self._clock = clock
        self._lock = threading.Lock()
        self._known, self._until = LATEST, None

    def __call__(self):
        with self._lock:
            if self._until is not None and self._clock() < self._until:
                return self._known
            # Others need not wait for the one who asks.
            self._until = self._clock() + _RETRY
        known = self._ask()
        if known is not None:
            with self._lock:
                self._known = known
                self._until = self._clock() + _REMEMBERED
        return self._known

    def _ask(self):
        session = requests.Session()
        # No proxies and no ~/.netrc: all there is stands in the settings.
        session.trust_env = False
        try:
            with session.get(self._url, timeout=_TIMEOUT, stream=True,
                             verify=self._verify) as answer:
                return _dialect(answer.headers)
        except (requests.RequestException, ValueError) as error:
            logger.info('the registry does not tell how it answers: %s',
                        type(error).__name__)
            return None


def _dialect(headers):
    is_old = 'charset' in headers.get('Content-Type', '')
    realm = _REALM.match(headers.get('WWW-Authenticate', ''))
    return Dialect('application/json; charset=utf-8' if is_old
                   else LATEST.content_type, not is_old,
                   realm.group(1) if realm else LATEST.realm)
