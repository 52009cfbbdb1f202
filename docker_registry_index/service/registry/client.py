"""RegistryClient, the client of a registry's HTTP API.

https://distribution.github.io/distribution/spec/api/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests.utils

from .connection import Answer, Connection, RegistryUnavailable, Tls
from .layout import is_name

#: The most bytes of a blob: Distribution accepts no larger manifest, and configs are small.
BLOB_BYTES = 4 * 1024 * 1024
#: The most bytes of a list: a repository may have thousands of tags.
LIST_BYTES = 32 * 1024 * 1024
#: The timeout of a catalog page: a registry of version 2 walks its whole storage first.
CATALOG_SECONDS = 300
#: The most consecutive pages without a name that are followed.
EMPTY_PAGES = 100

_JSON = 'application/json'
_TOO_MANY = 'PAGINATION_NUMBER_INVALID'
_MANIFESTS = ', '.join([
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.oci.image.index.v1+json'])
# https://github.com/distribution/distribution/blob/v2.8.2/reference/regexp.go
_TAG = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z')
_DIGEST = re.compile(r'[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,256}\Z')
#: Error codes of a name or reference that no registry accepts.
_INVALID = frozenset(['NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID'])


class RegistryClient:
    """Reads from one registry through its API; several threads may use it.

    It ignores proxies and credentials in the environment and in ~/.netrc. No error and no log line
    contains the password.

    :param url, username, password: from the settings. Credentials are sent as Basic, or exchanged
        for a token if the registry requires one.
    :param tls: certificates, in addition to those of the system.
    :param connect_timeout: seconds for one attempt to connect.

    Each method takes a ``timeout`` in seconds for all its requests. Without one, it retries a
    failed attempt to connect once. Each method raises RegistryUnavailable if no registry answers
    in time, and its subclass CredentialsRefused."""

    def __init__(self, url: str, username: str | None = None, password: str | None = None,
                 tls: Tls = Tls(), connect_timeout: float = 2) -> None:
        self._connection = Connection(url, username, password, tls, connect_timeout)

    def tags(self, name: str, timeout: float | None = None) -> list[str]:
        """Return the tags of a repository, [] if it has none; version 3 returns at most 100."""
        if not is_name(name):
            return []
        answer = self._get(name, 'tags/list?n=100', _JSON, LIST_BYTES, timeout)
        return _texts(answer, 'tags') if answer else []

    def has(self, name: str, timeout: float | None = None) -> bool:
        """Return True if a repository has a tag."""
        return bool(self.tags(name, timeout))

    def manifest(self, name: str, reference: str | None,
                 timeout: float | None = None) -> dict[str, Any] | None:
        """Return the manifest or index of a tag or digest; None if it does not exist."""
        if not is_name(name) or not _is(reference, _TAG, _DIGEST):
            return None
        answer = self._get(name, f'manifests/{reference}', _MANIFESTS, BLOB_BYTES, timeout)
        return _object(answer) if answer else None

    def config(self, name: str, digest: str, timeout: float | None = None) -> dict[str, Any] | None:
        """Return the JSON object in a blob; None if the blob contains none or does not exist.

        A blob of more than 4 MB counts as none, and its rest is not read."""
        if not is_name(name) or not _is(digest, _DIGEST):
            return None
        answer = self._get(name, f'blobs/{digest}', '*/*', BLOB_BYTES, timeout)
        config = answer and answer.json()
        return config if isinstance(config, dict) else None

    def catalog(self) -> Iterator[list[str]]:
        """Yield the names on each page of the catalog. A name may have no tag: see has."""
        first = self._connection.url + '/v2/_catalog'
        answer = self._page(first + '?n=1000')
        if answer.status == 400 and _TOO_MANY in (_codes(answer) or ()):
            answer = self._page(first)
        seen: set[str] = set()
        empty_pages = 0
        while True:
            names = _texts(_ok(answer), 'repositories')
            yield names
            url = self._next(answer)
            if url is None:
                return
            empty_pages = 0 if names else empty_pages + 1
            page = {url, *names[-1:]}
            if seen & page or empty_pages > EMPTY_PAGES:
                raise _unusable(answer, 'repeats a page of its catalog')
            seen |= page
            answer = self._page(url)

    def _get(self, name: str, rest: str, accept: str, limit: int,
             timeout: float | None) -> Answer | None:
        """Return the answer, of status 200; None if the registry reports that nothing exists."""
        answer = self._connection.get(f'{self._connection.url}/v2/{name}/{rest}',
                                      f'repository:{name}:pull', accept, limit, timeout)
        return None if _is_absence(answer) else _ok(answer)

    def _page(self, url: str) -> Answer:
        return self._connection.get(url, 'registry:catalog:*', _JSON, LIST_BYTES,
                                    read_timeout=CATALOG_SECONDS)

    def _next(self, answer: Answer) -> str | None:
        """Return the URL of the next page of the catalog, or None."""
        links = requests.utils.parse_header_links(answer.headers.get('Link', ''))
        found = [link['url'] for link in links if link.get('rel') == 'next']
        if not found:
            return None
        base = urlsplit(self._connection.url)
        try:
            link = urlsplit(urljoin(answer.url, found[0]))
        except ValueError:
            raise _unusable(answer, 'sends a link that is not a URL') from None
        if link.hostname != base.hostname:
            raise _unusable(answer, f'links to another host, {link.hostname!r:.100}')
        # Behind a proxy, the link may have the registry's own scheme and port.
        return f'{base.scheme}://{base.netloc}{link.path}?{link.query}'


def _is(value: object, *patterns: re.Pattern[str]) -> bool:
    return isinstance(value, str) and any(pattern.match(value) for pattern in patterns)


def _is_absence(answer: Answer) -> bool:
    """Return True if the registry itself reports that nothing exists; a proxy may send a 404."""
    codes = _codes(answer)
    if codes is None or answer.was_redirected:
        return False
    return answer.status == 404 or (answer.status == 400 and not _INVALID.isdisjoint(codes))


def _codes(answer: Answer) -> list[str] | None:
    """Return the error codes in an answer; None if it is not from a registry."""
    body = answer.json()
    listed = body.get('errors') if isinstance(body, dict) else None
    if not isinstance(listed, list):
        return None
    return [str(error.get('code')) for error in listed if isinstance(error, dict)]


def _ok(answer: Answer) -> Answer:
    if answer.status != 200:
        raise _unusable(answer, f'answers with status {answer.status}')
    return answer


def _object(answer: Answer) -> dict[str, Any]:
    if answer.body is None:
        raise _unusable(answer, 'sends more bytes than a registry would')
    body = answer.json()
    if not isinstance(body, dict):
        raise _unusable(answer, 'sends an answer that is not a JSON object')
    return body


def _texts(answer: Answer, key: str) -> list[str]:
    body = _object(answer)
    if key not in body:
        raise _unusable(answer, f'sends an answer without {key!r}')
    # Go writes null for an empty list.
    texts = [] if body[key] is None else body[key]
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise _unusable(answer, 'sends a list of values that are not names')
    return texts


def _unusable(answer: Answer, problem: str) -> RegistryUnavailable:
    return RegistryUnavailable(answer.url, problem)
