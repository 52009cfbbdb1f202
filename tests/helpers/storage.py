"""The storage of a registry, as the engine lists it and asks it for single repositories."""
from __future__ import unicode_literals

import threading

from docker_registry_index.engine import Source


class FakeStorage(Source):
    """A storage of some names.

    :param hanging: names; the storage is not asked for one before it is released.
    :param note: called with 'listing' or 'asking' before it is listed or asked for a repository.
    :ivar names: what a listing returns.
    :ivar found: the names that are there when the storage is asked for them.
    :ivar broken: namespaces that cannot be listed.
    :ivar problem: the error of each question, or None.
    :ivar asked: the names that it was asked for."""

    def __init__(self, names=(), hanging=(), note=lambda moment: None):
        self.names, self.found, self.broken = names, set(names), set()
        self.hanging = {name: threading.Event() for name in hanging}
        self.problem, self.asked, self._note = None, [], note

    def namespaces(self):
        self._note('listing')
        return sorted(set(name.split('/')[0] for name in self.names))

    def repositories(self, namespace):
        if namespace in self.broken:
            raise IOError('no rights')
        return [(name, None) for name in self.names if name.split('/')[0] == namespace]

    def has(self, name):
        self._note('asking')
        self.asked.append(name)
        if self.problem:
            raise self.problem
        if name in self.hanging:
            self.hanging[name].wait(30)
        return name in self.found

    def release(self, *names):
        """Answer the questions for some names, or for all."""
        for name in names or self.hanging:
            self.hanging[name].set()
