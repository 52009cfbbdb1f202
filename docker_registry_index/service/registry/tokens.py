"""Bearer tokens of a registry that has an authorization service. Pure.

https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import unicode_literals

import re
import threading
import time
from urllib.parse import urlencode, urlsplit

__all__ = ['Tokens', 'challenge_of', 'token_url']

_BEARER = re.compile(r'(?:^|,)\s*Bearer\s+(.*)', re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*"([^"]*)"')
#: What a token is good for where the answer does not say.
_SECONDS = 60
#: A token is not used in its last seconds: it has a way to go.
_MARGIN = 5
_MOST = 1000


class Tokens(object):
    """The tokens at hand, each for one scope; safe from several threads.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = {}

    def get(self, scope):
        """The token for a scope, or None."""
        with self._lock:
            token, end = self._tokens.get(scope, (None, 0))
            return token if self._clock() < end else None

    def keep(self, scope, answer):
        """Keep the token of the service's answer, and return it.

        :param answer: the decoded JSON, of any type.
        :raises ValueError: there is no token in it.
        """
        answer = answer if isinstance(answer, dict) else {}
        token = answer.get('token') or answer.get('access_token')
        # What else has no place in a header.
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


def challenge_of(header):
    """The parameters of a Bearer challenge in WWW-Authenticate, or None."""
    found = _BEARER.search(header or '')
    return dict(_PARAMETER.findall(found.group(1))) if found else None


def token_url(challenge, scope, registry_url):
    """Where to ask for a token; None where credentials must not go.

    :param challenge: as challenge_of gives it.
    :param scope: what to ask for where the challenge does not say.
    :param registry_url: whose challenge it is: behind https, a password is
        not sent in the clear either.
    """
    realm = challenge.get('realm', '')
    scheme = urlsplit(realm).scheme
    safe = ('https',) if registry_url.startswith('https:') else (
        'http', 'https')
    if scheme not in safe:
        return None
    query = [('service', challenge['service'])] if challenge.get(
        'service') else []
    query.append(('scope', challenge.get('scope') or scope))
    return '%s%s%s' % (realm, '&' if '?' in realm else '?', urlencode(query))
