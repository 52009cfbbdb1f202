"""Reads the challenges of a registry, and the tokens that it accepts in place of passwords.

https://distribution.github.io/distribution/spec/auth/token/"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import parse_http_list

import requests
from publicsuffixlist import PublicSuffixList
from werkzeug.datastructures import Authorization, WWWAuthenticate

#: The characters of a token, which becomes a part of a header.
_TOKEN = re.compile(r'[!-~]+\Z')
# An IP address, or a name such as registry.internal, belongs to no registrable domain.
_SUFFIXES = PublicSuffixList(accept_unknown=False)


def basic(user: str, password: str) -> str:
    """Return the header Authorization for a user and a password."""
    return Authorization('basic', {'username': user, 'password': password}).to_header()


def challenges_of(lines: Iterable[str]) -> dict[str, WWWAuthenticate]:
    """Return the challenges in the lines of the header WWW-Authenticate, by their schemes in lower
    case. A line may contain several challenges, and each of them commas."""
    texts: list[str] = []
    for line in lines:
        for part in parse_http_list(line):
            name, _, rest = part.partition(' ')
            if texts and ('=' in name or rest.startswith('=')):
                texts[-1] += ', ' + part
            else:
                texts.append(part)
    found = [WWWAuthenticate.from_header(text) for text in texts]
    return {each.type: each for each in reversed(found) if each is not None}


def token_url(challenge: WWWAuthenticate, scope: str, registry_url: str,
              token_host: str | None = None) -> str:
    """Return the URL to request a token from. Only the host and the domain of the registry, and one
    further host, may get its passwords.

    :param scope: the scope of the token, if the challenge names none.
    :param token_host: that further host, or None.
    :raises ValueError: passwords must not be sent there; the message is the reason."""
    query = {'service': challenge.get('service'), 'scope': challenge.get('scope') or scope}
    try:
        # Check the URL that is sent, because requests reads some malformed URLs in its own way.
        request = requests.Request('GET', challenge.get('realm') or '', params=query).prepare()
    except requests.RequestException:
        raise ValueError('is not a web address') from None
    scheme, host = _scheme_and_host(str(request.url))
    own_scheme, own_host = _scheme_and_host(registry_url)
    if scheme != 'https' and (scheme, host) != (own_scheme, own_host):
        raise ValueError('is not https')
    # One registrable domain, such as example.co.uk, has one owner.
    domain = _SUFFIXES.privatesuffix(host)
    is_own = domain is not None and domain == _SUFFIXES.privatesuffix(own_host)
    if host not in (own_host, token_host) and not is_own:
        raise ValueError(f'is neither on the host of the registry, {own_host}, nor in its domain')
    return str(request.url)


def _scheme_and_host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or '').rstrip('.')


class Token(NamedTuple):
    """A token, and the time on the monotonic clock until which it can be sent."""

    text: str
    until: float


def is_token(value: object) -> bool:
    """Return True for a text that can be a token."""
    return isinstance(value, str) and bool(_TOKEN.match(value))


def token_in(answer: Any) -> Token:
    """Return the Token in a JSON answer; raise ValueError if it contains none."""
    answer = answer if isinstance(answer, dict) else {}
    text, seconds = answer.get('token') or answer.get('access_token'), answer.get('expires_in')
    if not is_token(text):
        raise ValueError('no token in the answer')
    if not isinstance(seconds, (int, float)) or not 0 < seconds < 1e6:
        seconds = 60
    # Renewed a little before its end.
    return Token(str(text), time.monotonic() + seconds - 5)
