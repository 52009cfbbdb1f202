"""Reading the description of an image from its registry."""

from __future__ import unicode_literals

import time

from . import image

__all__ = ['description']

#: An index in an index in an index is nobody's image.
_LEVELS = 3


def description(client, name, reference, timeout=10, clock=time.monotonic):
    """The description of what a tag or digest leads to, or None.

    At most three requests for an image, one more for each index around it;
    none more once a description is found.

    :param client: a RegistryClient.
    :param timeout: seconds for all of them together.
    :raises RegistryUnavailable: the registry cannot be read in that time.
    """
    end = clock() + timeout

    def left():
        return end - clock()

    said = []
    for _ in range(_LEVELS):
        found = client.manifest(name, reference, timeout=left())
        manifest = found[1] if found else None
        if not said and image.is_secondary(None, manifest):
            return None
        said.append(image.of_manifest(manifest))
        if said[-1].description or not image.is_index(manifest):
            break
        reference = image.child_of(manifest)
    digest = image.config_of(manifest)
    if digest and not said[-1].description:
        said.append(image.of_config(
            client.config(name, digest, timeout=left())))
    return image.chosen(said)
