"""Every error that the engine raises: one root, leaves that carry the facts.

A message names what failed and why, and ends with what to do. It contains no credential.
Libraries put whole requests and responses into their errors: of a refused signature botocore quotes
the request, token and all, and boto keeps the page of S3, which names the access key ID. So their
errors are redacted here."""

from __future__ import unicode_literals

import re

from ._compat import text_type

__all__ = [
    'ChangeConflict', 'ConditionFailed', 'DynamoDBIndexError', 'ForeignDatabase', 'InvalidArgument',
    'InvalidName', 'LeaseLost', 'LeaseTaken', 'MissingDependency', 'MissingTable', 'NewerDatabase',
    'RequestFailed', 'SettingError', 'Stopped', 'StorageUnreadable', 'TableError', 'first_line',
    'named', 'safe',
]


_LONGEST = 300
# Characters that would steer a terminal, or reverse its text.
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]')
#: An access key ID of AWS or of another S3; and whatever is called one.
_KEY_ID = re.compile(r'(?<![A-Za-z0-9])([A-Z0-9]{4})[A-Z0-9]{12,}(?![A-Za-z0-9])')
_NAMED_KEY = re.compile(r'(?i)(access_?key_?(?:id)?\W{1,4}\w{4})\w+')
#: The query of an address, which may hold a signature.
_QUERY = re.compile(r'\?\S+')

# Python imports a codec when it is first used, and in a thread that may hang:
# https://docs.python.org/2.7/library/threading.html
''.encode('unicode_escape')


class DynamoDBIndexError(Exception):
    """Root of all errors of this package.

    :cvar facts: the names of the attributes that the arguments become, in their order.
    :cvar message: the message, in which the facts are filled."""
    facts, message = ('text',), '%(text)s'

    def __init__(self, *values):
        self.__dict__.update(zip(self.facts, values))
        super(DynamoDBIndexError, self).__init__(self.message % self.__dict__)


class MissingDependency(DynamoDBIndexError):
    """A library that this package needs is not installed. Deliberately not an ImportError:
    docker-registry swallows those while it loads a search backend and then reports "Unknown index
    type"."""
    facts = 'module', 'install'
    message = ('the Python module %(module)s is needed and cannot be imported; install it with: '
               '%(install)s')


class SettingError(DynamoDBIndexError):
    """A setting has a value that cannot work; the start stops here.

    :param setting: the setting's name, such as ``repository_table``.
    :param source: where the value came from, such as ``environment variable
        DYNAMODB_REPOSITORY_TABLE``; None when no one place is to blame.
    :param problem: what is wrong with it; never a secret value.
    :param way_out: what to do about it."""
    facts = 'setting', 'source', 'problem', 'way_out'

    @property
    def message(self):
        where = ' (from %(source)s)' if self.source else ''
        return 'setting %(setting)s' + where + ' %(problem)s; %(way_out)s'


class InvalidName(DynamoDBIndexError, ValueError):
    """A repository name that the index cannot hold."""
    facts = 'name', 'problem'
    message = ('repository name %(name).80r %(problem)s; use 1 to 255 characters, at most 1000 '
               'bytes of UTF-8, without control characters')


class InvalidArgument(DynamoDBIndexError, ValueError):
    """An argument of a public method that makes no sense."""
    facts = 'argument', 'value', 'way_out'
    message = 'argument %(argument)s is %(value).80r; %(way_out)s'


class NewerDatabase(DynamoDBIndexError):
    """The tables were written by a newer release; nothing was touched."""
    facts = 'table', 'found', 'supported'
    message = ('table %(table)s holds an index of format %(found)s, this release knows '
               '%(supported)s: nothing was changed; install the newer release of '
               'docker-registry-index-dynamodb, or name another database')


class ForeignDatabase(DynamoDBIndexError):
    """A table of that name exists, and it is not one of ours."""
    facts = 'table', 'problem'
    message = ('table %(table)s %(problem)s: nothing was changed; name another database or table '
               'in the settings')


class TableError(DynamoDBIndexError):
    """A table could not be created, or did not become active in time."""
    facts = 'table', 'problem', 'way_out'
    message = 'table %(table)s %(problem)s; %(way_out)s'


class LeaseLost(DynamoDBIndexError):
    """Another process took the load over; this one must stop writing."""
    facts = ('table',)
    message = ('the lease in table %(table)s was taken over by another process while this one was '
               'loading; nothing is lost, the other one goes on')


class LeaseTaken(DynamoDBIndexError):
    """Another process is loading, for ``age`` seconds already; this one did nothing."""
    facts = 'table', 'age'
    message = ('another process holds the lease in table %(table)s and is loading, for %(age)d '
               'seconds now; wait until it has ended')


class ChangeConflict(DynamoDBIndexError):
    """Others kept changing the same repository; the change was not made."""
    facts = 'name', 'attempts'
    message = ('repository %(name)r was changed by others during each of %(attempts)d attempts; '
               'try again')


class StorageUnreadable(DynamoDBIndexError):
    """The registry's storage could not be read.

    :param what: that it was asked for.
    :param problem: what it raised."""
    facts = 'what', 'problem'

    @property
    def message(self):
        return ('the storage of the registry does not report %(what)s: ' +
                named(self.problem).replace('%', '%%') +
                '; check the storage and its settings')


class Stopped(DynamoDBIndexError):
    """This process is ending; what it was doing goes on in another."""
    facts, message = (), 'this process is ending; another one goes on'


#: Error codes, and reasons of a cancelled transaction, that mean "slower".
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_THROTTLES = frozenset([
    'ProvisionedThroughputExceededException', 'RequestLimitExceeded', 'ThrottlingException',
    'ProvisionedThroughputExceeded', 'ThrottlingError',
])


class RequestFailed(DynamoDBIndexError):
    """DynamoDB refused or did not answer a request, retries included.

    :param operation: the API operation, such as ``Query``.
    :param tables: the names of the tables it went to.
    :param code: DynamoDB's error code, or the network error's class name.
    :param retryable: True when the same request may succeed later.
    :param reasons: of a cancelled transaction: a code for each action, None where it was not to
        blame."""

    def __init__(self, operation, tables, code, detail, retryable, reasons=()):
        self.operation = operation
        self.tables = tuple(tables)
        self.code = code
        self.reasons = reasons
        self.retryable = retryable or self.throttled
        super(RequestFailed, self).__init__('%s on %s failed: %s: %s; %s' % (
            operation, ', '.join(self.tables) or 'DynamoDB', code, detail,
            'try again later' if self.retryable else
            'check the settings, the IAM rights and the tables'))

    @property
    def throttled(self):
        """Whether the request would have succeeded at a quieter time."""
        return self.code in _THROTTLES or not _THROTTLES.isdisjoint(self.reasons)

    @property
    def invalid(self):
        """Whether DynamoDB will never accept these very values."""
        return self.code == 'ValidationException' or 'ValidationError' in self.reasons


class ConditionFailed(RequestFailed):
    """A condition of a write does not hold, or another write of the item is under way. Nothing was
    written. For a transaction, ``reasons`` shows which of its actions is to blame."""

    throttled = invalid = False


class MissingTable(RequestFailed):
    """A table that the request names does not exist."""


def first_line(error):
    """Return the first line of an error, in ASCII: Python 2.7 can log no other. Of anything like an
    access key ID it has the first four characters."""
    lines = _text(error).splitlines() or ['']
    return _escaped(_redacted(lines[0]))[:_LONGEST]


def named(error):
    """Return the name of an error's class and its first line, which may have it already. And, if it
    has one, the code that a service gave it."""
    name, line = type(error).__name__, first_line(error)
    if not line.startswith(name):
        line = '%s: %s' % (name, line) if line else name
    code = getattr(error, 'error_code', None)
    if code and re.match(r'[A-Za-z.]{3,60}\Z', '%s' % code):
        line = '%s (%s)' % (line, code)
    return line


def safe(text):
    """Return ``text`` with a ``?`` for each character that would steer a terminal."""
    return _UNSAFE.sub('?', text)


def _text(error):
    for read in text_type, _decoded:
        try:
            return read(error)
        except UnicodeError:
            # Python 2.7, and text or bytes in it that are not ASCII.
            continue
    return ''


def _decoded(error):
    return bytes(error).decode('utf-8', 'replace')


def _redacted(line):
    for pattern in _KEY_ID, _NAMED_KEY:
        line = pattern.sub(r'\1...', line)
    return _QUERY.sub('?...', line)


def _escaped(line):
    return line.encode('unicode_escape').decode('ascii')
