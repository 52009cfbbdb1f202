"""A registry's storage in a directory, and what a load sees of a source."""
import os

from docker_registry_index.engine.sync.listing import Listing

__all__ = ['REPOSITORIES', 'listed', 'make_repositories']

#: Where a registry's storage has the directories of its repositories.
REPOSITORIES = 'docker/registry/v2/repositories/'


def make_repositories(root, *names):
    """Make repositories with a tag in a registry's storage."""
    for name in names:
        for folder in '_manifests/tags/latest/current', '_layers/sha256/0':
            os.makedirs(os.path.join(str(root), REPOSITORIES, name, folder))


def listed(source):
    """Return the names in a source in order, and the namespaces that cannot be read."""
    listing = Listing(source)
    names = sorted(name for batch in listing.batches(lambda: None) for name, _ in batch)
    return names, sorted(listing.unreadable)
