"""Dialect: how this version of Distribution answers, so that the service can answer like it.

2.8.2 and 3.0.0 differ in one header and in what they make of a wrong ``n``. To its clients, the
catalog of the service looks like that of the registry.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from .connection import new_session

__all__ = ['Dialect', 'DialectProbe']

logger = logging.getLogger(__name__)

#: Seconds until the registry is asked again, as it may be upgraded; and after a failure.
_REMEMBERED, _RETRY = 600, 30
_TIMEOUT = 2
_REALM = re.compile(r'Basic\s+.*\brealm="([^"\\]*)"', re.IGNORECASE)


class Dialect(NamedTuple):
    """How a registry answers. The defaults are those of 3.0.0.

    :param content_type: of its JSON.
    :param is_strict: whether it refuses an ``n`` that is no number.
    :param realm: of its Basic challenge; a name of our own if it sends none.
    """

    content_type: str = 'application/json'
    is_strict: bool = True
    realm: str = 'registry'


class DialectProbe:
    """Returns the Dialect of one registry when called. Costs a request every ten minutes.

    :param url: of the registry.
    :param ca_file: as for RegistryClient.
    """

    def __init__(self, url: str, ca_file: str | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url.rstrip('/') + '/v2/'
        self._session = new_session(ca_file)
        self._clock = clock
        self._lock = threading.Lock()
        self._dialect, self._until = Dialect(), clock()

    def __call__(self) -> Dialect:
        with self._lock:
            if self._clock() < self._until:
                return self._dialect
            # Other threads need not wait for the one that asks.
            self._until = self._clock() + _RETRY
        try:
            with self._session.get(self._url, timeout=_TIMEOUT, stream=True) as answer:
                self._dialect = _dialect(answer.headers)
                self._until = self._clock() + _REMEMBERED
        except (OSError, ValueError) as error:
            logger.info('the dialect of the registry is unknown: %s', type(error).__name__)
        return self._dialect


def _dialect(headers: Mapping[str, str]) -> Dialect:
    is_old = 'charset' in headers.get('Content-Type', '')
    realm = _REALM.match(headers.get('WWW-Authenticate', ''))
    return Dialect('application/json; charset=utf-8' if is_old else Dialect().content_type,
                   not is_old, realm.group(1) if realm else Dialect().realm)
