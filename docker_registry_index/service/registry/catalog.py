"""Catalog, which reads the names in a registry's catalog, and those that the ends of pages hide.

CNCF Distribution leaves out all names up to the last one of the page before. It compares names as
if "/" came before all other characters, but lists them in another order:

- Versions 3.0.0 to 3.1.1 list the keys of S3 in the order of their bytes, where "-" and "." precede
  "/". The end ``team/app-extra`` hides ``team/app`` and all of ``team/app/...``, which follow it.
  https://github.com/distribution/distribution/issues/4903
- With all storages, ``team/0app`` precedes the folder ``team/_manifests``, and so hides ``team``.
  If that is the next name, version 2 sends no link to the next page, and version 3 no answer.

https://github.com/distribution/distribution/blob/v3.1.1/registry/storage/catalog.go"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlencode

import requests

from .connection import RegistryUnavailable

#: The header of all answers that come from an index and not from a registry.
MARK = ('Answered-By', 'docker-registry-index-dynamodb')
# What follows a name in an end that hides it; and the size of a page in its address.
_HIDING = re.compile('(?<=[a-z0-9])(?:[-.]|/(?=[0-9]))')
_SIZE = re.compile(r'(?<=[?&]n=)[0-9]+')


class Page(list[str]):
    """Some names of a catalog.

    :param place: the address of the next page; None if there is none, or hidden names follow.
    :param is_in_order: True if the registry cannot list keys in the order of their bytes."""

    def __init__(self, names: Iterable[str] = (), place: str | None = None,
                 is_in_order: bool = False) -> None:
        super().__init__(names)
        self.place, self.is_in_order = place, is_in_order

    def __str__(self) -> str:
        return f'{self[0]} to {self[-1]}'


class Catalog:
    """Reads one catalog, once.

    :param path: the address of the catalog, without the host.
    :param read: returns the Page at an address; with True, returns None if the registry refuses it.
    :param size: the most names on a page.
    :param exists: asks whether a name that a page may hide exists; by default, such names count."""

    def __init__(self, path: str, read: Callable[[str, bool], Page | None],
                 size: int = 1000, exists: Callable[[str], bool] = lambda name: True) -> None:
        self._path, self._read, self._size, self._exists = path, read, size, exists
        # Names that were hidden, and the folders that were read to find them.
        self._found: set[str] = set()
        self._is_in_order = False

    def pages(self, place: str | None = None) -> Iterator[Page]:
        """Yield the names from a place on, each once; raise RegistryUnavailable.

        Costs a request for each page, and for its end at most one for each "-" and "." in it. Also
        yields the few names that the end itself may hide, although they may not exist."""
        end: list[str] = []
        before: list[str] = []
        # The registry may refuse a place that is too old, or so many names.
        first = [f'{self._path}?n={self._size}', f'{self._path}?n=100', self._path]
        for page in self._walk(self._page(*[place] if place else [], *first)):
            keys = [name + '/_manifests/' for name in end + page]
            self._is_in_order |= page.is_in_order or keys != sorted(keys)
            # After the end "team", Distribution lists "team/0app" again.
            yield Page(name for name in page if name not in before and name not in self._found)
            end, before = page[-1:] or end, page
            if page.place is not None:
                self._size = min(self._size, len(page) or self._size)
                yield from self._hidden_by(''.join(end))
                yield Page([], page.place)

    def _walk(self, page: Page) -> Iterator[Page]:
        seen: set[str] = set()
        idle = 0
        while True:
            yield page
            if page.place is None:
                return
            idle = 0 if page and page[-1] not in seen else idle + 1
            seen.update(page[-1:])
            if idle > 100:
                raise RegistryUnavailable(page.place, 'repeats a page of its catalog')
            page = self._page(page.place)

    def _hidden_by(self, end: str) -> Iterator[Page]:
        for match in _HIDING.finditer(end):
            name, is_folder = end[:match.start()], match[0] != '/'
            if not is_folder or not self._is_in_order:
                yield self._new([name] if self._exists(name) else [])
                if is_folder and self._new([name + '/']):
                    yield from self._inside(name + '/')

    def _inside(self, folder: str) -> Iterator[Page]:
        """Yield the names in a folder, if it has any."""
        for size in 1, self._size:
            # In both orders, "team/-" precedes all names in the folder "team/", and the next name.
            page = self._page(self._after(folder + '-', size))
            if not page or not page[0].startswith(folder):
                return
        for page in self._walk(page):
            names = [name for name in page if name.startswith(folder)]
            yield self._new(names)
            if len(names) < len(page) or page.place is None:
                return
            yield from self._hidden_by(''.join(names[-1:]))

    def _page(self, address: str, *others: str, attempts: int = 4) -> Page:
        """Return the page at an address, or at the first other one that is not refused."""
        try:
            page = self._read(address, bool(others))
        except RegistryUnavailable as error:
            if attempts == 1 or not isinstance(error.__cause__, requests.ConnectionError):
                raise
            address = _SIZE.sub(lambda size: str(int(size[0]) - 1 or attempts), address)
            return self._page(address, *others, attempts=attempts - 1)
        if page is None:
            return self._page(*others)
        size = _SIZE.search(address)
        is_full = page and (size is None or len(page) == int(size[0]))
        if page.place is None and is_full and '/' in _HIDING.findall(page[-1]):
            page.place = self._after(page[-1], len(page))
        return page

    def _after(self, last: str, size: int) -> str:
        return f'{self._path}?{urlencode({"last": last, "n": size})}'

    def _new(self, names: list[str]) -> Page:
        new = Page(name for name in names if name not in self._found)
        self._found.update(new)
        return new
