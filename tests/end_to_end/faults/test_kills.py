"""Processes that load are killed with SIGKILL, or stopped for longer than their lease, at random
moments; another takes over."""
import random
import signal
import time

from tests.end_to_end.faults.processes import Processes, assert_right, repositories
from tests.helpers.engine import EngineIndex

# Short leases, so that a takeover takes a second and not 20: a lease is never shorter than three
# slowest requests, so these are short, too.
LOADER = '''
lease.LEASE_SECONDS = 1.5
index.engine.start(listed, wait=0.1)
while not index.engine.ready:
    time.sleep(0.05)
note('served')
index.engine.close()
'''
SHORT = {'connect_timeout': 0.3, 'read_timeout': 0.3, 'attempts': 1, 'push_wait': 1}


def test_killed_at_random_moments_of_the_load_another_takes_over(dynamodb_local, tmp_path, is_long):
    wanted, count = (200, 500) if is_long else (4, 120)
    stored, chance, killed, rounds = repositories(count), random.Random(4), 0, 0
    while killed < wanted:
        rounds += 1
        index = EngineIndex(dynamodb_local.url)
        with Processes(index, tmp_path / str(rounds), LOADER, **SHORT) as loaders:
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
        index.delete_tables()
    print('%d processes killed in %d loads of %d repositories' % (killed, rounds, count))


def test_a_process_that_was_stopped_longer_than_its_lease_writes_nothing(
        dynamodb_local, tmp_path, is_long):
    chance = random.Random(5)
    for number in range(10 if is_long else 1):
        stored = repositories(150 if is_long else 80)
        index = EngineIndex(dynamodb_local.url)
        with Processes(index, tmp_path / str(number), LOADER, **SHORT) as loaders:
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
            before = [index.items(table) for table in index.tables()]
            first.send_signal(signal.SIGCONT)
            loaders.end()
            assert loaders.noted('loaded') == [second.pid]
            assert sorted(loaders.noted('served')) == sorted([first.pid, second.pid])
            assert [index.items(table) for table in index.tables()] == before
        index.delete_tables()
