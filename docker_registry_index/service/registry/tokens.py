"""Bearer tokens of a registry that has an authorization service. Pure.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

__all__ = ['Tokens', 'challenge_of', 'token_url']

_BEARER = re.compile(r'(?:^|,)\s*Bearer\s+(.*)', re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*"([^"]*)"')
#: How long a token is valid if the answer does not say so.
_SECONDS = 60
#: A token is not used in its last seconds: it could expire on its way.
_MARGIN = 5
_MOST = 1000


class Tokens:
    """A cache of tokens, one for each scope; safe to use from several threads.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}

    def get(self, scope: str) -> str | None:
        """The token for a scope, or None."""
        with self._lock:
            token, end = self._tokens.get(scope, (None, 0))
            return token if self._clock() < end else None

    def keep(self, scope: str, answer: Any) -> str:
        """Keep the token in an answer of the authorization service, and return it.

        :param answer: the decoded JSON, of any type.
        :raises ValueError: the answer contains no token.
        """
        answer = answer if isinstance(answer, dict) else {}
        token = answer.get('token') or answer.get('access_token')
        # Nothing else may stand in a header.
        if not isinstance(token, str) or not re.match(r'[!-~]+\Z', token):
            raise ValueError('no token in the answer')
        seconds = answer.get('expires_in')
        if not isinstance(seconds, (int, float)) or not 0 < seconds < 1e6:
            seconds = _SECONDS
        with self._lock:
            if len(self._tokens) >= _MOST:
                self._tokens.clear()
            self._tokens[scope] = token, self._clock() + seconds - _MARGIN
        return token


def challenge_of(header: str | None) -> dict[str, str] | None:
    """The parameters of a Bearer challenge in WWW-Authenticate, or None."""
    found = _BEARER.search(header or '')
    return dict(_PARAMETER.findall(found.group(1))) if found else None


def token_url(challenge: Mapping[str, str], scope: str, registry_url: str) -> str | None:
    """Where to request a token; None if credentials must not be sent there.

    :param challenge: as challenge_of returns it.
    :param scope: the scope to request if the challenge names none.
    :param registry_url: the registry that sent the challenge. If it is reached by https, its
        password is not sent in the clear to any other server.
    """
    realm = challenge.get('realm', '')
    safe = ('https',) if registry_url.startswith('https:') else ('http', 'https')
    if urlsplit(realm).scheme not in safe:
        return None
    query = {'service': challenge.get('service'), 'scope': challenge.get('scope') or scope}
    encoded = urlencode({key: value for key, value in query.items() if value})
    return f"{realm}{'&' if '?' in realm else '?'}{encoded}"
