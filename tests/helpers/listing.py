"""A registry's storage in a directory or a bucket, and what a load sees of a source."""
import bisect
import os

from docker_registry_index.engine.sync.listing import Listing

#: Where a registry's storage has the directories of its repositories.
REPOSITORIES = 'docker/registry/v2/repositories/'


def make_repositories(root, *names):
    """Make repositories with a tag in a registry's storage."""
    for name in names:
        make_tree(root, [name + rest for rest in (
            '/_manifests/tags/latest/current/link', '/_layers/sha256/0/')])


def make_tree(root, paths):
    """Make files below REPOSITORIES, or directories if a path ends with a slash."""
    for path in paths:
        path = os.path.join(str(root), REPOSITORIES, path)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        if not path.endswith('/'):
            with open(path, 'w') as written:
                written.write('sha256:' + 64 * '0')


def keys_of(name, tags=1, layers=1, revisions=1, uploads=0):
    """Return the keys below REPOSITORIES that Distribution keeps for a repository in a bucket."""
    return (['%s/_layers/sha256/%064x/link' % (name, place) for place in range(layers)] +
            ['%s/_manifests/revisions/sha256/%064x/link' % (name, place)
             for place in range(revisions)] +
            ['%s/_manifests/tags/v%d/%s' % (name, place, rest) for place in range(tags)
             for rest in ('current/link', 'index/sha256/%064x/link' % 15)] +
            ['%s/_uploads/%036x/startedat' % (name, place) for place in range(uploads)])


class Bucket(object):
    """A bucket in memory with keys below REPOSITORIES. It is also an S3 client that can only list.

    :param size: the keys in a page of page_after.
    :ivar requests: the number of requests."""

    def __init__(self, keys, size=1000):
        self.keys, self.size, self.requests = sorted(keys), size, 0

    def page_after(self, place, prefix=''):
        """Return a page of the keys after a place, and whether more follow."""
        self.requests += 1
        keys = [key for key in self.keys[bisect.bisect_right(self.keys, place):]
                if key.startswith(prefix)]
        return keys[:self.size], len(keys) > self.size

    def folders(self, inside):
        """Return the folders in a folder."""
        return sorted({inside + key[len(inside):].partition('/')[0] + '/' for key in self.keys
                       if key.startswith(inside) and '/' in key[len(inside):]})

    def list_objects_v2(self, Bucket, Prefix, StartAfter):
        prefix, after = [place[len(REPOSITORIES):] for place in (Prefix, StartAfter)]
        found, is_truncated = self.page_after(after, prefix)
        return {'Contents': [{'Key': REPOSITORIES + key} for key in found],
                'IsTruncated': is_truncated}

    def get_paginator(self, operation):
        return self

    def paginate(self, Bucket, Prefix, Delimiter):
        folders = self.folders(Prefix[len(REPOSITORIES):])
        for start in range(0, max(1, len(folders)), 1000):
            self.requests += 1
            yield {'IsTruncated': start + 1000 < len(folders),
                   'CommonPrefixes': [{'Prefix': REPOSITORIES + folder}
                                      for folder in folders[start:start + 1000]]}


def listed(source, heartbeat=lambda: None, meanwhile=lambda: False, **more):
    """Return the names in a source in order, and the namespaces that cannot be read.

    :param more: the seconds and the clock of the Listing."""
    listing = Listing(source, **more)
    names = sorted(name for batch in listing.batches(heartbeat, meanwhile) for name, _ in batch)
    return names, sorted(listing.unreadable, key=str)
