"""The engine's settings: the table of its options, which all code that reads or lists them uses.

Each option is one entry here, and one row in docs/settings.md."""

from __future__ import unicode_literals

import re

from . import checks
from .resolution import BaseSettings
from ..errors import SettingError

KEY_PAIR = ('access_key', 'secret_access_key')
_TABLES = ('repository_table', 'version_table', 'search_table')
#: https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
AWS_REGION = ('AWS_REGION', 'AWS_DEFAULT_REGION')

# us-east-1, us-gov-west-1, us-isob-east-1, eusc-de-east-1.
_REGION_OF_AWS = r'[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}'
#: The read and the write units per second that a new table with on-demand billing accepts at once.
WARM_READS, WARM_WRITES = 12000, 4000
#: Access key IDs are at least this long.
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
_KEY_ID_LENGTH = 16


class Option(object):
    """The name, default value, check and meaning of one setting.

    :param default: the text if no layer has a value; ``{database}`` and other options above it are
        filled in. None for no value.
    :param check: returns the value of a text, or raises Refused.
    :param meaning: one line for the documentation.
    :param prefix: the prefix of its environment variable.
    :param fallback: the registry's S3 setting that is used instead, or None.
    :param aws: the variables of the AWS SDKs that are used instead, the strongest first.
    :param secret: True if its value must never be shown."""

    def __init__(self, name, default, check, meaning, prefix='', fallback=None, secret=False,
                 aws=()):
        self.name = name
        self.default = default
        self.check = check
        self.meaning = meaning
        #: The name of its environment variable.
        self.variable = str(prefix + name.upper())
        self.fallback = fallback
        self.secret = secret
        self.aws = aws

    def shown(self, value):
        """Return the repr of a value; for a secret, at most the beginning of a key ID."""
        if value is None or not self.secret:
            return repr(value)
        is_key_id = re.search('(?<!secret_)access_key$', self.name)
        return "'%s...'" % (value[:4] if is_key_id and len(value) >= _KEY_ID_LENGTH else '')


def _option(name, default, check, meaning, **more):
    return Option(name, default, check, meaning, prefix='DYNAMODB_', **more)


def _table_name(least, most, problem):
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
    return checks.matching('[A-Za-z0-9_.-]{%d,%d}' % (least, most), problem,
                           'use %d to %d of the characters A-Z a-z 0-9 _ . -' % (least, most))


# The longest ending of a table's name is "-repository".
_database = _table_name(1, 244, 'cannot begin a DynamoDB table name')
_table = _table_name(3, 255, 'DynamoDB refuses as a table name')


def _interval(text):
    """Return the seconds between two syncs, 0 for no syncs; otherwise raise Refused."""
    seconds = checks.seconds(0, 31536000)(text)
    if 0 < seconds < 60:
        raise checks.Refused('is %s, which is less than a minute' % checks.printable(text),
                             'write 60 or more, or 0 for never')
    return seconds


def _region_of_aws(text):
    """Raise Refused for a text without the form of an AWS region. It is not compared with a list,
    because AWS opens new regions, and an installed botocore has only those of its release."""
    zone = re.match('(%s)[a-z]\\Z' % _REGION_OF_AWS, text)
    if zone:
        raise checks.Refused(
            "is '%s', which is an availability zone" % checks.printable(text),
            'write its region, %s' % zone.group(1))
    checks.matching(_REGION_OF_AWS, 'is not an AWS region', 'write a region such as us-east-1; any '
                    'other name needs an endpoint_url')(text)


#: In the order of resolution and of the documentation.
OPTIONS = (
    _option('database', 'docker-registry', _database, 'The beginning of the names of the tables.'),
    _option('repository_table', '{database}-repository', _table, 'The table of the repositories.'),
    _option('version_table', '{database}-version', _table,
            'The table of the version, the format and the lease.'),
    _option('search_table', '{database}-search-4', _table, 'The table of the postings.'),
    _option('region', 'us-east-1', checks.region, 'The AWS region of the tables.',
            fallback='s3_region', aws=AWS_REGION),
    _option('access_key', None, checks.secret(),
            'The access key ID; without a key pair, botocore finds one.',
            fallback='s3_access_key', secret=True),
    _option('secret_access_key', None, checks.secret(),
            'The secret access key that belongs to it.', fallback='s3_secret_key', secret=True),
    _option('endpoint_url', None, checks.endpoint,
            "The address of DynamoDB, if it is not that of the region.",
            aws=('AWS_ENDPOINT_URL_DYNAMODB', 'AWS_ENDPOINT_URL')),
    _option('startup_wait', '30', checks.seconds(0, 3600),
            'Seconds that a start waits for a load before it serves.'),
    _option('push_wait', '5', checks.seconds(0, 3600),
            'Seconds that a push or delete waits at most for its change.'),
    _option('sync_interval', '86400', _interval,
            'Seconds between two syncs with the storage; 0 for no syncs.'),
    _option('max_results', '10000', checks.whole(1, 1000000),
            'The most results of a search without a limit.'),
    # The minimum is what AWS gives each new table: warm throughput cannot be lower.
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
    _option('warm_throughput', None, checks.whole(WARM_WRITES, 10000000),
            'Write units per second that a new search table accepts at once, 4000 or more.'),
    _option('connect_timeout', '1', checks.seconds(0.1, 60),
            'Seconds to wait for a connection to DynamoDB, once its name is resolved.'),
    _option('read_timeout', '3', checks.seconds(0.1, 60),
            'Seconds to wait for a response, and then for each further part of it.'),
    _option('attempts', '3', checks.whole(1, 10), 'The number of attempts for a request.'),
)


class Settings(BaseSettings):
    """The settings of one engine."""

    BLOCK = 'extensions.dynamodb_index'
    OPTIONS = OPTIONS
    # AWS refuses a key with the secret of another key; its message does not name the cause.
    PAIRS = (KEY_PAIR,)

    def check_together(self, layers):
        """Refuse two tables with one name, and a region outside AWS without an endpoint_url."""
        owners = {}
        for name in _TABLES:
            value = getattr(self, name)
            owner = owners.setdefault(value, name)
            if owner != name:
                raise SettingError(
                    name, layers[name].origin(name), "is '%s', as is %s (from %s)" % (
                        value, owner, layers[owner].origin(owner)),
                    'give each table a name of its own')
        if self.endpoint_url is None:
            layers['region'].checked(_region_of_aws, 'region', self.region)

    def warnings(self):
        """Return a warning about temporary keys, which need a session token."""
        if not (self.access_key or '').startswith('ASIA'):
            return []
        return ['access_key is a temporary one (ASIA...), which AWS accepts only with a session '
                'token; leave access_key and secret_access_key out, and set the environment '
                'variables AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN']
