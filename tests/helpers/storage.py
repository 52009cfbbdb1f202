"""The storage of a registry, as the engine lists it and asks it for single repositories."""
from __future__ import unicode_literals

import threading

from docker_registry_index.engine import Source


def refuse_to_list():
    """Take the place of a source that must not be listed."""
    raise AssertionError('the storage is listed')


class FakeStorage(Source):
    """A storage of some names.

    :param hanging: names and namespaces at which it hangs until they are released.
    :param broken: names and namespaces at which a listing fails.
    :param note: called with 'listing' or 'asking' before it is listed or asked for a repository,
        and with each namespace and name before it is listed.
    :ivar names: what a listing returns.
    :ivar found: the names that are there when the storage is asked for them.
    :ivar problem: the error of each question, or None.
    :ivar asked: the names that it was asked for.
    :ivar hung: the names at which it has hung."""

    def __init__(self, names=(), hanging=(), broken=(), note=lambda moment: None):
        self.names, self.found, self.broken = names, set(names), set(broken)
        self.hanging = {name: threading.Event() for name in hanging}
        self.problem, self.asked, self.hung, self._note = None, [], [], note

    def namespaces(self):
        self._note('listing')
        return self._reached(sorted(set(name.split('/')[0] for name in self.names)))

    def repositories(self, namespace):
        for name in self._reached(name for name in self.names if name.split('/')[0] == namespace):
            if self.broken & {namespace, name}:
                raise IOError('no rights')
            yield name, None

    def may_contain(self, namespace, name):
        return name.split('/')[0] == namespace

    def _reached(self, names):
        """Yield the names. Before each, call `note`, and hang if the name is in `hanging`."""
        for name in names:
            self._note(name)
            self._hang_at(name)
            yield name

    def _hang_at(self, name):
        if name in self.hanging:
            self.hung.append(name)
            self.hanging[name].wait(30)

    def has(self, name):
        self._note('asking')
        self.asked.append(name)
        if self.problem:
            raise self.problem
        self._hang_at(name)
        return name in self.found

    def release(self, *names):
        """Let the storage continue at these names, or at all."""
        for name in names or self.hanging:
            self.hanging[name].set()
