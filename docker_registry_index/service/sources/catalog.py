"""The source that lists the repositories in the registry's own catalog, which may be slow."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from ..registry.catalog import Page
from ..registry.client import RegistryClient
from ..registry.connection import CredentialsRefused
from ..registry.layout import is_name
from .storage import StorageSource

logger = logging.getLogger(__name__)

#: The names in a chunk, and the requests at a time, which are for names of all chunks: a slow one
#: delays no other name. The most seconds for one name, because its tags may take minutes.
CHUNK, REQUESTS, SECONDS = 50, 8, 5
#: Consecutive unreadable names after which the registry itself may be unavailable.
FAILURES = 3
#: The most unreadable repositories of a load that the log names.
_SHOWN = 10


class CatalogSource(StorageSource):
    """A Source of the names in /v2/_catalog that have a tag; of all names of a pull-through cache.

    Costs a request for each 1 000 names, and one for each repository. A repository is doubtful if
    its tags cannot be read, but the tags of others can.

    :param names: a function that returns lines with a name each, to list instead of the catalog."""

    def __init__(self, client: RegistryClient,
                 names: Callable[[], Iterable[str]] | None = None) -> None:
        self._client, self._names = client, names
        self._doubtful: set[str] = set()
        # A name whose tags could be read, in any load.
        self._good: str | None = None
        self._start: str | None = None
        self._requests = ThreadPoolExecutor(REQUESTS)

    def resume_at(self, place: str | None) -> None:
        """Make the next call of ``namespaces`` begin at the address of a page."""
        self._start = place

    def namespaces(self) -> Iterator[Page]:
        """Yield the names of the catalog in chunks of at most 50, as its pages arrive."""
        start, self._start, self._doubtful = self._start, None, set()
        names = filter(None, map(str.strip, self._names() if self._names else ()))
        in_file = map(Page, iter(lambda: list(itertools.islice(names, CHUNK)), []))
        for page in in_file if self._names else self._client.catalog(start):
            for first in range(0, len(page), CHUNK):
                yield Page(page[first:first + CHUNK])
            if page.place is not None:
                yield Page([], page.place)

    def may_contain(self, namespace: Page, name: str) -> bool:
        """Return True if the catalog lists a name in a chunk."""
        return name in namespace

    def has(self, name: str) -> bool:
        """Return True if a repository has a tag now. Costs one request."""
        return self._client.has(name)

    def doubtful(self) -> frozenset[str]:
        """Return the set of the names in the catalog whose tags cannot be read."""
        return frozenset(self._doubtful)

    def tagged(self, namespace: Page) -> Iterator[str]:
        """Yield each name of a chunk that has a tag.

        :raises RegistryUnavailable: the registry itself seems to be unavailable."""
        if self._client.is_cache and not self._names:
            # The tags of its repositories cannot be read.
            yield from namespace
            return
        # No request for an invalid name: repositories() logs it.
        yield from itertools.filterfalse(is_name, namespace)
        names, answers = filter(is_name, namespace), dict[Future[bool], str]()
        failed: dict[str, BaseException] = {}
        failures = 0
        try:
            while True:
                answers.update((self._requests.submit(self._client.has, name, SECONDS), name)
                               for name in itertools.islice(names, REQUESTS - len(answers)))
                if not answers:
                    break
                for answer in wait(answers, return_when=FIRST_COMPLETED).done:
                    name, error = answers.pop(answer), answer.exception()
                    if error is None:
                        self._doubt(failed)
                        failed, failures, self._good = {}, 0, name
                        if answer.result():
                            yield name
                        continue
                    failed[name] = error
                    # A refusal of one name does not show that the registry is unavailable.
                    failures += not isinstance(error, CredentialsRefused)
                    if failures >= FAILURES - (self._good is None):
                        self._doubt_unless_down(failed, namespace)
                        failed, failures = {}, 0
            self._doubt_unless_down(failed, namespace)
        finally:
            for answer in answers:
                answer.cancel()

    def _doubt_unless_down(self, failed: dict[str, BaseException], namespace: Page) -> None:
        """Note that names are doubtful if a request for another name succeeds; otherwise raise."""
        if failed:
            others = [name for name in namespace if is_name(name) and name not in failed]
            good = self._good or (others or list(failed))[-1]
            self._client.has(good)
            self._good = good
            self._doubt(failed)

    def _doubt(self, failed: dict[str, BaseException]) -> None:
        for name, error in failed.items():
            self._doubtful.add(name)
            count = len(self._doubtful)
            if count <= _SHOWN:
                logger.warning('the tags of %.80r cannot be read; the repository stays unchanged '
                               'in the search index: %s%s', name, error,
                               '; further ones are not logged' if count == _SHOWN else '')
