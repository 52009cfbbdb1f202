"""Processes that load are killed with SIGKILL, or stopped for longer than their lease, at random
moments; another takes over."""
import random
import signal
import subprocess
import sys
import time

from dev.servers.process import ROOT
from docker_registry_index.engine.write.bulk import intents
from tests.end_to_end.faults.conftest import assert_right
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

# Short leases, so that a takeover takes a second and not 20: a lease is never shorter than three
# slowest requests, so these are short, too.
PROGRAM = '''
import logging, os, time
from docker_registry_index.engine.lifecycle import lease
from tests.helpers.engine import EngineIndex
lease.LEASE_SECONDS = 1.5

def note(kind):
    with open({notes!r}, 'a') as notes:
        notes.write('%s %d\\n' % (kind, os.getpid()))

class Loaded(logging.Handler):
    def emit(self, record):
        if record.getMessage().startswith('loaded the search index'):
            note('loaded')

logging.getLogger().addHandler(Loaded())
logging.getLogger().setLevel(logging.INFO)

def listed():
    note('begun')
    return [tuple(pair) for pair in {stored!r}]

index = EngineIndex({url!r}, {database!r}, connect_timeout=0.3, read_timeout=0.3, attempts=1,
                    push_wait=1)
index.engine.start(listed, wait=0.1)
while not index.engine.ready:
    time.sleep(0.05)
note('served')
index.engine.close()
'''


def repositories(count):
    return [('team-%d/application-%03d' % (number % 9, number), 'words of %d' % number
             if number % 5 == 0 else None) for number in range(count)]


class Loaders(object):
    """Processes that load an index; killed at the end of a `with`, which deletes its tables.

    :param notes: the path of a file for their notes: 'begun', 'loaded' and 'served'."""

    def __init__(self, index, notes):
        self._index, self._notes, self.running = index, notes, []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for process in self.running:
            process.kill()
            process.communicate()
        self._index.delete_tables()

    def start(self, stored):
        """Start a process whose storage has these repositories; return it."""
        program = PROGRAM.format(
            stored=stored, notes=str(self._notes), url=self._index.settings.endpoint_url,
            database=self._index.settings.database)
        self.running.append(subprocess.Popen([sys.executable, '-c', program], cwd=ROOT,
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        return self.running[-1]

    def noted(self, kind):
        """Return the processes that noted this, in order."""
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(kind + ' ')]

    def loading(self):
        """Return the process that loads, once one does; None when the load has ended."""
        loading = []

        def has_begun_or_loaded():
            begun = self.noted('begun')[-1:]
            loading[:] = [process for process in self.running if process.pid in begun]
            return loading or self.noted('loaded')

        wait_until(has_begun_or_loaded, 'no process loads', 60)
        return None if self.noted('loaded') else loading[0]

    def end(self):
        """Wait for all processes, none of which may fail."""
        for process in self.running:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr.decode()[-2000:]


def test_killed_at_random_moments_of_the_load_another_takes_over(dynamodb_local, tmp_path, is_long):
    wanted, count = (200, 500) if is_long else (4, 120)
    stored, chance, killed, rounds = repositories(count), random.Random(4), 0, 0
    while killed < wanted:
        rounds += 1
        index = EngineIndex(dynamodb_local.url)
        with Loaders(index, tmp_path / str(rounds)) as loaders:
            for _ in range(3):
                loaders.start(stored)
            for _ in range(min(10, wanted - killed)):
                loader = loaders.loading()
                time.sleep(chance.uniform(0, 0.6))
                if loader is None or loaders.noted('loaded'):
                    break
                loader.send_signal(signal.SIGKILL)
                loader.communicate()
                loaders.running.remove(loader)
                killed += 1
                loaders.start(stored)
            loaders.end()
            assert_right(index, stored)
            # A process that is killed just after its load leaves no note.
            assert len(loaders.noted('loaded')) <= 1 and len(loaders.noted('served')) == 3
            assert index.engine.is_ready()
            assert index.engine.status().marker().report['found'] == count
    print('%d processes killed in %d loads of %d repositories' % (killed, rounds, count))


def test_a_process_that_was_stopped_longer_than_its_lease_changes_nothing_that_stays(
        dynamodb_local, tmp_path, is_long):
    chance = random.Random(5)
    for number in range(10 if is_long else 1):
        stored = repositories(150 if is_long else 80)
        index = EngineIndex(dynamodb_local.url)
        with Loaders(index, tmp_path / str(number)) as loaders:
            first = loaders.start(stored)
            loaders.loading()
            time.sleep(chance.uniform(0.05, 0.6))
            first.send_signal(signal.SIGSTOP)
            # The storage and a description change while the first process is stopped.
            fewer = dict(pair for pair in stored if not pair[0].endswith('7'))
            second = loaders.start(list(fewer.items()))
            second.communicate(timeout=120)
            assert second.returncode == 0
            for name in dict(stored).keys() - fewer.keys():
                index.engine.remove(name)
            fewer['team-0/application-000'] = 'new words'
            index.engine.add('team-0/application-000', 'new words')
            assert_right(index, list(fewer.items()))
            rows, postings = index.rows(), index.postings()
            first.send_signal(signal.SIGCONT)
            loaders.end()
            assert loaders.noted('loaded') == [second.pid]
            assert sorted(loaders.noted('served')) == sorted([first.pid, second.pid])
            assert index.rows() == rows
            # Of the requests for postings for which it was stopped, an intent is left.
            assert index.postings() == postings or intents(index.store)
            for _ in range(2):
                assert index.load(lambda: fewer.items()).complete
                assert_right(index, list(fewer.items()))
            assert intents(index.store) == []
