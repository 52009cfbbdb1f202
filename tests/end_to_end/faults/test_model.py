"""Rows, postings and searches follow a model: two engines on the same tables make random changes
and loads, which are killed between any two requests. DynamoDB makes some requests late."""
import time

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st

from docker_registry_index.engine.store import text
from docker_registry_index.engine.sync import verification
from docker_registry_index.engine.write.bulk import intents
from docker_registry_index.engine.write.plan import TOMBSTONE_SECONDS
from tests.helpers.clock import Clock
from tests.helpers.faults import AtRequest, KillAfter, Killed, LateWrites, taken_back
from tests.helpers.engine import EngineIndex

#: A name of more postings than a transaction has actions: none is the beginning of another.
LONG = ('ab-cd.' * 18)[:107] + '/z'
#: Few names, so that they meet; one of several transactions.
NAMES = st.sampled_from(['team/web', 'team/Web', 'team/web-api', 'library/web', LONG])
DESCRIPTIONS = st.sampled_from(['', 'web front', 'of the team', 'Ünicode words'])
ENGINES = st.integers(0, 1)
#: Requests until a process is killed; None for never.
KILLS = st.one_of(st.none(), st.integers(0, 16))
#: The requests for postings of a load that DynamoDB makes late.
LATE = st.sets(st.integers(0, 3))
TERMS = ['', 'web', 'eb', 'team', 'words', LONG[-4:]]


class Machine(stateful.RuleBasedStateMachine):
    """The model: what the registry's storage has, and the descriptions, by name.

    A change that was killed leaves its name in doubt: one thing or the other, until it is changed
    or loaded again. Searches may miss the names of a load that was killed, and find what it wrote
    of them, until a load ends."""

    endpoint = None

    def __init__(self):
        super().__init__()
        first = EngineIndex(self.endpoint, attempts=1).ready()
        self.engines = [first, first.another(attempts=1), first.another()]
        #: The requests that DynamoDB still has to make.
        self.late = []
        self.stored, self.found, self.doubtful = set(), {}, {}
        #: The names that a paused process has written after its pause, until a load ends.
        self.continued = set()
        #: Seconds that the clock of loads is ahead: rows of before were not touched within their
        #: last hour.
        self.ahead = 0

    def teardown(self):
        for _ in range(2):
            self.sync_later(0, None, 3601)
            self.agrees()
        assert not intents(self.engines[2].store) and not self.late
        assert not self.doubtful and (set(self.found) == self.stored or not self.stored)
        self.engines[0].delete_tables()

    def _run(self, engine, kill, act):
        """Return True if ``act`` was not killed."""
        index = self.engines[engine]
        with taken_back(index.engine):
            if kill is not None:
                KillAfter(index.engine, kill)
            try:
                act(index)
                return True
            except Killed:
                return False

    def _change(self, name, done, becomes):
        states = self.doubtful.pop(name, [self.found.get(name)])
        # A push keeps the description that the row had.
        becomes = [state or '' for state in states] if becomes == 'kept' else [becomes]
        self._set(name, becomes if done else states + becomes)

    def _set(self, name, states):
        states = sorted(set(states), key=repr)
        self.found.pop(name, None)
        if len(states) > 1:
            self.doubtful[name] = states
        elif states[0] is not None:
            self.found[name] = states[0]

    @stateful.rule(engine=ENGINES, name=NAMES, kill=KILLS)
    def push(self, engine, name, kill):
        self.stored.add(name)
        self._change(name, self._run(engine, kill, lambda index: index.engine.add(name)), 'kept')

    @stateful.rule(engine=ENGINES, name=NAMES, description=DESCRIPTIONS, kill=KILLS)
    def describe(self, engine, name, description, kill):
        self.stored.add(name)
        done = self._run(engine, kill, lambda index: index.engine.add(name, description))
        self._change(name, done, text.clean_description(description))

    @stateful.rule(engine=ENGINES, name=NAMES, kill=KILLS)
    def delete(self, engine, name, kill):
        self.stored.discard(name)
        self._change(name, self._run(engine, kill, lambda index: index.engine.remove(name)), None)

    @stateful.rule(name=NAMES, is_there=st.booleans())
    def change_the_storage_without_a_signal(self, name, is_there):
        (self.stored.add if is_there else self.stored.discard)(name)

    @stateful.rule(engine=ENGINES, kill=KILLS, late=LATE)
    def load(self, engine, kill, late):
        self._load(engine, kill, late)

    @stateful.rule(engine=ENGINES, kill=KILLS, late=LATE,
                   seconds=st.sampled_from([3601, TOMBSTONE_SECONDS]))
    def sync_later(self, engine, kill, seconds, late=()):
        """Sync an hour later, or after all tombstones have expired."""
        self.ahead += seconds
        self._load(engine, kill, late, is_sync=True)

    @stateful.rule(engine=ENGINES, name=NAMES, number=st.integers(0, 20), kill=KILLS, late=LATE,
                   change=st.sampled_from(['push', 'delete', 'describe', 'repair', 'make late']))
    def change_in_the_middle_of_a_load(self, engine, name, number, kill, late, change):
        """The other engine makes the change, before a request of the load. The load may be killed
        later."""
        other = 1 - engine
        changes = {
            'push': lambda: self.push(other, name, None),
            'delete': lambda: self.delete(other, name, None),
            'describe': lambda: self.describe(other, name, 'of the team', None),
            'repair': lambda: list(self.engines[other].engine.checker().check(repair=True)),
            'make late': self.make_late}
        self.ahead += 3601
        self._load(engine, kill, late, meanwhile=(number, name, changes[change]))

    @stateful.rule(engine=ENGINES, number=st.integers(0, 20))
    def load_in_the_middle_of_a_load(self, engine, number):
        """The other engine loads while the process of a load is paused before a request. When it
        continues, it makes this request, and is killed."""
        self._load(engine, number + 1, meanwhile=(number, None, lambda: self._load(1 - engine)))
        self.continued = {name for intent in intents(self.engines[2].store)
                          for name, _ in intent.repositories}

    @stateful.rule(engine=ENGINES, first=st.integers(0, 20))
    def another_program_changes_postings(self, engine, first):
        """It deletes some, and writes one without a repository. The next load repairs that."""
        table = self.engines[2].settings.search_table
        self.engines[2].store.batch_write(table, [
            {'DeleteRequest': {'Key': {name: item[name] for name in ('gram', 'suffix')}}}
            for item in self.engines[2].postings()[first::9]] + [{'PutRequest': {'Item': {
                'gram': {'S': 'sg'}, 'suffix': {'S': 'ghost\x01web/'}, 't': {'S': 'web/ghost'}}}}])
        self._load(engine)

    @stateful.rule()
    def make_late(self):
        """DynamoDB makes the requests that got no answer."""
        while self.late:
            self.late.pop().make(self.engines[2])

    def interrupted(self):
        """Return the names that killed loads have left for the end of the next one. Settled intents
        are of names that are written again."""
        return self.continued | {name for intent in intents(self.engines[2].store)
                                 for name, _ in intent.repositories if not intent.is_settled}

    def _load(self, engine, kill=None, late=(), is_sync=False, meanwhile=None):
        descriptions = self._descriptions(engine)
        for name in self.doubtful:
            self.doubtful[name] = [descriptions.get(name)]
        clock = Clock()

        def sleep(seconds):
            clock.sleep(seconds)
            if seconds == 1:
                # The load waits for them at its end.
                self.make_late()

        def act(index):
            if meanwhile:
                AtRequest(index.engine, meanwhile[0], meanwhile[2])
            self.late.append(LateWrites(index.engine, late))
            index.load(lambda: [(name, None) for name in sorted(self.stored)], clock=clock,
                       sleep=sleep, wall_clock=lambda: time.time() + self.ahead, slices=[0])

        done = self._run(engine, kill, act)
        self.late = [each for each in self.late if each.pending]
        assert not done or not self.late
        if done:
            self.continued = set()
        descriptions = self._descriptions(engine)
        for name in sorted(set(self.found) | set(self.doubtful) | self.stored):
            before = self.doubtful.pop(name, [self.found.get(name)])[0]
            after = descriptions.get(name)
            # What it may do, and nothing else: keep; add what is in the storage; remove what is
            # not.
            if meanwhile and name == meanwhile[1] and name in self.stored:
                # Removed by the load, and pushed after that, it has lost its description.
                assert after in (before, ''), name
            elif after is not None:
                assert before == after or (before is None and name in self.stored), name
            else:
                assert before is None or name not in self.stored, name
            if done and name in self.stored:
                assert after is not None, name
            if done and is_sync and name not in self.stored and self.stored:
                assert after is None, name
            self._set(name, [after])
            if not done and name == LONG:
                # Something may be there and something not.
                self.found.pop(name, None)
                self.doubtful[name] = [after]

    def _descriptions(self, engine):
        """Return the descriptions in the rows, by name."""
        return {name: text.clean_description(row.get('description', {}).get('S'))
                for name, row in self.engines[engine].rows().items()}

    @stateful.invariant()
    def agrees(self):
        """Each certain repository is found with its description, and no other one."""
        uncertain = self.interrupted() | set(self.doubtful)
        for index in self.engines[:2]:
            for term in TERMS:
                found = dict(index.search(term))
                folded = text.fold(term)
                for name, description in found.items():
                    assert name in uncertain or self.found.get(name) == description, (term, name)
                    assert folded in text.fold(name) or folded in text.fold(description)
                assert {name for name in self.found
                        if folded in text.fold(name)} <= set(found) | uncertain
        if not uncertain:
            self.engines[0].assert_whole()


def test_everything_follows_the_model(dynamodb_local, is_long, monkeypatch):
    # Each load verifies all postings.
    monkeypatch.setattr(verification, 'SLICES', 1)
    Machine.endpoint = dynamodb_local.url
    stateful.run_state_machine_as_test(Machine, settings=hypothesis.settings(
        max_examples=300 if is_long else 5, stateful_step_count=40 if is_long else 12,
        deadline=None, suppress_health_check=list(hypothesis.HealthCheck)))
