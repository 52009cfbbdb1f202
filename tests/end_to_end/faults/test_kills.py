"""Processes that load are killed with SIGKILL, or stopped for longer than their lease, at random
moments; another takes over."""
import random
import signal
import subprocess
import sys
import time

from dev.servers.process import ROOT
from tests.helpers.engine import EngineIndex


# Short leases, so that a takeover takes a second and not 20: a lease is never shorter than three
# slowest requests, so these are short, too.
PROCESS = '''
import logging, os, sys, time
from dev.servers.process import ROOT
from docker_registry_index.engine.lifecycle import lease
from tests.helpers.engine import EngineIndex
lease.LEASE_SECONDS = {lease}
logging.basicConfig(stream=sys.stdout, level=logging.INFO)
index = EngineIndex({url!r}, {database!r}, connect_timeout=0.3, read_timeout=0.3, attempts=1,
                    push_wait=1)
def note(what):
    with open({notes!r}, 'a') as notes:
        notes.write('%s %d\\n' % (what, os.getpid()))
class Finished(logging.Handler):
    def emit(self, record):
        if 'loaded the search index in' in record.getMessage():
            note('finished')
logging.getLogger().addHandler(Finished())
def listed():
    note('begun')
    return [tuple(pair) for pair in {stored!r}]
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
    """Processes that load one index."""

    def __init__(self, url, database, notes, lease=1.5):
        self._settings = dict(url=url, database=database, notes=str(notes), lease=lease)
        self.notes = notes
        self.running = []

    def start(self, stored):
        program = PROCESS.format(stored=stored, **self._settings)
        process = subprocess.Popen([sys.executable, '-c', program], cwd=ROOT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.running.append(process)
        return process

    def noted(self, what):
        """The processes that noted this."""
        lines = self.notes.read_text().split('\n') if self.notes.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(what + ' ')]

    def wait_for(self, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not self.noted(what):
            assert time.monotonic() < deadline, 'no process has noted %s' % what
            time.sleep(0.01)

    def loading(self, seconds=60):
        """The process that loads, once one does; None when the load has ended."""
        deadline = time.monotonic() + seconds
        while not self.noted('finished'):
            assert time.monotonic() < deadline, 'no process loads'
            begun = self.noted('begun')[-1:]
            for process in self.running:
                if process.pid in begun:
                    return process
            time.sleep(0.01)
        return None

    def end(self):
        """Let all come to their ends, which must be good."""
        for process in self.running:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr.decode()[-2000:]

    def kill(self):
        for process in self.running:
            process.kill()
            process.communicate()


def assert_right(index, stored):
    index.assert_whole()
    assert list(index.engine.checker(lambda: stored).check()) == []
    expected = {name: description or '' for name, description in stored}
    assert dict(index.search('')) == expected


def test_killed_at_random_moments_of_the_load_another_takes_over(dynamodb_local, tmp_path, is_long):
    wanted, count = (200, 500) if is_long else (4, 120)
    stored, chance, killed, rounds = repositories(count), random.Random(4), 0, 0
    while killed < wanted:
        rounds += 1
        index = EngineIndex(dynamodb_local.url)
        loaders = Loaders(dynamodb_local.url, index.settings.database, tmp_path / str(rounds))
        try:
            for _ in range(3):
                loaders.start(stored)
            for _ in range(min(10, wanted - killed)):
                loader = loaders.loading()
                time.sleep(chance.uniform(0, 0.6))
                if loader is None or loaders.noted('finished'):
                    break
                loader.send_signal(signal.SIGKILL)
                loader.communicate()
                loaders.running.remove(loader)
                killed += 1
                loaders.start(stored)
            loaders.end()
            assert_right(index, stored)
            # A process that is killed just after its load leaves no note.
            assert len(loaders.noted('finished')) <= 1 and len(loaders.noted('served')) == 3
            assert index.engine.is_ready()
            assert index.engine.status().marker().report['found'] == count
        finally:
            loaders.kill()
            index.delete_tables()
    print('%d processes killed in %d loads of %d repositories' % (killed, rounds, count))


def test_a_process_that_was_stopped_longer_than_its_lease_writes_nothing(
        dynamodb_local, tmp_path, is_long):
    chance = random.Random(5)
    for number in range(10 if is_long else 1):
        stored = repositories(150 if is_long else 80)
        index = EngineIndex(dynamodb_local.url)
        loaders = Loaders(dynamodb_local.url, index.settings.database, tmp_path / str(number))
        try:
            first = loaders.start(stored)
            loaders.wait_for('begun')
            time.sleep(chance.uniform(0.05, 0.6))
            first.send_signal(signal.SIGSTOP)
            # The storage and a description change while the first process is stopped.
            fewer = [(name, description) for name, description in stored if not name.endswith('7')]
            second = loaders.start(fewer)
            second.communicate(timeout=120)
            assert second.returncode == 0
            gone = [name for name, _ in stored if name.endswith('7')]
            for name in gone:
                index.engine.remove(name)
            index.engine.add('team-0/application-000', 'new words')
            expected = [(name, 'new words' if name == 'team-0/application-000' else description)
                        for name, description in fewer]
            assert_right(index, expected)
            before = [index.items(table) for table in index.tables()]
            first.send_signal(signal.SIGCONT)
            loaders.end()
            assert loaders.noted('finished') == [second.pid] and sorted(
                loaders.noted('served')) == sorted([first.pid, second.pid])
            assert [index.items(table) for table in index.tables()] == before
        finally:
            loaders.kill()
            index.delete_tables()
