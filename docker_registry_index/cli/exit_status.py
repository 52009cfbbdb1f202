"""What the command does when something fails: one line, one exit status."""
import errno
import os
import sys
import threading
import time

import click

from .output import as_json, safe, say
from ..engine import errors
from ..engine.sync.snapshot import ScratchError

__all__ = ['AWAY', 'NOT_OURS', 'NOT_SO', 'OK', 'TAKEN', 'USAGE', 'run']

OK, NOT_SO, USAGE, AWAY, TAKEN, NOT_OURS = range(6)
#: As of a process that the signal SIGINT, or SIGPIPE, ended.
INTERRUPTED, BROKEN_PIPE = 130, 141
#: Seconds for threads to end.
THREADS_END = 2

_STATUS_OF = (
    ((errors.SettingError, errors.MissingDependency, errors.InvalidName,
      errors.InvalidArgument), USAGE),
    ((errors.LeaseTaken, errors.LeaseLost), TAKEN),
    ((errors.NewerDatabase, errors.ForeignDatabase), NOT_OURS),
)


def run(act, is_json):
    """Do something, and exit with the status that it returns.

    :param act: a function.
    :param is_json: whether an error is to be a document, too.
    """
    try:
        sys.exit(_status(act, is_json))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except EnvironmentError as error:
        # Of what is printed: the engine has errors of its own.
        _give_up_output()
        if error.errno == errno.EPIPE:
            sys.exit(BROKEN_PIPE)
        sys.exit(_told(AWAY, 'cannot print, or read: %s' % error, False))


def _status(act, is_json):
    try:
        return act()
    except click.UsageError as error:
        if is_json:
            as_json({'error': error.format_message()})
        raise
    except errors.DynamoDBIndexError as error:
        status = next((status for kinds, status in _STATUS_OF
                       if isinstance(error, kinds)), AWAY)
        return _told(status, _sentence(error), is_json)
    except ScratchError as error:
        return _told(AWAY, 'the temporary file cannot be used: %s; make room '
                     'for it, or name another directory in TMPDIR' % error,
                     is_json)
    finally:
        _wait_for_threads()


def _sentence(error):
    if isinstance(error, errors.MissingTable):
        return '%s; if nothing was ever loaded, load makes them' % error
    return '%s' % error


def _told(status, sentence, is_json):
    if is_json:
        as_json({'error': sentence})
    say('docker-registry-index: %s' % safe(sentence), err=True)
    return status


def _wait_for_threads():
    """Python 2.7 takes the modules away from threads that still run at its
    end, and prints what they stumble over then. Those that list a storage
    end within a second; those that hang are not waited for."""
    deadline = time.time() + THREADS_END
    while time.time() < deadline and any(
            thread.daemon and thread is not threading.current_thread()
            for thread in threading.enumerate()):
        time.sleep(0.05)


def _give_up_output():
    """What is still to be printed goes nowhere, so that the interpreter does
    not fail in the same way at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (EnvironmentError, ValueError):
        # There is no standard output at all.
        sys.stdout = None
