"""Writes many repositories with BatchWriteItem, which costs half as much as transactions.

BatchWriteItem has no conditions, so another process may change a repository at the same time. A
group of repositories is written in these steps:

1. The *intent*, an item that lists the repositories, is written.
2. Their postings are written.
3. One transaction writes all rows and witnesses, on the condition that no other process has changed
   these repositories, and deletes the intent.
4. If the transaction is refused, the caller writes each repository again, as a whole.

If a process is killed, its intents stay. They also stay if a request for postings got no answer,
because DynamoDB may make such a request later. Another load, or the end of this one, writes the
repositories of such an intent again."""

from __future__ import unicode_literals

import threading
import uuid

from .. import errors
from ..store.records import MARKERS, Intent, intent_key
from . import plan
from .writer import Writer

__all__ = ['BulkWriter', 'LONGEST', 'Window', 'WindowClient', 'delete_intent', 'finish_interrupted']

#: The most actions of the heads of a group: one action of their transaction is for the intent.
LONGEST = plan.LONGEST - 1


class Window(object):
    """Limits the requests that are made at the same time. The limit grows while nothing is
    throttled, and is halved when a request is.

    :param most: the greatest limit.
    :param give_way: called before each request; waits while others have precedence."""

    def __init__(self, most, give_way=lambda: None):
        self._most = most
        self._give_way = give_way
        self._changed = threading.Condition()
        self._under_way = 0
        self.limit = 1.0

    def enter(self):
        """Wait until one more request may be made. When it ends, call leave."""
        with self._changed:
            while self._under_way >= int(self.limit):
                self._changed.wait()
            self._under_way += 1
        self._give_way()

    def leave(self, is_throttled):
        """Note the end of a request, and whether DynamoDB throttled it."""
        with self._changed:
            self._under_way -= 1
            if is_throttled:
                self.limit = max(1, self.limit / 2)
            else:
                # By one when each request under way has ended.
                self.limit = min(self._most, self.limit + 1 / self.limit)
            self._changed.notify_all()


class WindowClient(object):
    """A client whose requests wait for a Window.

    :param client: a Client."""

    def __init__(self, client, window):
        self._client = client
        self._window = window
        self.thread = client.thread

    def call(self, operation, **arguments):
        """Make one request; see Client.call."""
        self._window.enter()
        is_throttled = False
        try:
            response = self._client.call(operation, **arguments)
            is_throttled = bool(response.get('UnprocessedItems') or response.get(
                'ResponseMetadata', {}).get('RetryAttempts'))
            return response
        except errors.RequestFailed as error:
            is_throttled = error.throttled
            raise
        finally:
            self._window.leave(is_throttled)


class BulkWriter(object):
    """Writes groups of changes; several threads may use it.

    :param store: a Store that retries, with a WindowClient."""

    def __init__(self, store):
        self._store = store
        self._writer = Writer(store)

    def write(self, changes):
        """Write a group of changes.

        :param changes: changes by Planner.put, whose heads have LONGEST actions at most together.
        :returns: (False if they must be written again, the Intent that is left or None).
        :raises RequestFailed: some postings may be written; the intent is left.

        Costs a write unit for each posting, two for each action of a head, and a few for the
        intent."""
        intent = Intent(uuid.uuid4().hex, [
            (change.name, sorted(plan.possible_descriptions(change))) for change in changes])
        table, thread = self._store.search_table, self._store.client.thread
        thread.is_uncertain = False
        self._store.call('put_item', TableName=table, Item=intent.item)
        self._store.batch_write(table, [
            _request(action) for change in changes for action in change.body])
        is_certain = not thread.is_uncertain
        is_made = self._writer.transact([self._on_intent(intent, is_certain)] + [
            action for change in changes for action in change.head])
        return is_made, None if is_made and is_certain else intent

    def _on_intent(self, intent, is_certain):
        """Return an action that succeeds only while the intent exists. If all postings are written
        for certain, it deletes the intent."""
        return {'Delete' if is_certain else 'ConditionCheck': {
            'TableName': self._store.search_table, 'Key': intent_key(intent.number),
            'ConditionExpression': 'attribute_exists(gram)'}}


def delete_intent(store, intent):
    """Delete an intent whose repositories are written. Costs a DeleteItem."""
    store.call('delete_item', TableName=store.search_table, Key=intent_key(intent.number))


def finish_interrupted(store, heartbeat=lambda: None):
    """Write the repositories of each intent again, as a whole, and delete the intent. A repository
    without a row loses its postings.

    Costs a Query, two GetItem and a TransactWriteItems for each repository of an intent, and a
    DeleteItem for each intent.

    :param store: a Store that retries."""
    writer = Writer(store)
    for item in list(store.query_all(MARKERS, prefix=intent_key('')['suffix']['S'])):
        intent = Intent.of(item)
        for name, begun in intent.repositories:
            heartbeat()
            writer.rewrite(name, begun)
        delete_intent(store, intent)


def _request(action):
    """Return the request of a BatchWriteItem for an action of a transaction."""
    if 'Put' in action:
        return {'PutRequest': {'Item': action['Put']['Item']}}
    return {'DeleteRequest': {'Key': action['Delete']['Key']}}
