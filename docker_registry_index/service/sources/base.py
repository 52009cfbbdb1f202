"""What all sources of the service have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from ...engine.sync.source import Source
from ..registry.layout import is_name

__all__ = ['StorageSource']

logger = logging.getLogger(__name__)


class StorageSource(Source):
    """A Source that returns names; their descriptions are read from the registry later.

    Subclasses define ``namespaces``, ``tagged`` and ``has``.
    """

    describes_later = True

    def tagged(self, namespace: Any) -> Iterator[str]:
        """Yield the names in a namespace that have a tag, valid or not."""
        raise NotImplementedError

    def repositories(self, namespace: Any) -> Iterator[tuple[str, None]]:
        """Yield (name, None) for each valid name in a namespace that has a tag; log invalid ones.

        :raises: as ``tagged``, after the names that can be read.
        """
        count, example = 0, None
        try:
            for name in self.tagged(namespace):
                if is_name(name):
                    yield name, None
                else:
                    count, example = count + 1, example or name
        finally:
            if count:
                logger.warning(
                    'left out of the search index: %d in %.200r of the storage, such as %.80r: '
                    'a registry takes no such name', count, str(namespace), example)
