"""What all sources of the service have in common: they know names only."""

from __future__ import unicode_literals

import logging

from ...engine.sync.source import Source
from ..registry.layout import is_name

__all__ = ['StorageSource', 'legal']

logger = logging.getLogger(__name__)


class StorageSource(Source):
    """A Source without descriptions: the registry is asked for them later."""

    describes_later = True


def legal(names, part):
    """Yield (name, None) for the names that Distribution would accept.

    The others are left out, and one warning says so.

    :param part: that they were listed for; its text is for the log.
    """
    count, example = 0, None
    try:
        for name in names:
            if is_name(name):
                yield name, None
            else:
                count, example = count + 1, example or name
    finally:
        if count:
            logger.warning(
                'left out of the search index: %d in %.200r of the storage, '
                'such as %.80r: a registry takes no such name', count,
                str(part), example)
