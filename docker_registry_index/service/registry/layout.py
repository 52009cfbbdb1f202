"""Where Distribution keeps its repositories, and how to skip. Pure.

    ROOT/docker/registry/v2/repositories/NAME/_layers/...
                                             /_manifests/revisions/...
                                             /_manifests/tags/TAG/...
                                             /_uploads/...

https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/paths.go

A name has slashes, and one repository may lie inside another; what starts
with "_" is never a part of a name. Everything here is about text relative to
the folder of repositories, in the order of S3: that of the bytes.
"""

from __future__ import unicode_literals

import re

__all__ = ['NAME_LENGTH', 'Part', 'cuts_below', 'folder', 'is_name', 'parts',
           'tagged', 'tags_of', 'walk']

NAME_LENGTH = 255

#: More names in one part would leave the other threads without work.
PART_NAMES = 125

_TAGS = '_manifests/tags/'
#: In the order of bytes, nothing is between NAME/_... and NAME/`.
_BEHIND = '`'
# https://github.com/distribution/distribution/blob/v2.8.2/reference/regexp.go
_COMPONENT = '[a-z0-9]+(?:(?:[.]|__|_|-+)[a-z0-9]+)*'
_NAME = re.compile(r'%s(?:/%s)*\Z' % (_COMPONENT, _COMPONENT))


def is_name(value):
    """Whether Distribution takes this for the name of a repository."""
    return (isinstance(value, str) and len(value) <= NAME_LENGTH and
            _NAME.match(value) is not None)


def folder(root):
    """The folder of repositories below Distribution's rootdirectory.

    :param root: as in Distribution's settings: '', 'a/b' or '/a/b'.
    """
    root = root.strip('/')
    return (root + '/' if root else '') + 'docker/registry/v2/repositories/'


def tags_of(name):
    """The folder of a repository's tags."""
    return '%s/%s' % (name, _TAGS)


def tagged(key):
    """The name of the repository whose tag this key belongs to, or None.

    Whatever is in the folder of a tag makes it one: so does the registry's
    own list of tags.
    """
    name, inner = _split(key)
    is_tag = inner.startswith(_TAGS) and inner != _TAGS
    return name if is_tag and name else None


def walk(page_after, after='', before=None):
    """Yield each name with a tag whose keys lie between two places.

    What is of no use to it is skipped where a page ends: at most one request
    for each 1 000 keys, and at most three for each repository.

    :param page_after: of a key or place, gives the keys behind it in order,
        as many as one request brings, and whether there are more.
    :param before: the first place that is too far; None for no end.
    """
    name, is_more = None, True
    while is_more:
        keys, is_more = page_after(after)
        for key in keys:
            if before is not None and key >= before:
                return
            found = tagged(key)
            if found and found != name:
                name = found
                yield name
        if keys:
            after = _next_place(keys[-1])
        if before is not None and after >= before:
            return


class Part(object):
    """The keys from one place up to another; its text is for the log."""

    def __init__(self, after, before, first, last):
        self.after = after
        self.before = before
        self._text = first if first == last else '%s to %s' % (first, last)

    def __str__(self):
        return self._text


def parts(cuts, count):
    """Cut everything into ``count`` parts, or more when they get too big.

    :param cuts: folders in order; parts begin at some of these.
    """
    size = max(1, min(PART_NAMES, -(-len(cuts) // count)))
    starts = range(0, len(cuts), size)
    for start in starts:
        end = min(start + size, len(cuts))
        yield Part(cuts[start] if start else '',
                   cuts[end] if end < len(cuts) else None,
                   cuts[start].rstrip('/'), cuts[end - 1].rstrip('/'))


def cuts_below(cut, folders):
    """The places where a folder may be cut, given those inside it."""
    return [cut] + [each for each in folders
                    if not each[len(cut):].startswith('_')]


def _next_place(key):
    """The place behind which a listing goes on after this key.

    Either the tags of its repository, or what is behind its own folders.
    """
    name, inner = _split(key)
    if not name:
        return key
    if inner < _TAGS:
        return name + '/' + _TAGS
    return name + '/' + _BEHIND


def _split(key):
    """(name, what is behind it); no name in a key that is of none."""
    name, slash, inner = key.partition('/_')
    return (name, '_' + inner) if slash else ('', '')
