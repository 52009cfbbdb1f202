"""From whatever is there to an index that is ready, loading at most once.

The mark `ready` stands in the search table when a load has ended. It is
written together with the end of the lease, and taken away before a missing
table is created anew beside it: so no crash leaves it standing over an
index that is not whole.
"""

from __future__ import unicode_literals

import logging
import random
import threading
import time
import uuid

from . import errors, postings, schema
from ._compat import monotonic
from .lease import Lease
from .tables import create_missing

__all__ = ['Startup']

logger = logging.getLogger(__name__)

#: Seconds a start waits for another process's load before it serves.
PATIENCE = 30

#: The version number of release 0.1.0, which refuses every other.
VERSION = '1'

#: For each search table, so that a process loads an index once.
_loading = {}


class Startup(object):
    """The start of one index.

    :param load: called with a heartbeat function to load under the lease.
    """

    def __init__(self, client, tables, load, sleep=time.sleep,
                 clock=monotonic):
        self._client = client
        self._tables = tables
        self._load = load
        self._sleep = sleep
        self._clock = clock
        self._search = tables['search'].name
        self._version = tables['version'].name

    def ensure_ready(self):
        """Return when the index is ready, or another process is loading it
        for longer than 30 seconds; True if it is ready.

        Costs one BatchGetItem of three read units when it is.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: not ready; call again.
        """
        with _loading.setdefault(self._search, threading.Lock()):
            return self._is_ready() or self._prepare()

    def _prepare(self):
        mark = self._mark()
        create_missing(self._client, self._tables,
                       before_creating=lambda: self._void(mark),
                       sleep=self._sleep)
        self._check_version()
        lease = Lease(self._client, self._version, clock=self._clock)
        deadline = self._clock() + PATIENCE
        while self._clock() <= deadline:
            if self._is_ready():
                return True
            if lease.acquire():
                try:
                    return self._load_once(lease)
                except errors.LeaseLost as error:
                    logger.warning('%s', error)
                finally:
                    lease.release()
            # Workers are made anew all the time; each need not wait in vain.
            if lease.is_alive and lease.age > PATIENCE:
                break
            self._sleep(random.uniform(0.3, 0.7))
        logger.warning('another process is still loading the search index '
                       'after %d seconds; serving what is there already',
                       PATIENCE)
        return False

    def _load_once(self, lease):
        # Another process may have ended its load just before.
        if not self._is_ready():
            self._load(lease.renew)
            lease.release_with(self._ready())
        return True

    def _is_ready(self):
        """One consistent BatchGetItem that touches all three tables."""
        wanted = {
            self._tables['repository'].name: {'name': {'S': schema.MARKS}},
            self._version: {'version': {'N': VERSION}},
            self._search: _MARK}
        wanted = {table: {'Keys': [key], 'ConsistentRead': True}
                  for table, key in wanted.items()}
        try:
            # Keys left out, as of 0.1.0's small tables when they are
            # throttled, tell no less: only the mark must be read.
            found = self._client.batch_get(
                wanted, enough=lambda left: self._search not in left)
        except errors.MissingTable:
            return False
        return self._is_known((found.get(self._search) or [{}])[0])

    def _is_known(self, mark):
        if 'format' not in mark:
            return False
        found = int(mark['format']['N'])
        if found > postings.FORMAT:
            raise errors.NewerDatabase(self._search, found, postings.FORMAT)
        return found == postings.FORMAT

    def _mark(self):
        try:
            return self._client.call(
                'get_item', TableName=self._search, Key=_MARK,
                ConsistentRead=True).get('Item')
        except errors.MissingTable:
            return None

    def _void(self, mark):
        """Take away the mark that was seen; a newer one is not ours."""
        if mark is None:
            return
        self._is_known(mark)
        try:
            self._client.call(
                'delete_item', TableName=self._search, Key=_MARK,
                ConditionExpression='#number = :number',
                ExpressionAttributeNames={'#number': 'number'},
                ExpressionAttributeValues={':number': mark['number']})
        except errors.RequestFailed as error:
            if error.code != 'ConditionalCheckFailedException':
                raise

    def _check_version(self):
        """Refuse a database of another version, as 0.1.0 does."""
        rows = self._client.call('scan', TableName=self._version,
                                 ConsistentRead=True)['Items']
        for row in rows:
            if row['version']['N'] != VERSION:
                raise errors.NewerDatabase(
                    self._version, row['version']['N'], VERSION)

    def _ready(self):
        return {'Put': {'TableName': self._search, 'Item': dict(
            _MARK, format={'N': str(postings.FORMAT)},
            number={'S': uuid.uuid4().hex})}}


_MARK = {'gram': {'S': schema.MARKS}, 'suffix': {'S': schema.READY}}
