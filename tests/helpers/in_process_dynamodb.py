"""DynamoDB inside the test process: moto, which answers boto3's requests before they are sent.

Only on Python 3. It has no server, so it is for tests of one process; requests of several threads
are answered one by one, because moto has no locks.
"""
import copyreg
import functools
import os
import threading

import botocore.handlers
import botocore.session
import moto
from moto.core.models import botocore_stubber
from moto.dynamodb.models.dynamo_type import DynamoType, Item, LimitedSizeDict

__all__ = ['InProcessDynamoDB']


def _copy_of(item):
    """Return an Item of the same values."""
    copied = object.__new__(Item)
    copied.hash_key, copied.range_key = item.hash_key, item.range_key
    copied.attrs = LimitedSizeDict()
    dict.update(copied.attrs, item.attrs)  # without measuring the item again
    return copied


# moto copies all tables of a region before each transaction. moto changes items in place, but never
# values, so the copies of an item may share them: two thirds of the time of the tests.
copyreg.pickle(DynamoType, lambda value: 'shared')
copyreg.pickle(Item, lambda item: (functools.partial(_copy_of, item), ()))
# All clients share what botocore reads from its files: a client then takes a third of the time.
botocore.session.create_loader = functools.lru_cache(maxsize=None)(
    botocore.session.create_loader)


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
