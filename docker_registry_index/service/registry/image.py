"""The description that an image carries about itself. Pure.

In the annotations of its manifest or index, else in the labels of its
config. They come from whoever pushed it: anything may be in there, and what
is not as it should be counts as not there.

https://specs.opencontainers.org/image-spec/annotations/
"""

from __future__ import unicode_literals

import collections
import re

__all__ = ['LATEST', 'NOTHING', 'Said', 'best_tag', 'child_of', 'chosen', 'config_of',
           'is_index', 'is_secondary', 'of_config', 'of_manifest']

#: What one document says: text, or None where it says nothing.
Said = collections.namedtuple('Said', 'description title')
NOTHING = Said(None, None)

#: The tag that speaks for a repository.
LATEST = 'latest'

_DESCRIPTION = 'org.opencontainers.image.description'
_TITLE = 'org.opencontainers.image.title'
_PREFERRED = ('linux', 'amd64')
_EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json'
# Signatures and the like, and the lists of what refers to an image:
# https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_SECONDARY = re.compile(
    r'sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.[a-z]+)?\Z')


def of_manifest(manifest):
    """What the annotations of a manifest or index say: a Said."""
    return _said(_member(manifest, 'annotations'))


def of_config(config):
    """What the labels in the config of an image say: a Said."""
    return _said(_member(_member(config, 'config'), 'Labels'))


def chosen(said):
    """The text to show: the first description, else the first title.

    :param said: what each document says, those closest to the tag first.
    :return: text, or None when none says anything.
    """
    texts = [each.description for each in said] + [
        each.title for each in said]
    return next((text for text in texts if text), None)


def is_index(manifest):
    """Whether this is an index or list of manifests."""
    return isinstance(_member(manifest, 'manifests'), list)


def child_of(index):
    """The digest of the manifest that speaks for an index, or None.

    That for Linux on amd64, else the first for any platform, else the first.
    """
    listed = _member(index, 'manifests')
    children = [child for child in listed if _digest(child)] if isinstance(
        listed, list) else []
    ranked = sorted(children, key=_rank)
    return _digest(ranked[0]) if ranked else None


def config_of(manifest):
    """The digest of a manifest's config; None when there is none to read."""
    config = _member(manifest, 'config')
    if _member(config, 'mediaType') == _EMPTY_CONFIG:
        return None
    return _digest(config)


def is_secondary(tag, manifest=None):
    """Whether what was pushed says nothing about its repository.

    Signatures, attestations and SBOMs, told by their tag or by the subject
    they refer to.

    :param tag: or None when it has none.
    :param manifest: or None when it is not known yet.
    """
    return (isinstance(tag, str) and _SECONDARY.match(tag) is not None or
            isinstance(_member(manifest, 'subject'), dict))


def best_tag(tags):
    """The tag that speaks for a repository: latest, else the last in order
    that is no signature or the like; None when there is none."""
    own = [tag for tag in tags if not is_secondary(tag)]
    return LATEST if LATEST in own else max(own, default=None)


def _said(texts):
    return Said(_text(_member(texts, _DESCRIPTION)),
                _text(_member(texts, _TITLE)))


def _text(value):
    return value if isinstance(value, str) and value.strip() else None


def _rank(child):
    platform = _member(child, 'platform')
    pair = _member(platform, 'os'), _member(platform, 'architecture')
    if pair == _PREFERRED:
        return 0
    return 2 if pair in ((None, None), ('unknown', 'unknown')) else 1


def _digest(descriptor):
    digest = _member(descriptor, 'digest')
    return digest if isinstance(digest, str) and digest else None


def _member(value, key):
    """What a dict has under a key; None where there is no dict or no key."""
    return value.get(key) if isinstance(value, dict) else None
