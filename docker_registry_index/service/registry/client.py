"""RegistryClient, the client of a registry's HTTP API.

https://distribution.github.io/distribution/spec/api/"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import requests.utils

from .catalog import MARK, Catalog, Page
from .connection import Answer, Connection, RegistryUnavailable
from .layout import is_name

#: The most bytes of a blob: Distribution accepts no larger manifest, and configs are small.
BLOB_BYTES = 4 * 1024 * 1024
#: The most bytes of a list: a repository may have a hundred thousand tags. And those that are read
#: to find out whether it has one.
LIST_BYTES, _FIRST_BYTES = 32 * 1024 * 1024, 64 * 1024
#: The tag whose image describes a repository, the most pages of tags that are read to find it, and
#: those that are read to list them.
LATEST, _TAG_PAGES, _LISTED_PAGES = 'latest', 100, 5

_JSON, _CATALOG_SCOPE = 'application/json', 'registry:catalog:*'
_MANIFESTS = ', '.join([
    'application/vnd.docker.distribution.manifest.v2+json',
    'application/vnd.docker.distribution.manifest.list.v2+json',
    'application/vnd.oci.image.manifest.v1+json',
    'application/vnd.oci.image.index.v1+json'])
# https://github.com/distribution/distribution/blob/v2.8.2/reference/regexp.go
_TAG = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}'
_DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,256}'
#: What Distribution accepts as a tag or a digest: functions of a text.
is_tag, is_digest = re.compile(_TAG).fullmatch, re.compile(_DIGEST).fullmatch
#: The error codes of a name or reference that no registry accepts.
_INVALID = re.compile(b'"(?:NAME|TAG|DIGEST)_INVALID"')


class Tags(list[str]):
    """Tags of a repository; ``is_complete`` is False if it may have others."""

    def __init__(self, tags: Iterable[str], is_complete: bool = True) -> None:
        super().__init__(tags)
        self.is_complete = is_complete


class Manifest(NamedTuple):
    """A manifest or index: its digest, its media type, and the JSON object in it."""

    digest: str
    media_type: str
    content: dict[str, Any]


class RegistryClient(Connection):
    """Reads from one registry through its API; several threads may use it.

    It ignores proxies and credentials in the environment and in ~/.netrc. No error and no log line
    contains the password. Each method takes a ``timeout`` in seconds for all its requests, and
    raises RegistryUnavailable, or its subclass CredentialsRefused."""

    #: True if the registry is a pull-through cache.
    is_cache = False
    #: What may be requested of a repository.
    _paths = re.compile(rf'tags/list(?:\?.*)?|manifests/(?:{_TAG}|{_DIGEST})|blobs/{_DIGEST}')

    def tags(self, name: str, timeout: float | None = None) -> Tags:
        """Return the Tags of a repository, [] if it has none.

        If they are on several pages, the list may end after latest, or after 100 pages."""
        return self._tags(name, timeout, '?n=1000', _TAG_PAGES, LATEST)

    def all_tags(self, name: str, timeout: float | None = None) -> Tags:
        """Return the Tags of a repository, [] if it has none. Distribution lists them on one page;
        of another registry, at most five pages are read."""
        return self._tags(name, timeout, '', _LISTED_PAGES)

    def _tags(self, name: str, timeout: float | None, query: str, pages: int,
              until: str | None = None) -> Tags:
        end = timeout and time.monotonic() + timeout
        found: dict[str, None] = {}
        for page in range(pages):
            answer = self._get(name, 'tags/list' + query, _JSON, LIST_BYTES, _left(end))
            link = answer and self._next(answer)
            found.update(dict.fromkeys(_texts(answer, 'tags') if answer else ()))
            if link and not page and until and self.has_manifest(name, until, _left(end)):
                # Version 3.0 lists all tags for each page, so another page may take minutes.
                found[until] = None
            if not link or until in found:
                break
            query = f'?{urlsplit(link).query}'
        return Tags(found, not link)

    def has(self, name: str, timeout: float | None = None) -> bool:
        """Return True if a repository has a tag. Reads only the beginning of a long list.

        A registry may need minutes to list 100 000 tags."""
        answer = self._get(name, 'tags/list?n=1', _JSON, _FIRST_BYTES, timeout)
        if answer and answer.body is None and answer.headers.get('Content-Type', '')[:16] == _JSON:
            return True
        return bool(answer and _texts(answer, 'tags'))

    def has_manifest(self, name: str, reference: str | None, timeout: float | None = None) -> bool:
        """Return True if a tag or digest exists, False if a registry or a proxy answers 404. Costs
        one HEAD."""
        answer = self._get(name, f'manifests/{reference or ""}', _MANIFESTS, 0, timeout, 'HEAD')
        if answer and 'Docker-Content-Digest' not in answer.headers:
            raise RegistryUnavailable(answer.url, 'sends an answer that is not from a registry')
        return answer is not None

    def manifest(self, name: str, reference: str | None,
                 timeout: float | None = None) -> dict[str, Any] | None:
        """Return the manifest or index of a tag or digest; None if it does not exist."""
        found = self.whole_manifest(name, reference, timeout)
        return found.content if found else None

    def whole_manifest(self, name: str, reference: str | None,
                       timeout: float | None = None) -> Manifest | None:
        """Return the Manifest of a tag or digest; None if it does not exist."""
        answer = self._get(name, f'manifests/{reference or ""}', _MANIFESTS, BLOB_BYTES, timeout)
        if answer is None:
            return None
        # The digest proves what the registry has sent, whatever its headers contain.
        digest = (reference if is_digest(reference or '')
                  else 'sha256:' + hashlib.sha256(answer.body or b'').hexdigest())
        media_type = answer.headers.get('Content-Type', '').partition(';')[0].strip()
        return Manifest(str(digest), media_type, _object(answer))

    def config(self, name: str, digest: str, timeout: float | None = None) -> dict[str, Any] | None:
        """Return the JSON object in a blob; None if the blob contains none or does not exist.

        A blob of more than 4 MB counts as none, and its rest is not read."""
        answer = self._get(name, f'blobs/{digest}', '*/*', BLOB_BYTES, timeout)
        config = answer and answer.json()
        return config if isinstance(config, dict) else None

    def catalog(self, place: str | None = None) -> Iterator[Page]:
        """Yield pages of names, which may have no tag or not exist: see has and Catalog.pages.

        :param place: that of a page of an earlier catalog, to begin there."""
        path = urlsplit(self.url).path + '/v2/_catalog'
        return Catalog(path, self._page,
                       exists=lambda name: not self.is_cache or self.has(name)).pages(place)

    def _get(self, name: str, path: str, accept: str, limit: int, timeout: float | None,
             method: str = 'GET') -> Answer | None:
        """Return the answer, of status 200; None if nothing can exist there, or does exist."""
        if not is_name(name) or not self._paths.fullmatch(path):
            return None
        answer = self.get(
            f'{self.url}/v2/{name}/{path}', f'repository:{name}:pull', accept, limit,
            timeout, method=method)
        return None if _is_absence(answer, method) else _ok(answer)

    def _page(self, address: str, is_optional: bool) -> Page | None:
        # Version 2 walks the whole storage before it answers.
        answer = self.get(urljoin(self.url, address), _CATALOG_SCOPE, _JSON, LIST_BYTES,
                          read_timeout=300)
        if is_optional and 400 <= answer.status < 500:
            return None
        # Version 2 writes a charset, and lists all storages in the order of directories.
        return Page(_texts(_ok(answer), 'repositories'), self._next(answer),
                    'charset' in answer.headers.get('Content-Type', ''))

    def _next(self, answer: Answer) -> str | None:
        """Return the address of the next page of the catalog, without the host, or None."""
        links = requests.utils.parse_header_links(answer.headers.get('Link', ''))
        found = [link['url'] for link in links if link.get('rel') == 'next']
        if not found:
            return None
        try:
            link = urlsplit(urljoin(answer.url, found[0]))
        except ValueError:
            raise RegistryUnavailable(answer.url, 'sends a link that is not a URL') from None
        if link.hostname != urlsplit(self.url).hostname:
            raise RegistryUnavailable(answer.url, f'links to another host, {link.hostname!r:.100}')
        # Behind a proxy, the link may have the registry's own scheme and port.
        return f'/{link.path.lstrip("/")}?{link.query}'


class CacheClient(RegistryClient):
    """Reads from a pull-through cache without any request that makes it ask its upstream.

    A cache passes on each request for tags, and those for manifests and blobs that it does not
    have. So this client requests only the catalog, and manifests by digests of notifications.

    https://github.com/distribution/distribution/tree/v2.8.2/registry/proxy"""

    is_cache = True
    _paths = re.compile(f'manifests/{_DIGEST}')

    def has(self, name: str, timeout: float | None = None) -> bool:
        """Return True if the catalog of the cache lists a repository, or has too many names in
        front of it to show whether it does."""
        if not is_name(name):
            return False
        query = urlencode({'n': 100, 'last': before(name)})
        answer = self.get(f'{self.url}/v2/_catalog?{query}', _CATALOG_SCOPE, _JSON, LIST_BYTES,
                          timeout)
        names = _texts(_ok(answer), 'repositories')
        # Version 3 on S3 lists "team/app-extra" in front of "team/app".
        return name in names or len(names) >= 100 and names[-1].startswith(
            (name + '-', name + '.', name + '/'))


def before(name: str) -> str:
    """Return a text after all names before a name. A slash sorts before all other characters."""
    return name[:-1] + ('.' if name[-1] == '0' else chr(ord(name[-1]) - 1)) + '~'


def _left(end: float | None) -> float | None:
    return end and end - time.monotonic()


def _is_absence(answer: Answer, method: str) -> bool:
    """Return True if the registry itself reports that nothing exists; a proxy may send a 404."""
    if answer.was_redirected or answer.status not in (400, 404):
        return False
    body = answer.json()
    is_own = method == 'HEAD' or isinstance(body, dict) and isinstance(body.get('errors'), list)
    return is_own and (answer.status == 404 or bool(_INVALID.search(answer.body or b'')))


def _ok(answer: Answer) -> Answer:
    if answer.headers.get(MARK[0]) == MARK[1]:
        raise RegistryUnavailable(
            answer.url, 'is not the registry, but answers from the search index',
            'set REGISTRY_URL to the address of the registry itself, behind any proxy')
    if answer.status != 200:
        raise RegistryUnavailable(answer.url, f'answers with status {answer.status}')
    return answer


def _object(answer: Answer) -> dict[str, Any]:
    if answer.body is None:
        raise RegistryUnavailable(answer.url, 'sends more bytes than a registry would')
    body = answer.json()
    if not isinstance(body, dict):
        raise RegistryUnavailable(answer.url, 'sends an answer that is not a JSON object')
    return body


def _texts(answer: Answer, key: str) -> list[str]:
    found = _object(answer).get(key, False)
    # Go writes null for an empty list.
    texts = [] if found is None else found
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise RegistryUnavailable(answer.url, f'sends an answer without names in {key!r}')
    return texts
