"""If several processes find at the same moment that a sync is due, exactly one makes it."""
import subprocess
import sys
import time

from docker_registry_index.engine.store.records import READY_KEY
from tests.end_to_end.faults.test_kills import ROOT, assert_right, repositories

PROCESSES = 5
INTERVAL = 3600

PROCESS = '''
import logging, os, time
from docker_registry_index.engine.lifecycle import maintenance
from tests.helpers.engine import EngineIndex

class AtTheSameMoment(object):
    @staticmethod
    def uniform(least, most):
        return least

maintenance.random = AtTheSameMoment

def note(what):
    with open({notes!r}, 'a') as notes:
        notes.write('%s %d\\n' % (what, os.getpid()))

class Notes(logging.Handler):
    def emit(self, record):
        for what in 'loading', 'loaded':
            if record.getMessage().startswith(what + ' the search index'):
                note(what)

logging.getLogger().addHandler(Notes())
logging.getLogger().setLevel(logging.INFO)
index = EngineIndex({url!r}, {database!r}, sync_interval={interval})
note('here')
while open({notes!r}).read().count('here') < {processes}:
    time.sleep(0.01)
assert index.engine.start(lambda: [tuple(pair) for pair in {stored!r}])
while index.engine.status().marker().synced <= {due}:
    time.sleep(0.05)
note('seen')
# A process that found another one syncing checks the index again after five seconds.
time.sleep(7)
index.engine.close()
'''


def run(program):
    """Run it in several processes to their ends."""
    running = [subprocess.Popen([sys.executable, '-c', program], cwd=ROOT,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
               for _ in range(PROCESSES)]
    try:
        for process in running:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr.decode()[-2000:]
    finally:
        for process in running:
            process.kill()


def test_exactly_one_process_makes_a_due_sync(index, tmp_path):
    stored = repositories(60)
    index.ready(stored)
    more = stored + [('team/pushed-past-the-index', None)]
    due, notes = int(time.time()) - 1, tmp_path / 'notes'
    index.engine.client.call('update_item', TableName=index.settings.search_table, Key=READY_KEY,
                             UpdateExpression='SET synced = :then, tried = :then',
                             ExpressionAttributeValues={':then': {'N': str(due - INTERVAL)}})
    run(PROCESS.format(url=index.settings.endpoint_url, database=index.settings.database,
                       interval=INTERVAL, due=due, stored=more, notes=str(notes),
                       processes=PROCESSES))
    noted = [line.split() for line in notes.read_text().splitlines()]
    kinds = [kind for kind, _ in noted]
    # Each process started, one made the sync, and each process saw it.
    assert kinds[:PROCESSES] == ['here'] * PROCESSES
    assert kinds.count('loading') == kinds.count('loaded') == 1
    assert len(set(process for kind, process in noted if kind == 'seen')) == PROCESSES
    assert_right(index, more)
