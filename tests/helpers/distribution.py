"""The catalogs of CNCF Distribution 2.8.2 and 3.x, as their Go code lists them; hidden names, too.

https://github.com/distribution/distribution/blob/v3.1.1/registry/storage/catalog.go
https://github.com/distribution/distribution/blob/v3.1.1/registry/storage/driver/s3-aws/s3.go
https://github.com/distribution/distribution/blob/v3.1.1/registry/storage/driver/walk.go"""
import collections
import random
from urllib.parse import parse_qs, quote, urlsplit

import requests

from docker_registry_index.service.registry.catalog import Catalog, Page
from docker_registry_index.service.registry.connection import RegistryUnavailable

PATH = '/v2/_catalog'


def key(name):
    """Return the first part of the keys that make version 3 list a repository."""
    return name + '/_manifests/'


def by_directory(name):
    """The order of a walk that sorts the entries of each directory."""
    return key(name).rstrip('/').split('/')


def is_less(last, name):
    """lessPath of catalog.go."""
    return last.replace('/', '\0') < name.replace('/', '\0')


class DistributionCatalog:
    """A catalog.

    :param names: of the repositories.
    :param is_of_s3: True for version 3 on S3; False for version 3 on other storages, and 2.8.2.
    :param is_old: True for 2.8.2, which shows it in a header and does not skip what it has listed.
    :ivar requests: Counter of the path and the query of each request."""

    def __init__(self, names, is_of_s3=True, is_old=False):
        self.names = sorted(names, key=key if is_of_s3 else by_directory)
        self.is_of_s3, self.is_old = is_of_s3, is_old
        self.requests = collections.Counter()

    def listed(self, last, size):
        """Repositories of catalog.go: return the names of a page, and if others may follow.

        If the page is full, and the parent of its last name is the next directory, version 3 fails,
        and 2.8.2 adds one name too many, so that it never finds the page to be full."""
        after = key(last)[:-1] if last else ''
        page = []
        for name in self.names:
            is_after = self.is_old or not last or (
                key(name) > after if self.is_of_s3 else by_directory(name) > by_directory(last))
            is_greater = is_after and is_less(last, name)
            if is_greater and len(page) < size:
                page.append(name)
            elif len(page) == size:
                if not (is_greater and page[-1].startswith(name + '/')):
                    return page, True
                if not self.is_old:
                    raise RegistryUnavailable(PATH, 'fails') from requests.ConnectionError()
                return page, False
        return page, False

    def read(self, address, is_optional=False):
        """Return the Page at an address, as RegistryClient reads it."""
        self.requests[address] += 1
        query = parse_qs(urlsplit(address).query)
        size = int(query.get('n', ['100'])[0])
        names, has_more = self.listed(query.get('last', [''])[0], size)
        place = f'{PATH}?last={quote(names[-1], safe="")}&n={size}' if has_more else None
        return Page(names, place, self.is_old)

    def pages(self, size, place=None):
        """Return the pages that Catalog finds, each of so many names, from a place on."""
        return Catalog(PATH, self.read, size).pages(place)

    def read_all(self, size, place=None):
        """Return all names on these pages."""
        return [name for page in self.pages(size, place) for name in list(page)]


def random_names(seed, count):
    """Return names of few components that begin alike, so that many hide others."""
    choose = random.Random(seed)
    words = ['a', 'b', '0', '0a', 'ab', 'a0']

    def component():
        return choose.choice('-._').join(choose.choices(words, k=choose.choice([1, 1, 2, 3])))
    return {'/'.join(component() for _ in range(choose.choice([1, 2, 2, 3, 4])))
            for _ in range(count)}
