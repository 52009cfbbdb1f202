"""Chooses the tag that describes a repository, and reads the description of its image.

Manifests and configs may contain anything. Values that do not conform are ignored.
https://specs.opencontainers.org/image-spec/annotations/"""

from __future__ import annotations

import contextlib
import heapq
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .client import LATEST, RegistryClient
from .connection import CredentialsRefused

#: The annotations and labels that contain a description, the best first: those of OCI, of
#: http://label-schema.org/rc1/, and of
#: https://github.com/projectatomic/ContainerApplicationGenericLabels
_DESCRIPTIONS = ('org.opencontainers.image.description', 'org.label-schema.description',
                 'description', 'io.k8s.description', 'summary')
_TITLE = 'org.opencontainers.image.title'
_BASE = 'org.opencontainers.image.base'
#: The configs with labels, then those with a description of their own: charts and plugins.
_CONFIGS = frozenset([
    'application/vnd.docker.container.image.v1+json', 'application/vnd.oci.image.config.v1+json',
    'application/vnd.cncf.helm.config.v1+json', 'application/vnd.docker.plugin.v1+json'])

# Tags of signatures, of the lists of referrers of an image, and of build caches:
# https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
_SECONDARY = re.compile(
    r'sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{128})(?:\.[a-z]+)?\Z'
    r'|(?:.+[-_.])?(?:build[-_.]?)?cache\Z|(?:build[-_.]?)?cache[-_.]')
#: Parts of the media types of build caches, signatures, attestations and SBOMs.
_SECONDARY_TYPE = re.compile(r'buildkit\.cacheconfig|in-toto|dsse|cosign|sigstore|notary\.signature'
                             r'|spdx|cyclonedx|syft')

# At most 18 digits at a time: Python refuses to convert very long numbers. A pre-release may follow
# without a separator, as in 1.0rc1; but 1a2 is more likely a part of a hash.
_VERSION = re.compile(
    r'(?:v|version-|release-)?([0-9]{1,18}(?:\.[0-9]{1,18})*)((?:[-_+.]|(?:(?<=\.[0-9])|'
    r'(?<=\.[0-9]{2}))(?:[abc]|rc|alpha|beta|dev|pre)(?![a-z])).*)?\Z', re.IGNORECASE)
_PRE_RELEASE = re.compile(
    r'(?:^|[-_+.])(?:[abcm](?=[0-9])|alpha|beta|rc|cr|ea|pre|preview|dev|snapshot|nightly|canary'
    r'|next|edge|unstable|test)[0-9]*(?:[-_+.]|$)', re.IGNORECASE)
_PIECE = re.compile(r'[0-9]{1,18}|[^0-9]+')
_REFERENCE = re.compile(r'(?:(?:localhost|[^/]*[.:][^/]*)/)?([^:@]+)')


def best_tags(tags: Iterable[str], most: int) -> list[str]:
    """Return at most ``most`` tags whose images describe a repository, the best first."""
    return heapq.nlargest(most, (tag for tag in tags if not is_secondary(tag)), key=rank)


def rank(tag: str) -> tuple[Any, ...]:
    """Return a value that is greater the better a tag describes a repository.

    The tag latest is best, then the highest version, then the highest date or number, then the last
    other tag. A release is above its variants, such as 1.10-alpine, and these above pre-releases.
    Numbers of four digits or more are dates, years or numbers of builds, unless they begin a
    version such as 2024.1."""
    match = _VERSION.match(tag)
    if tag == LATEST or match is None:
        return (3 if tag == LATEST else 0), _natural(tag), tag
    numbers, suffix = match[1], match[2] or ''
    first, dot, _ = numbers.partition('.')
    kind = 2 if not suffix else 0 if _PRE_RELEASE.search(suffix) else 1
    # So 1.10 is equal to 1.10.0.
    values = [int(number) for number in re.sub(r'(?:\.0+)+\Z', '', numbers).split('.')]
    return (2 if len(first) < (5 if dot else 4) else 1), values, kind, _natural(suffix), tag


def description(client: RegistryClient, name: str, reference: str | None,
                timeout: float = 10, clock: Callable[[], float] = time.monotonic) -> str | None:
    """Return the description of the image with a tag or digest, or else its title, or None.

    Costs at most two requests for an image, and one more for each index around it. If a label
    describes an image, and annotations name its base image, the base costs as many.

    :param timeout: seconds for all requests together, on the clock.
    :raises RegistryUnavailable: the registry cannot be read in that time."""
    end = clock() + timeout
    return text_in(_documents(client, name, reference, lambda: end - clock()))


def text_in(documents: Iterable[dict[str, Any]]) -> str | None:
    """Return the description in annotations and labels, or else the title, or None."""
    title = None
    for texts in documents:
        for key in _DESCRIPTIONS:
            if _text(texts.get(key)):
                return str(texts[key])
        title = title or _text(texts.get(_TITLE))
    return title


def _documents(client: RegistryClient, name: str, reference: str | None,
               seconds_left: Callable[[], float], is_base: bool = False
               ) -> Iterator[dict[str, Any]]:
    """Yield the annotations of each index around an image and of its manifest, then its labels,
    except those that it inherits from a base image, unless it is such a base itself."""
    # An index may contain indexes.
    for _ in range(3):
        manifest = client.manifest(name, reference, timeout=seconds_left())
        if is_secondary(None, manifest):
            return
        yield annotations_of(manifest)
        if not isinstance(member(manifest, 'manifests'), list):
            break
        reference = child_of(manifest)
    digest, base = config_of(manifest), base_of(manifest)
    labels = labels_of(digest and client.config(name, digest, timeout=seconds_left()))
    inherited: dict[str, Any] = {}
    if base and not is_base and not labels.keys().isdisjoint((*_DESCRIPTIONS, _TITLE)):
        # The base may be in a repository that the service may not read.
        with contextlib.suppress(CredentialsRefused):
            *_, inherited = {}, *_documents(client, *base, seconds_left, is_base=True)
    yield {key: text for key, text in labels.items() if inherited.get(key) != text}


def annotations_of(manifest: object) -> dict[str, Any]:
    """Return the annotations of a manifest or index."""
    return _dict(member(manifest, 'annotations'))


def labels_of(config: object) -> dict[str, Any]:
    """Return the labels in the config of an image; a chart or plugin has a description only."""
    own = _text(member(config, 'description'))
    labels = _dict(member(config, 'config', 'Labels'))
    return {'description': own, **labels} if own else labels


def child_of(index: object) -> str | None:
    """Return the digest for linux/amd64, or else the first with a platform, or else the first."""
    children = [child for child in entries(index, 'manifests') if _text(member(child, 'digest'))]
    return _text(member(min(children, key=_platform_rank, default=None), 'digest'))


def config_of(manifest: object) -> str | None:
    """Return the digest of a config that may describe an artifact, or None."""
    is_known = _text(member(manifest, 'config', 'mediaType')) in _CONFIGS
    return _text(member(manifest, 'config', 'digest')) if is_known else None


def base_of(manifest: object) -> tuple[str, str] | None:
    """Return (repository, digest) of the base image that annotations name, or None.

    The digest proves that an image is the base, so the host in its name does not matter."""
    annotations = annotations_of(manifest)
    found = _REFERENCE.match(_text(annotations.get(_BASE + '.name')) or '')
    digest = _text(annotations.get(_BASE + '.digest'))
    return (found[1], digest) if found and digest else None


def is_secondary(tag: object, manifest: object = None) -> bool:
    """Return True if a tag or manifest is that of a build cache, a signature, an attestation or an
    SBOM."""
    parts = [member(manifest, 'config'), *entries(manifest, 'layers'),
             *entries(manifest, 'manifests')]
    types = [member(manifest, 'artifactType'), *(member(part, 'mediaType') for part in parts)]
    return (isinstance(member(manifest, 'subject'), dict) or
            _SECONDARY.match(_text(tag) or '') is not None or
            any(_SECONDARY_TYPE.search(_text(each) or '') for each in types))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts texts with numbers in them: build-9 before build-10."""
    pieces = _PIECE.findall(text)
    return [(False, int(piece), '') if piece.isdecimal() else (True, 0, piece) for piece in pieces]


def _platform_rank(child: object) -> int:
    pair = member(child, 'platform', 'os'), member(child, 'platform', 'architecture')
    return (pair != ('linux', 'amd64')) + (pair in ((None, None), ('unknown', 'unknown')))


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def entries(value: object, key: str) -> list[Any]:
    """Return the list of a key; [] if the value is not a dict, or has no list there."""
    found = member(value, key)
    return found if isinstance(found, list) else []


def member(value: object, *keys: str) -> Any:
    """Return the value at a path of keys; None if a key is missing, or a value is not a dict."""
    for key in keys:
        value = _dict(value).get(key)
    return value
