"""All errors of the engine: one root class, and subclasses whose attributes carry the facts.

A message names what failed and why, and ends with what to do. It contains no credential.
Errors of libraries may contain whole requests and responses. For a refused signature, botocore
quotes the request with its token, and boto keeps the page of S3 with the access key ID. So this
module redacts their messages."""

from __future__ import unicode_literals

import re

from ._compat import text_type

_LONGEST = 300
# Characters that could control a terminal, or reverse its text.
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]')
#: Access key IDs of AWS or of another S3, and any value with that name.
_KEY_ID = re.compile(r'(?<![A-Za-z0-9])([A-Z0-9]{4})[A-Z0-9]{12,}(?![A-Za-z0-9])')
_NAMED_KEY = re.compile(r'(?i)(access_?key_?(?:id)?\W{1,4}\w{4})\w+')
#: The query of an address, which may hold a signature.
_QUERY = re.compile(r'\?\S+')

# Python imports a codec when it is first used, which may hang in a thread:
# https://docs.python.org/2.7/library/threading.html
''.encode('unicode_escape')


class DynamoDBIndexError(Exception):
    """The root class of all errors of this package.

    :cvar facts: the names of the attributes, in the order of the arguments that set them.
    :cvar message: the message, a format string for the facts."""
    facts, message = ('text',), '%(text)s'

    def __init__(self, *values):
        self.__dict__.update(zip(self.facts, values))
        super(DynamoDBIndexError, self).__init__(self.message % self.__dict__)


class MissingDependency(DynamoDBIndexError):
    """Raised if a required library is not installed. It is deliberately no ImportError, because
    docker-registry ignores an ImportError of a search backend and then reports "Unknown index
    type"."""
    facts = 'module', 'install'
    message = ('the required Python module %(module)s cannot be imported; install it with: '
               '%(install)s')


class SettingError(DynamoDBIndexError):
    """Raised if a setting has an unusable value, so that the program cannot start.

    :param setting: the setting's name, such as ``repository_table``.
    :param source: where the value came from, such as ``environment variable
        DYNAMODB_REPOSITORY_TABLE``; None if no single place caused the error.
    :param problem: what is wrong with it; never a secret value.
    :param way_out: what to do about it."""
    facts = 'setting', 'source', 'problem', 'way_out'

    @property
    def message(self):
        where = ' (from %(source)s)' if self.source else ''
        return 'setting %(setting)s' + where + ' %(problem)s; %(way_out)s'


class InvalidName(DynamoDBIndexError, ValueError):
    """Raised for a repository name that the index cannot contain."""
    facts = 'name', 'problem'
    message = ('repository name %(name).80r %(problem)s; use 1 to 255 characters, at most 1000 '
               'bytes of UTF-8, without control characters')


class InvalidArgument(DynamoDBIndexError, ValueError):
    """Raised if a public method is called with an invalid argument."""
    facts = 'argument', 'value', 'way_out'
    message = 'argument %(argument)s is %(value).80r; %(way_out)s'


class NewerDatabase(DynamoDBIndexError):
    """Raised if a newer release has written the tables; nothing was changed."""
    facts = 'table', 'found', 'supported'
    message = ('table %(table)s holds an index of format %(found)s, but this release supports only '
               'format %(supported)s; nothing was changed; install the newer release of '
               'docker-registry-index-dynamodb, or name another database')


class ForeignDatabase(DynamoDBIndexError):
    """Raised if a table exists, but does not belong to this index; nothing was changed."""
    facts = 'table', 'problem'
    message = ('table %(table)s %(problem)s; nothing was changed; name another database or table '
               'in the settings')


class OtherRegistry(ForeignDatabase):
    """Raised if the tables belong to another registry; nothing was changed."""
    facts = 'table', 'found', 'own'
    message = ('table %(table)s belongs to the index of the registry %(found)s, but the settings '
               'name the registry %(own)s; nothing was changed; name another database in the '
               'settings, or, if the registry has moved, run docker-registry-index load --adopt')


class TableError(DynamoDBIndexError):
    """Raised if a table cannot be created, or is not active within two minutes."""
    facts = 'table', 'problem', 'way_out'
    message = 'table %(table)s %(problem)s; %(way_out)s'


class LeaseLost(DynamoDBIndexError):
    """Raised if another process has taken over the lease, so that this one must stop writing."""
    facts = ('table',)
    message = ('another process took over the lease in table %(table)s while this one was loading; '
               'no data is lost, and the other process continues the load')


class LeaseTaken(DynamoDBIndexError):
    """Raised if another process has been loading for ``age`` seconds; this one did nothing."""
    facts = 'table', 'age'
    message = ('another process holds the lease in table %(table)s and has been loading for '
               '%(age)d seconds; wait until its load ends')


class ChangeConflict(DynamoDBIndexError):
    """Raised if a change was not made, because other processes interfered with each attempt."""
    facts = 'name', 'attempts'
    message = ('the change of repository %(name)r was not made, because other processes changed '
               'the repository during each of %(attempts)d attempts; try again')


class StorageUnreadable(DynamoDBIndexError):
    """Raised if the registry's storage cannot be read.

    :param what: what was requested from the storage.
    :param problem: the exception that the storage raised."""
    facts = 'what', 'problem'

    @property
    def message(self):
        return ('the storage of the registry failed to report %(what)s: ' +
                summary(self.problem).replace('%', '%%') +
                '; check the storage and its settings')


class Stopped(DynamoDBIndexError):
    """Raised in a process that is ending; another process continues its work."""
    facts, message = (), 'this process is ending; another process continues its work'


#: The error codes of requests that DynamoDB did not carry out because others are under way.
_BUSY = frozenset([
    'LimitExceededException', 'TransactionCanceledException', 'TransactionInProgressException'])

#: The error codes of throttling, and the reasons that a throttled transaction gives.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_THROTTLES = frozenset([
    'ProvisionedThroughputExceededException', 'RequestLimitExceeded', 'ThrottlingException',
    'ProvisionedThroughputExceeded', 'ThrottlingError',
])


class RequestFailed(DynamoDBIndexError):
    """Raised if DynamoDB refuses or does not answer a request and its retries.

    :param operation: the API operation, such as ``Query``.
    :param tables: the names of its tables.
    :param code: DynamoDB's error code, or the network error's class name.
    :param retryable: True when the same request may succeed later.
    :param reasons: for a cancelled transaction, a code for each action; None for an action that
        was not the cause."""

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
        """True if DynamoDB throttled the request."""
        return self.code in _THROTTLES or not _THROTTLES.isdisjoint(self.reasons)

    @property
    def unavailable(self):
        """True if DynamoDB could not be reached or failed itself, or if no keys are valid. So other
        requests will probably fail, too."""
        return self.retryable and not self.throttled and self.code not in _BUSY

    @property
    def refused(self):
        """True if DynamoDB refuses this request, but not others, until a person corrects the cause:
        for example, the role lacks a right."""
        return not (self.retryable or self.invalid)

    @property
    def invalid(self):
        """True if DynamoDB will never accept these values."""
        return self.code == 'ValidationException' or 'ValidationError' in self.reasons


class ConditionFailed(RequestFailed):
    """Raised if a write's condition does not hold, or another write of the item is under way.
    Nothing was written. For a transaction, ``reasons`` shows which of its actions failed."""

    throttled = invalid = unavailable = False


class MissingTable(RequestFailed):
    """Raised if a table that the request names does not exist."""

    refused = False


def first_line(error):
    """Return the first line of an error in ASCII, which is all that Python 2.7 can log. Only the
    first four characters of an access key ID are kept."""
    line = (_text(error).splitlines() or [''])[0]
    for pattern in _KEY_ID, _NAMED_KEY:
        line = pattern.sub(r'\1...', line)
    line = _QUERY.sub('?...', line)
    return line.encode('unicode_escape').decode('ascii')[:_LONGEST]


def summary(error):
    """Return the class name of an error, its first line, and the service's error code, if any. The
    name is not repeated if the line begins with it."""
    name, line = type(error).__name__, first_line(error)
    if not line.startswith(name):
        line = '%s: %s' % (name, line) if line else name
    code = getattr(error, 'error_code', None)
    if code and re.match(r'[A-Za-z.]{3,60}\Z', '%s' % code):
        line = '%s (%s)' % (line, code)
    return line


def safe(text):
    """Return ``text`` with a ``?`` for each character that could control a terminal."""
    return _UNSAFE.sub('?', text)


def _text(error):
    for read in (text_type, lambda error: bytes(error).decode('utf-8', 'replace')):
        try:
            return read(error)
        except UnicodeError:
            # In Python 2.7, an error may contain text or bytes that are not ASCII.
            continue
    return ''
