"""A network of its own for tests whose servers and containers need certain ports and addresses.

    with PrivateNetwork():
        ...  # this thread, and the programs and threads that it starts, are in the network

The network reaches nothing outside. All of its ports are free, and its own firewall rules apply. It
needs Linux, root, and the program `ip`. Runs on Python 3; standard library only.
"""
import ctypes
import os
import subprocess

__all__ = ['HOST', 'PrivateNetwork']

#: An address of the network's host, which containers reach, too. It is one of those for documents:
#: https://www.rfc-editor.org/rfc/rfc5737
HOST = '192.0.2.1'
# https://man7.org/linux/man-pages/man2/unshare.2.html
_CLONE_NEWNET = 0x40000000


class PrivateNetwork(object):
    """A new network namespace for the current thread, and for all that it starts in its block.

    At the end of the block, the thread is in its former network again. The kernel removes the
    network when the last program in it has ended.
    """

    _outside = None

    def __enter__(self):
        self._outside = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        try:
            _call('unshare', _CLONE_NEWNET)
            for command in ('link set lo up', 'address add %s/32 dev lo' % HOST):
                subprocess.run(['ip'] + command.split(), check=True, stdin=subprocess.DEVNULL)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure):
        _call('setns', self._outside, _CLONE_NEWNET)
        os.close(self._outside)


def _call(function, *arguments):
    """Call a function of the C library; Python has these two since version 3.12."""
    if getattr(ctypes.CDLL(None, use_errno=True), function)(*arguments):
        error = ctypes.get_errno()
        raise OSError(error, '%s: %s' % (function, os.strerror(error)))
