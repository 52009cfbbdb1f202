"""A registry, read through its own API.

https://distribution.github.io/distribution/spec/api/
"""

from __future__ import unicode_literals

import re
from urllib.parse import urljoin, urlsplit

import requests.utils

from .errors import RegistryUnavailable
from .layout import is_name
from .connection import Connection

__all__ = ['RegistryClient']

#: Distribution takes no larger manifest; a config of a real image is small.
BLOB_BYTES = 4 * 1024 * 1024
#: A repository may have very many tags.
LIST_BYTES = 32 * 1024 * 1024
#: A registry of version 2 walks its whole store before it says anything.
CATALOG_SECONDS = 300
#: Pages without a name that are followed one after the other.
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
_DIGEST = re.compile(r'[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*'
                     r':[0-9a-fA-F]{32,256}\Z')
#: What a registry says of a name or reference that it would never take.
_INVALID = frozenset(['NAME_INVALID', 'TAG_INVALID', 'DIGEST_INVALID'])


class RegistryClient(object):
    """The API of one registry, with credentials that may only read.

    Safe to use from several threads. No error and no log has the password.

    :param url: REGISTRY_URL, such as http://registry:5000.
    :param username: REGISTRY_USERNAME; None for nobody. Sent as Basic, or
        exchanged for a token where the registry asks for that.
    :param password: REGISTRY_PASSWORD.
    :param ca_file: certificates that sign the registry's; None for certifi's.
    :param connect_timeout: seconds.
    :param read_timeout: seconds between two pieces of an answer; those of
        the catalog may take 300.
    :param pool: connections that are kept open.

    Each method takes a ``timeout``: seconds for all it does, at the end of
    which it raises. Without one, a lost connection is tried once more.
    Each raises RegistryUnavailable where no registry answers, and its kind
    CredentialsRefused.
    """

    def __init__(self, url, username=None, password=None, ca_file=None,
                 connect_timeout=2, read_timeout=10, pool=20):
        self._read_timeout = read_timeout
        self._connection = Connection(url, username, password, ca_file,
                                      connect_timeout, read_timeout, pool)

    def __repr__(self):
        return '<RegistryClient %s>' % self._connection.url

    def tags(self, name, timeout=None):
        """The tags of a repository; [] when it has none, or is unknown.

        A registry of version 3 gives the first hundred.
        """
        if not is_name(name):
            return []
        answer = self._get(name, 'tags/list?n=100', _JSON, LIST_BYTES,
                           timeout)
        if answer is None:
            return []
        return _texts(_listed(answer, 'tags'), answer)

    def has(self, name, timeout=None):
        """Whether a repository has a tag."""
        return bool(self.tags(name, timeout))

    def manifest(self, name, reference, timeout=None):
        """(media type, manifest) of a tag or digest; None when unknown."""
        if not is_name(name) or not _is(reference, _TAG, _DIGEST):
            return None
        answer = self._get(name, 'manifests/' + reference, _MANIFESTS,
                           BLOB_BYTES, timeout)
        if answer is None:
            return None
        manifest = _dict(answer)
        given = answer.headers.get('Content-Type', '')
        return given.partition(';')[0].strip().lower(), manifest

    def config(self, name, digest, timeout=None):
        """The JSON object in a blob; None when there is none, or it is
        larger than 4 MB: no more is ever read."""
        if not is_name(name) or not _is(digest, _DIGEST):
            return None
        answer = self._get(name, 'blobs/' + digest, '*/*', BLOB_BYTES,
                           timeout)
        config = answer and answer.json()
        return config if isinstance(config, dict) else None

    def catalog(self):
        """Yield the names of all repositories, a list for each page.

        Also names without a tag: see has.
        """
        url = self._connection.url + '/v2/_catalog'
        answer = self._page(url + '?n=1000')
        if answer.status == 400 and _TOO_MANY in (_codes(answer) or ()):
            answer = self._page(url)
        progress = _Progress()
        while True:
            names = _texts(_listed(_ok(answer), 'repositories'), answer)
            yield names
            url = self._next(answer)
            if url is None:
                return
            progress.check(url, names, answer)
            answer = self._page(url)

    def _get(self, name, rest, accept, limit, timeout):
        """An answer of status 200; None where the registry knows no such
        thing."""
        answer = self._connection.get(
            '%s/v2/%s/%s' % (self._connection.url, name, rest),
            'repository:%s:pull' % name, accept, limit, timeout)
        return None if _is_absence(answer) else _ok(answer)

    def _page(self, url):
        return self._connection.get(
            url, 'registry:catalog:*', _JSON, LIST_BYTES,
            read_timeout=max(self._read_timeout, CATALOG_SECONDS))

    def _next(self, answer):
        """The address of the next page of the catalog, or None."""
        links = requests.utils.parse_header_links(
            answer.headers.get('Link', ''))
        found = [link['url'] for link in links if link.get('rel') == 'next']
        if not found:
            return None
        base = urlsplit(self._connection.url)
        try:
            parts = urlsplit(urljoin(answer.url, found[0]))
        except ValueError:
            raise _unlike(answer, 'links to what is no address')
        if parts.hostname != base.hostname:
            raise _unlike(answer, 'leads to another host, %.100r'
                          % parts.hostname)
        # Behind a proxy, scheme and port may be the registry's own.
        return '%s://%s%s?%s' % (base.scheme, base.netloc, parts.path,
                                 parts.query)


class _Progress(object):
    """Ends a walk that goes round in circles."""

    def __init__(self):
        self._seen = set()
        self._empty = 0

    def check(self, url, names, answer):
        """Note a page and the address of the next one.

        :raises RegistryUnavailable: one of them was there before.
        """
        self._empty = 0 if names else self._empty + 1
        marks = [('url', url)] + [('name', name) for name in names[-1:]]
        if not self._seen.isdisjoint(marks) or self._empty > EMPTY_PAGES:
            raise _unlike(answer, 'goes on with a page that was there before')
        self._seen.update(marks)


def _is(value, *patterns):
    return isinstance(value, str) and any(
        pattern.match(value) for pattern in patterns)


def _is_absence(answer):
    """Whether a registry says so; a mere 404 may be that of some proxy."""
    codes = _codes(answer)
    if codes is None or answer.was_redirected:
        return False
    return answer.status == 404 or (answer.status == 400 and
                                    not _INVALID.isdisjoint(codes))


def _codes(answer):
    """The error codes in an answer; None when it is not a registry's."""
    body = answer.json()
    listed = body.get('errors') if isinstance(body, dict) else None
    if not isinstance(listed, list):
        return None
    return ['%s' % error.get('code') for error in listed
            if isinstance(error, dict)]


def _ok(answer):
    if answer.status != 200:
        raise _unlike(answer, 'answers with status %d' % answer.status)
    return answer


def _dict(answer):
    if answer.body is None:
        raise _unlike(answer, 'sends more than a registry would')
    body = answer.json()
    if not isinstance(body, dict):
        raise _unlike(answer, 'answers something that is no JSON object')
    return body


def _listed(answer, key):
    body = _dict(answer)
    if key not in body:
        raise _unlike(answer, 'answers without %r' % key)
    # Null is what Go makes of an empty list.
    return [] if body[key] is None else body[key]


def _texts(listed, answer):
    if not isinstance(listed, list) or not all(
            isinstance(each, str) for each in listed):
        raise _unlike(answer, 'answers with a list that is none of names')
    return listed


def _unlike(answer, problem):
    return RegistryUnavailable(answer.url.partition('?')[0], problem)
