"""Run a command in a session of its own, which the kernel ends when the parent process ends.

usage: python run_with_parent.py PARENT_PID COMMAND [ARGUMENT...]

The command replaces this process, so its process id is the one that Popen returned to the parent.
This is a program and not Popen's preexec_fn, because code between fork and exec may deadlock if the
parent has threads (https://docs.python.org/3/library/subprocess.html#subprocess.Popen).
"""
from __future__ import print_function

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def end_with_parent(parent):
    """Make the kernel send SIGTERM to this process when the parent's thread ends, on Linux only."""
    prctl = getattr(ctypes.CDLL(None), 'prctl', None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # the parent ended before prctl was called: no signal will come
        sys.exit('the program that started %s has ended' % sys.argv[2])


if __name__ == '__main__':
    os.setsid()
    end_with_parent(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit('cannot run %s: %s' % (sys.argv[2], error.strerror))
