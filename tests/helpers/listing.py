"""A registry's storage in a directory, and what a load sees of a source."""
import os

from docker_registry_index.engine.sync.listing import Listing

#: Where a registry's storage has the directories of its repositories.
REPOSITORIES = 'docker/registry/v2/repositories/'


def make_repositories(root, *names):
    """Make repositories with a tag in a registry's storage."""
    for name in names:
        for folder in '_manifests/tags/latest/current', '_layers/sha256/0':
            os.makedirs(os.path.join(str(root), REPOSITORIES, name, folder))


def keys_of(name, tags=1, layers=1, revisions=1, uploads=0):
    """Return the keys below REPOSITORIES that Distribution keeps for a repository in a bucket."""
    return (['%s/_layers/sha256/%064x/link' % (name, place) for place in range(layers)] +
            ['%s/_manifests/revisions/sha256/%064x/link' % (name, place)
             for place in range(revisions)] +
            ['%s/_manifests/tags/v%d/%s' % (name, place, rest) for place in range(tags)
             for rest in ('current/link', 'index/sha256/%064x/link' % 15)] +
            ['%s/_uploads/%036x/startedat' % (name, place) for place in range(uploads)])


def listed(source, heartbeat=lambda: None, meanwhile=lambda: False, **more):
    """Return the names in a source in order, and the namespaces that cannot be read.

    :param more: the seconds and the clock of the Listing."""
    listing = Listing(source, **more)
    names = sorted(name for batch in listing.batches(heartbeat, meanwhile) for name, _ in batch)
    return names, sorted(listing.unreadable)
