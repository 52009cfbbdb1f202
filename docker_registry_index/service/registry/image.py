"""Reads the description of an image: an annotation of its manifest, or a label of its config.

Both may contain anything. Values that do not conform to the specification are ignored.
https://specs.opencontainers.org/image-spec/annotations/"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .client import RegistryClient

#: The tag whose image describes a repository, if that tag exists.
LATEST = 'latest'

#: The most manifests that are read for one image: an index may contain indexes.
_LEVELS = 3
_DESCRIPTION = 'org.opencontainers.image.description'
_TITLE = 'org.opencontainers.image.title'
_PREFERRED = ('linux', 'amd64')
_EMPTY_CONFIG = 'application/vnd.oci.empty.v1+json'
# Tags of signatures, and of the lists of referrers of an image:
# https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_SECONDARY = re.compile(r'sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.[a-z]+)?\Z')


class Texts(NamedTuple):
    """The description and the title in a manifest or config."""

    description: str | None = None
    title: str | None = None


def description(client: RegistryClient, name: str, reference: str | None,
                timeout: float = 10, clock: Callable[[], float] = time.monotonic) -> str | None:
    """Return the description of the image with a tag or digest, or None.

    Costs at most two requests for an image, and one more for each index around it.

    :param timeout: seconds for all requests together, on the clock.
    :raises RegistryUnavailable: the registry cannot be read in that time."""
    end = clock() + timeout
    texts: list[Texts] = []
    for _ in range(_LEVELS):
        manifest = client.manifest(name, reference, timeout=end - clock())
        if not texts and is_secondary(None, manifest):
            return None
        texts.append(of_manifest(manifest))
        if texts[-1].description or not is_index(manifest):
            break
        reference = child_of(manifest)
    digest = config_of(manifest)
    if digest and not texts[-1].description:
        texts.append(of_config(client.config(name, digest, timeout=end - clock())))
    return first_text(texts)


def of_manifest(manifest: object) -> Texts:
    """Return the texts in the annotations of a manifest or index."""
    return _texts(_member(manifest, 'annotations'))


def of_config(config: object) -> Texts:
    """Return the texts in the labels of an image's config."""
    return _texts(_member(_member(config, 'config'), 'Labels'))


def first_text(texts: Iterable[Texts]) -> str | None:
    """Return the first description, or else the first title, or None."""
    descriptions, titles = zip(*texts, Texts())
    return next((text for text in descriptions + titles if text), None)


def is_index(manifest: object) -> bool:
    """Return True if this is an index or a manifest list."""
    return isinstance(_member(manifest, 'manifests'), list)


def child_of(index: object) -> str | None:
    """Return the digest for linux/amd64, or else the first with a platform, or else the first."""
    listed = _member(index, 'manifests')
    children = [child for child in listed if _digest(child)] if isinstance(listed, list) else []
    return _digest(min(children, key=_rank, default=None))


def config_of(manifest: object) -> str | None:
    """Return the digest of the config of a manifest, or None."""
    config = _member(manifest, 'config')
    return None if _member(config, 'mediaType') == _EMPTY_CONFIG else _digest(config)


def is_secondary(tag: object, manifest: object = None) -> bool:
    """Return True if a tag or manifest is that of a signature, an attestation or an SBOM."""
    return (isinstance(tag, str) and _SECONDARY.match(tag) is not None or
            isinstance(_member(manifest, 'subject'), dict))


def best_tag(tags: Iterable[str]) -> str | None:
    """Return the tag whose image describes a repository: latest, or the last ordinary one."""
    own = [tag for tag in tags if not is_secondary(tag)]
    return LATEST if LATEST in own else max(own, default=None)


def _texts(mapping: object) -> Texts:
    return Texts(_text(_member(mapping, _DESCRIPTION)), _text(_member(mapping, _TITLE)))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _rank(child: object) -> int:
    platform = _member(child, 'platform')
    pair = _member(platform, 'os'), _member(platform, 'architecture')
    if pair == _PREFERRED:
        return 0
    return 2 if pair in ((None, None), ('unknown', 'unknown')) else 1


def _digest(descriptor: object) -> str | None:
    return _text(_member(descriptor, 'digest'))


def _member(value: object, key: str) -> Any:
    """Return the value of a key; None if the key is missing, or ``value`` is not a dict."""
    return value.get(key) if isinstance(value, dict) else None
