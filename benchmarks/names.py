"""Makes realistic names of repositories: real package names, in namespaces of very different sizes.

The last parts are names of Debian packages, a third of those of Debian 12. The namespaces are
"acme" and short names of packages; their sizes follow Zipf's law, as those of teams often do: the
second one is half as large as the first one, and so on."""
import bisect
import functools
import itertools
import lzma
import os
import random
import re

from dev.servers.process import ROOT

__all__ = ['names', 'packages']

_PACKAGES = os.path.join(ROOT, 'benchmarks', 'debian-packages.txt.xz')
_NAMESPACES = 400


@functools.lru_cache(None)
def packages():
    """Return the list of the Debian packages, sorted."""
    with lzma.open(_PACKAGES, 'rt', encoding='ascii') as lines:
        return lines.read().split()


def names(count):
    """Return a list of names, in no order. A longer list begins with the shorter ones."""
    chance = random.Random('names of repositories')
    parts = packages()
    short = [part for part in parts if re.match('[a-z]{4,9}$', part)]
    namespaces = ['acme'] + [short[int(chance.random() * len(short))] for _ in range(_NAMESPACES)]
    sums = list(itertools.accumulate(1 / (place + 1) for place in range(len(namespaces))))
    found = {}
    while len(found) < count:
        namespace = namespaces[bisect.bisect(sums, chance.random() * sums[-1])]
        found['%s/%s' % (namespace, parts[int(chance.random() * len(parts))])] = None
    return list(found)
