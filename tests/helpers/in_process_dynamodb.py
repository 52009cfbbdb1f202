"""DynamoDB inside the test process: moto, which answers boto3's requests before they are sent.

Only on Python 3. It has no server, so it is for tests of one process; requests of several threads
are answered one by one, because moto has no locks."""
import collections
import copy
import functools
import os
import threading

import botocore.handlers
import botocore.session
import botocore.useragent
import moto
import moto.core.responses
from moto.core.models import botocore_stubber
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict
from moto.dynamodb.models.table import Table


def _copy_of_item(item, memo=None):
    copied = object.__new__(Item)
    copied.hash_key, copied.range_key = item.hash_key, item.range_key
    copied.attrs = LimitedSizeDict()
    dict.update(copied.attrs, item.attrs)  # without measuring the item again
    return copied


def _all_items(table):
    return sorted(
        (item for value in table.items.values()
         for item in (value.values() if table.has_range_key else [value])),
        key=lambda item: (item.hash_key.cast_value, item.range_key and item.range_key.cast_value))


def _copy_of_table(table, memo):
    copied = copy.copy(table)
    copied.items = collections.defaultdict(dict)
    for key, value in table.items.items():
        copied.items[key] = (
            {range_key: _copy_of_item(item) for range_key, item in value.items()}
            if table.has_range_key else _copy_of_item(value))
    return copied


# What follows changes how long moto and botocore take, but not what they do.
#
# moto copies all tables of a region before each transaction. moto changes items in place, but never
# values, so the copies of an item may share them.
DynamoType.__deepcopy__ = lambda value, memo: value
Item.__deepcopy__ = _copy_of_item
Table.__deepcopy__ = _copy_of_table
# moto sorts all items of a table for each page, and converts both keys at each comparison.
Table.all_items = _all_items
# For each request, moto lists the methods of a class, and botocore builds the same header twice.
moto.core.responses.method_names_from_class = functools.lru_cache(maxsize=None)(
    moto.core.responses.method_names_from_class)
botocore.useragent.UserAgentString.to_string = lambda self: 'Boto3'
# All clients share what botocore reads from its files: a client then takes a third of the time.
botocore.session.create_loader = functools.lru_cache(maxsize=None)(botocore.session.create_loader)


class InProcessDynamoDB(object):
    """A context in which requests to Amazon's DynamoDB are answered in this process."""

    #: A region of any other name is a DynamoDB of its own; see tests.helpers.engine.
    url = 'https://dynamodb.us-east-1.amazonaws.com'

    def __init__(self):
        os.environ['MOTO_ALLOW_NONEXISTENT_REGION'] = 'true'
        self._lock = threading.Lock()
        self._aws = moto.mock_aws()
        handlers = botocore.handlers.BUILTIN_HANDLERS
        handlers[handlers.index(('before-send', botocore_stubber))] = ('before-send', self._answer)

    def __enter__(self):
        self._aws.start()
        return self

    def __exit__(self, *failure):
        self._aws.stop()

    def _answer(self, **event):
        with self._lock:
            return botocore_stubber(**event)
