"""The table of options. All that lists or reads them is derived from it.

An option is one entry here, and its row in docs/settings.md.
"""

from __future__ import unicode_literals

import collections

from . import checks as checks

__all__ = ['BLOCK', 'KEY_PAIR', 'OPTIONS', 'Option']

#: Where the options stand in a configuration file.
BLOCK = 'extensions.dynamodb_index'

#: The two options that are only ever taken from one and the same layer.
KEY_PAIR = ('access_key', 'secret_access_key')


class Option(collections.namedtuple(
        'Option', 'name fallback default check meaning')):
    """One setting.

    :param fallback: the registry's S3 setting that stands in for it, or None.
    :param default: text used when nothing gives a value, ``{database}``
        filled in; None for no value.
    :param check: turns text into the value, or raises Refused.
    :param meaning: one line for the documentation.
    """

    __slots__ = ()

    @property
    def variable(self):
        """The name of its environment variable."""
        return str('DYNAMODB_' + self.name.upper())

    @property
    def secret(self):
        """True when its value must never be shown."""
        return self.name in KEY_PAIR


#: In the order of resolution: a default may name options above it.
OPTIONS = (
    Option('database', None, 'docker-registry', checks.database,
           'What the names of the tables begin with.'),
    Option('repository_table', None, '{database}-repository', checks.table,
           'The table of the repositories.'),
    Option('version_table', None, '{database}-version', checks.table,
           'The table of the version, the state and the lease.'),
    Option('search_table', None, '{database}-search-3', checks.table,
           'The table of the postings.'),
    Option('region', 's3_region', 'us-east-1', checks.region,
           'The AWS region of the tables.'),
    Option('access_key', 's3_access_key', None, checks.key,
           'The access key ID; without a key pair, botocore finds one.'),
    Option('secret_access_key', 's3_secret_key', None, checks.key,
           'The secret access key that belongs to it.'),
    Option('endpoint_url', None, None, checks.endpoint,
           'The address of DynamoDB, when it is not the region\'s own.'),
    Option('startup_wait', None, '30', checks.wait,
           'Seconds a start waits for a load before it serves.'),
    Option('push_wait', None, '5', checks.wait,
           'Seconds a push or delete waits at most for its change.'),
    Option('sync_interval', None, '86400', checks.interval,
           'Seconds between two syncs with the storage; 0 for none.'),
    Option('connect_timeout', None, '1', checks.timeout,
           'Seconds for a connection to DynamoDB.'),
    Option('read_timeout', None, '3', checks.timeout,
           'Seconds for an answer of DynamoDB.'),
    Option('attempts', None, '3', checks.attempts,
           'How often a request to DynamoDB is tried.'),
)
