"""The output, the log and the exit statuses of the command line, where an error is one line."""
import errno
import json
import logging
import os
import sys
import threading
import time

import click

from ..engine import errors
from ..engine._compat import monotonic, sleep
from ..engine.errors import safe
from ..engine.sync.snapshot import ScratchError

#: Exit statuses; the help of the command explains them.
OK, NOT_OK, USAGE, UNAVAILABLE, TAKEN, FOREIGN_TABLES = range(6)
#: The statuses of a process that SIGINT or SIGPIPE has ended.
INTERRUPTED, BROKEN_PIPE = 130, 141
#: The name of the access log of the service.
ACCESS_LOG = 'docker_registry_index.access'
#: The most seconds to wait for background threads at the end.
THREADS_END = 2

_STATUS_OF = (
    ((errors.SettingError, errors.MissingDependency, errors.InvalidName, errors.InvalidArgument),
     USAGE),
    ((errors.LeaseTaken, errors.LeaseLost), TAKEN),
    ((errors.NewerDatabase, errors.ForeignDatabase), FOREIGN_TABLES),
)


def print_json(document):
    """Print a document as JSON, in ASCII."""
    click.echo(json.dumps(document, indent=2, sort_keys=True))


class _Text(logging.Formatter):
    """Writes lines of text; the lines of a traceback are indented."""

    converter = staticmethod(time.gmtime)
    default_time_format, default_msec_format = '%Y-%m-%dT%H:%M:%S', '%s.%03dZ'

    def formatMessage(self, record):
        return safe(super(_Text, self).formatMessage(record))

    def format(self, record):
        return '\n    '.join(safe(line) for line in super(_Text, self).format(record).splitlines())


class _JSON(_Text):
    """Writes each record as a JSON object, in ASCII."""

    def format(self, record):
        fields = {'time': self.formatTime(record), 'level': record.levelname.lower()}
        if record.name == ACCESS_LOG and isinstance(record.args, dict):
            return json.dumps(dict(fields, **record.args))
        fields['message'] = safe(record.getMessage())
        if record.exc_info:
            fields['traceback'] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure_logging(service):
    """Write the access log to the standard output, and all other logs to the standard error.

    :param service: the ServiceSettings. The service requires Python 3."""
    kind, access = _JSON if service.log_format == 'json' else _Text, logging.getLogger(ACCESS_LOG)
    for logger, stream, form in (
            (logging.getLogger(), sys.stderr, '%(asctime)s %(levelname)s: %(message)s'),
            (access, sys.stdout, '%(asctime)s %(message)s')):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(kind(form))
        logger.addHandler(handler)
        logger.setLevel(service.log_level.upper())
    access.propagate = False
    # At lower levels, some of these libraries log credentials.
    for chatty in 'boto3', 'botocore', 'urllib3', 'waitress':
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # This logger logs each request that waits for a thread.
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)


class Bar(object):
    """A progress bar on the standard error, if that is a terminal.

    :param label: the text in front of the bar."""

    def __init__(self, label):
        self._label, self._bar, self._done = label, None, 0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self._bar:
            self._bar.__exit__(*failure)

    def update(self, done, total):
        """Show that ``done`` of ``total`` are done."""
        if not total or not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = click.progressbar(length=total, label=self._label, file=sys.stderr,
                                          show_pos=True)
            self._bar.__enter__()
        self._bar.update(done - self._done)
        self._done = done


def exit_with(act, is_json=False, clock=monotonic, sleep=sleep):
    """Call a function, and exit with the status that it returns, or with the status of its error.

    :param is_json: True to print an error as a JSON document, too.
    :param clock, sleep: the functions that measure and pause while background threads end."""
    try:
        sys.exit(_status(act, is_json, clock, sleep))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except EnvironmentError as error:
        # The output failed, because the engine raises its own errors.
        _discard_output()
        if error.errno == errno.EPIPE:
            sys.exit(BROKEN_PIPE)
        sys.exit(_fail(UNAVAILABLE, 'cannot write output or read input: %s' % error, False))


def _status(act, is_json, clock, sleep):
    try:
        return act()
    except click.UsageError as error:
        if is_json:
            print_json({'error': error.format_message()})
        raise
    except errors.DynamoDBIndexError as error:
        status = next((status for kinds, status in _STATUS_OF if isinstance(error, kinds)),
                      UNAVAILABLE)
        advice = ('; docker-registry-index load creates missing tables'
                  if isinstance(error, errors.MissingTable) else '')
        return _fail(status, '%s%s' % (error, advice), is_json)
    except ScratchError as error:
        return _fail(UNAVAILABLE, 'the temporary file cannot be used: %s; free disk '
                     'space, or set TMPDIR to another directory' % error, is_json)
    finally:
        _wait_for_threads(clock, sleep)


def _fail(status, sentence, is_json):
    if is_json:
        print_json({'error': sentence})
    click.echo('docker-registry-index: %s' % safe(sentence), err=True)
    return status


def _wait_for_threads(clock, sleep):
    """Wait for background threads, at most THREADS_END seconds. When Python 2.7 exits, it removes
    the modules that running threads use, and prints the errors that they raise then."""
    deadline = clock() + THREADS_END
    while clock() < deadline and any(
            thread.daemon and thread is not threading.current_thread()
            for thread in threading.enumerate()):
        sleep(0.05)


def _discard_output():
    """Discard the remaining output; otherwise the interpreter fails again when it exits."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (EnvironmentError, ValueError):
        # The process has no standard output.
        sys.stdout = None
