"""Every error that the engine raises: one root, leaves that carry the facts.

Each message says what failed and why, and ends with what to do. No message has a credential in it.
"""

from . import redaction

__all__ = [
    'ChangeConflict', 'ConditionFailed', 'DynamoDBIndexError', 'ForeignDatabase', 'InvalidArgument',
    'InvalidName', 'LeaseLost', 'LeaseTaken', 'MissingDependency', 'MissingTable', 'NewerDatabase',
    'RequestFailed', 'SettingError', 'Stopped', 'StorageUnreadable', 'TableError',
]


class DynamoDBIndexError(Exception):
    """Root of all errors of this package."""


class MissingDependency(DynamoDBIndexError):
    """A library that this package needs is not installed.

    Deliberately not an ImportError: docker-registry swallows those while it loads a search backend
    and then reports "Unknown index type".
    """

    def __init__(self, module, install):
        self.module = module
        self.install = install
        super(MissingDependency, self).__init__(
            'the Python module %s is needed and cannot be imported; install it with: %s'
            % (module, install))


class SettingError(DynamoDBIndexError):
    """A setting has a value that cannot work; the start stops here.

    :param setting: the setting's name, such as ``repository_table``.
    :param source: where the value came from, such as ``environment variable
        DYNAMODB_REPOSITORY_TABLE``; None when no one place is to blame.
    :param problem: what is wrong with it; never a secret value.
    :param way_out: what to do about it.
    """

    def __init__(self, setting, source, problem, way_out):
        self.setting = setting
        self.source = source
        self.problem = problem
        self.way_out = way_out
        where = ' (from %s)' % source if source else ''
        super(SettingError, self).__init__(
            'setting %s%s %s; %s' % (setting, where, problem, way_out))


class InvalidName(DynamoDBIndexError, ValueError):
    """A repository name that the index cannot hold."""

    def __init__(self, name, problem):
        self.name = name
        self.problem = problem
        super(InvalidName, self).__init__(
            'repository name %.80r %s; use 1 to 255 characters, at most 1000 bytes of UTF-8, '
            'without control characters' % (name, problem))


class InvalidArgument(DynamoDBIndexError, ValueError):
    """An argument of a public method that makes no sense."""

    def __init__(self, argument, value, way_out):
        self.argument = argument
        self.value = value
        super(InvalidArgument, self).__init__(
            'argument %s is %.80r; %s' % (argument, value, way_out))


class NewerDatabase(DynamoDBIndexError):
    """The tables were written by a newer release; nothing was touched."""

    def __init__(self, table, found, known):
        self.table = table
        self.found = found
        self.known = known
        super(NewerDatabase, self).__init__(
            'table %s holds an index of format %s, this release knows %s: nothing was changed; '
            'install the newer release of docker-registry-index-dynamodb, or name another database'
            % (table, found, known))


class ForeignDatabase(DynamoDBIndexError):
    """A table of that name exists, and it is not one of ours."""

    def __init__(self, table, problem):
        self.table = table
        self.problem = problem
        super(ForeignDatabase, self).__init__(
            'table %s %s: nothing was changed; name another database or table in the settings'
            % (table, problem))


class TableError(DynamoDBIndexError):
    """A table could not be created, or did not become active in time."""

    def __init__(self, table, problem, way_out):
        self.table = table
        self.problem = problem
        super(TableError, self).__init__('table %s %s; %s' % (table, problem, way_out))


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
        blame.
    """

    def __init__(self, operation, tables, code, detail, retryable, reasons=()):
        self.operation = operation
        self.tables = tuple(tables)
        self.code = code
        self.reasons = reasons
        self.retryable = retryable or self.throttled
        way_out = ('try again later' if self.retryable else
                   'check the settings, the IAM rights and the tables')
        super(RequestFailed, self).__init__('%s on %s failed: %s: %s; %s' % (
            operation, ', '.join(self.tables) or 'DynamoDB', code, detail, way_out))

    @property
    def throttled(self):
        """Whether the request would have succeeded at a quieter time."""
        return self.code in _THROTTLES or not _THROTTLES.isdisjoint(self.reasons)

    @property
    def invalid(self):
        """Whether DynamoDB will never accept these very values."""
        return self.code == 'ValidationException' or 'ValidationError' in self.reasons


class ConditionFailed(RequestFailed):
    """A condition of a write does not hold, or another write of the item is under way.

    Nothing was written. For a transaction, ``reasons`` says which of its actions is to blame.
    """

    throttled = invalid = False


class MissingTable(RequestFailed):
    """A table that the request names does not exist."""


class LeaseLost(DynamoDBIndexError):
    """Another process took the load over; this one must stop writing."""

    def __init__(self, table):
        self.table = table
        super(LeaseLost, self).__init__(
            'the lease in table %s was taken over by another process while this one was loading; '
            'nothing is lost, the other one goes on' % table)


class ChangeConflict(DynamoDBIndexError):
    """Others kept changing the same repository; the change was not made."""

    def __init__(self, name, attempts):
        self.name = name
        self.attempts = attempts
        super(ChangeConflict, self).__init__(
            'repository %r was changed by others during each of %d attempts; try again'
            % (name, attempts))


class LeaseTaken(DynamoDBIndexError):
    """Another process is loading; this one did nothing.

    :param age: for how many seconds it has been.
    """

    def __init__(self, table, age):
        self.table = table
        self.age = age
        super(LeaseTaken, self).__init__(
            'another process holds the lease in table %s and is loading, for %d seconds now; '
            'wait until it has ended' % (table, age))


class StorageUnreadable(DynamoDBIndexError):
    """The registry's storage could not be read.

    :param what: that it was asked for.
    :param problem: what it raised.
    """

    def __init__(self, what, problem):
        self.what = what
        self.problem = problem
        super(StorageUnreadable, self).__init__(
            'the storage of the registry cannot tell %s: %s; look at the storage and its settings'
            % (what, redaction.named(problem)))


class Stopped(DynamoDBIndexError):
    """This process is ending; what it was doing goes on in another."""

    def __init__(self):
        super(Stopped, self).__init__('this process is ending; another one goes on')
