"""What a person wants to know about a tag: its size, platforms, creation time, digest and labels.

Manifests and configs may contain anything. Values that do not conform are ignored."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ...engine.errors import safe
from ...engine.store.text import to_text
from .client import RegistryClient, is_digest
from .connection import RegistryUnavailable
from .image import (
    annotations_of, child_of, config_of, entries, is_secondary, labels_of, member, text_in)

#: The most platforms that are listed, and those whose manifests are read for their sizes.
_PLATFORMS, _READ = 50, 5
#: The most labels and annotations that are listed, and the characters of their names and values.
_PAIRS, _LONGEST = 100, 1000
_TIME = re.compile(r'([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?'
                   r'(?:[Zz]|([+-][0-9]{2}:[0-9]{2}))\Z')
IMAGE, SECONDARY, ARTIFACT = 'image', 'signature, attestation or build cache', 'artifact'
#: Further kinds of content, by the media type of the config.
_KINDS = {'application/vnd.docker.container.image.v1+json': IMAGE,
          'application/vnd.oci.image.config.v1+json': IMAGE,
          'application/vnd.cncf.helm.config.v1+json': 'Helm chart',
          'application/vnd.docker.plugin.v1+json': 'Docker plugin'}


class Platform(NamedTuple):
    """A platform of an image: its name, digest, and the bytes of its layers if they are known."""

    name: str
    digest: str
    size: int | None = None


class Pairs(NamedTuple):
    """The first labels or annotations, and how many others there are."""

    shown: list[tuple[str, str]]
    others: int


class Details(NamedTuple):
    """What is known about a tag.

    :ivar kind: one of the kinds above.
    :ivar size: bytes of the layers; those of the first platform of an index; None if unknown.
    :ivar others: the number of platforms that are not listed.
    :ivar is_whole: False if the registry has not answered all requests in time."""

    digest: str
    media_type: str
    kind: str
    size: int | None
    platforms: list[Platform]
    others: int
    created: datetime | None
    description: str
    annotations: Pairs
    labels: Pairs
    is_whole: bool


def read_details(client: RegistryClient, name: str, reference: str, timeout: float,
                 clock: Callable[[], float] = time.monotonic) -> Details | None:
    """Return the Details of a tag or digest; None if it does not exist.

    Costs at most two requests for an image. For an index of several platforms, it costs one more
    for each of the first five, and one for linux/amd64 if this is not one of them.

    :param timeout: seconds for all requests together, on the clock.
    :raises RegistryUnavailable: the manifest cannot be read in that time."""
    end = clock() + timeout
    top = client.whole_manifest(name, reference, timeout)
    if top is None:
        return None
    children, manifests, is_whole = _children(top.content), {top.digest: top.content}, False
    main, config = (children and child_of(top.content)) or top.digest, None

    def read(digest: str) -> None:
        if digest not in manifests:
            manifests[digest] = client.manifest(name, digest, end - clock()) or {}

    with contextlib.suppress(RegistryUnavailable):
        read(main)
        place = config_of(manifests[main])
        config = client.config(name, place, end - clock()) if place else None
        for digest in list(children)[:_READ]:
            read(digest)
        is_whole = True
    sizes = {digest: _size(manifest) for digest, manifest in manifests.items()}
    platforms = [Platform(text, digest, sizes.get(digest)) for digest, text in children.items()]
    image = manifests.get(main, {})
    annotations = {**annotations_of(image), **annotations_of(top.content)}
    return Details(
        digest=top.digest, media_type=_line(top.media_type), kind=_kind(top.content, image),
        size=sizes.get(main), platforms=platforms[:_PLATFORMS] or [
            Platform(_platform_name(config), main, sizes.get(main))],
        others=max(0, len(platforms) - _PLATFORMS),
        created=_time(config, 'created') or _time(
            annotations, 'org.opencontainers.image.created'),
        description=_line(text_in([annotations, labels_of(config)]) or ''),
        annotations=_pairs(annotations), labels=_pairs(labels_of(config)), is_whole=is_whole)


def _children(index: object) -> dict[str, str]:
    """Return digest to platform of each image in an index. An attestation is no image."""
    found = {str(member(child, 'digest')): _platform_name(member(child, 'platform'))
             for child in entries(index, 'manifests') if is_digest(str(member(child, 'digest')))}
    return {digest: text for digest, text in found.items() if not text.startswith('unknown')}


def _platform_name(parts: object) -> str:
    """Return OS/ARCHITECTURE/VARIANT of a platform or a config, or ''."""
    texts = [member(parts, key) for key in ('os', 'architecture', 'variant')]
    text = '/'.join(each for each in texts if isinstance(each, str) and each)
    version = member(parts, 'os.version')
    return _line(f'{text} {version}' if text and isinstance(version, str) else text)[:100]


def _kind(top: object, image: object) -> str:
    if is_secondary(None, top) or is_secondary(None, image):
        return SECONDARY
    is_layered = member(image, 'layers') is not None
    return _KINDS.get(str(member(image, 'config', 'mediaType')), ARTIFACT if is_layered else IMAGE)


def _size(manifest: object) -> int | None:
    """Return the sum of the layers of an image; None if a size is missing."""
    sizes = [member(layer, 'size') for layer in entries(manifest, 'layers')]
    is_known = isinstance(member(manifest, 'layers'), list) and all(
        type(size) is int and 0 <= size < 2 ** 63 for size in sizes)
    return sum(sizes) if is_known else None


def _time(document: object, key: str) -> datetime | None:
    """Return a time in UTC; None if there is none, or a time before 1971, which stands for none."""
    text = member(document, key)
    found = _TIME.match(text) if isinstance(text, str) else None
    try:
        when = found and datetime.fromisoformat(found[1] + (found[2] or '+00:00')).astimezone(
            timezone.utc)
    except (ValueError, OverflowError):
        return None
    return when if when and when.year > 1970 else None


def _pairs(texts: Mapping[str, Any]) -> Pairs:
    pairs = sorted((key, text) for key, text in texts.items() if isinstance(text, str))
    return Pairs([(_line(key), _line(text)) for key, text in pairs[:_PAIRS]],
                 max(0, len(pairs) - _PAIRS))


def _line(text: str) -> str:
    """Return the beginning of a text as one well-formed line without control characters."""
    line = ' '.join(to_text(text[:_LONGEST + 1]).split())
    return str(safe(line[:_LONGEST] + '…' * (len(line) > _LONGEST)))
