"""Writes many repositories with BatchWriteItem, which costs half as much as transactions.

BatchWriteItem has no conditions, so another process may change a repository at the same time. A
group of repositories is written in these steps:

1. The *intent*, an item that lists the repositories, is written.
2. Their postings are written.
3. One transaction writes all rows and witnesses, on the condition that no other process has changed
   these repositories, and deletes the intent.
4. If the transaction is refused, or an item is invalid, the caller writes each repository again, as
   a whole.

The transaction is refused if the row or the witness has changed since it was read, or if another
process has deleted postings of the name since then, which the tombstone shows. So no load relies on
postings that are no longer as it wrote them.

If a process is killed, its intents stay. They also stay if a request that writes postings got no
answer, because DynamoDB may carry out such a request later. The next load, or the end of this one,
writes the repositories of such an intent again; see Loader. If the process may only be paused, the
load after that writes them once more."""

from __future__ import unicode_literals

import threading
import uuid

from .. import errors
from ..store.records import INTENT, MARKERS, Intent, marker_key
from . import plan

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
                # By one, once each request under way has ended.
                self.limit = min(self._most, self.limit + 1 / self.limit)
            self._changed.notify_all()


class WindowClient(object):
    """A client whose requests wait for a Window.

    :param client: a Client.
    :param check: called before each request, after the wait; raises to stop."""

    def __init__(self, client, window, check=lambda: None):
        self._client = client
        self._window = window
        self._check = check
        self.thread = client.thread

    def call(self, operation, **arguments):
        """Make one request; see Client.call."""
        self._window.enter()
        is_throttled = False
        try:
            self._check()
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

    :param store: a Store that retries, with a WindowClient.
    :param unthrottled: the same, but it does not retry throttled requests."""

    def __init__(self, store, unthrottled):
        self._store = store
        self._unthrottled = unthrottled
        #: The intents that were not deleted, by number.
        self._left = {}

    def write(self, changes):
        """Write a group of changes.

        :param changes: changes by Planner.put, whose heads together have at most LONGEST actions.
        :returns: (is_made, is_certain, Intent). If ``is_made`` is False, the changes must be
            written again. If ``is_certain`` is False, DynamoDB may still carry out a request that
            got no answer. The intent is left unless both are True.
        :raises RequestFailed: some postings may be written; the intent is left.

        Costs a write unit for each posting, two for each action of a head, and a few for the
        intent."""
        intent = Intent(uuid.uuid4().hex, [
            (change.name, sorted(change.descriptions)) for change in changes])
        thread = self._store.client.thread
        thread.is_uncertain = False
        self._left[intent.number] = intent
        try:
            self._put(intent, self._store)
            is_made, is_certain = self._write_postings(intent, changes)
        except errors.DynamoDBIndexError:
            self._note_end(intent)
            raise
        self._note_end(intent)
        if is_made and is_certain:
            del self._left[intent.number]
        return is_made, is_certain, intent

    def delete(self, intent, store):
        """Delete an intent whose repositories are written. Costs a DeleteItem.

        :param store: a Store whose requests do not wait for those of other threads."""
        store.call('delete_item', TableName=store.search_table,
                   Key=marker_key(INTENT, intent.number))
        self._left.pop(intent.number, None)

    def is_own(self, intent):
        """Return True if this object has written an intent."""
        return intent.number in self._left

    def finish(self, intent, store):
        """Note that the repositories of an intent are written again.

        The process of another load may only be paused. When it continues, it may make a request,
        and be killed before it can note that. So its intent is settled, and stays until the next
        load has written its repositories once more. Costs a PutItem or a DeleteItem.

        :param store: as for delete."""
        if intent.is_settled or self.is_own(intent):
            self.delete(intent, store)
        else:
            self._put(intent._replace(is_settled=True), store)

    def put_intents_again(self, store):
        """After the last request, write again each intent that this load has not deleted. If the
        process was paused, another load may have deleted the intent, and this one may have made a
        request afterwards. If all requests were answered, the next load need not wait.

        Costs a PutItem for each. If one fails, the load's own error matters more.

        :param store: a Store."""
        try:
            for intent in self._left.values():
                self._put(intent, store)
        except errors.RequestFailed:
            pass

    def _put(self, intent, store):
        store.call('put_item', TableName=store.search_table, Item=intent.item)

    def _note_end(self, intent):
        """Note the end of the requests for an intent. Ctrl-C may interrupt one without this."""
        is_settled = not self._store.client.thread.is_uncertain
        self._left[intent.number] = intent._replace(is_settled=is_settled)

    def _write_postings(self, intent, changes):
        """Write the postings and the heads of changes; return (is_made, is_certain)."""
        thread = self._store.client.thread
        try:
            self._store.batch_write(self._store.search_table, [
                _request(action) for change in changes for action in change.body])
        except errors.RequestFailed as error:
            if not error.invalid:
                raise
            # One invalid item refuses its whole batch, but only its repository must fail.
            return False, not thread.is_uncertain
        is_certain = not thread.is_uncertain
        return self._write_heads(intent, is_certain, changes), is_certain

    def _write_heads(self, intent, is_last, changes):
        """Write the heads of changes in one transaction; return False if it is refused.

        If it is throttled, write each half in turn: a table of 0.1.0 may never have the units for
        all rows of a transaction at once.

        :param is_last: True to delete the intent, too."""
        actions = [self._on_intent(intent, is_last)] + [
            action for change in changes for action in change.head]
        half = len(changes) // 2
        try:
            (self._unthrottled if half else self._store).call(
                'transact_write_items', TransactItems=actions)
        except errors.RequestFailed as error:
            if error.throttled and half:
                return (self._write_heads(intent, False, changes[:half]) and
                        self._write_heads(intent, is_last, changes[half:]))
            if error.invalid or error.reasons:
                return False
            raise
        return True

    def _on_intent(self, intent, is_last):
        """Return an action that succeeds only while the intent exists.

        :param is_last: True to delete the intent."""
        return {'Delete' if is_last else 'ConditionCheck': {
            'TableName': self._store.search_table, 'Key': marker_key(INTENT, intent.number),
            'ConditionExpression': 'attribute_exists(gram)'}}


def intents(store):
    """Return a list of all intents. Costs a Query.

    :param store: a Store."""
    return [Intent.of(item) for item in store.query_all(MARKERS, prefix=INTENT)]


def _request(action):
    """Return the request of a BatchWriteItem for an action of a transaction."""
    if 'Put' in action:
        return {'PutRequest': {'Item': action['Put']['Item']}}
    return {'DeleteRequest': {'Key': action['Delete']['Key']}}
