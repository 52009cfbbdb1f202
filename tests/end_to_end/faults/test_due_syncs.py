"""If several processes find at the same moment that a sync is due, exactly one makes it."""
from docker_registry_index.engine.store.records import READY_KEY
from tests.end_to_end.faults.processes import Processes, assert_right, repositories

COUNT = 4
LONG_AGO = 1
PROCESS = '''
random.uniform = min  # they check at the same moment
note('here')
while noted('here') < %d:
    time.sleep(0.01)
assert index.engine.start(listed)
while index.engine.status().marker().synced == %d:
    time.sleep(0.05)
note('seen')
# A process that found another one syncing checks the index again after five seconds.
time.sleep(7)
index.engine.close()
''' % (COUNT, LONG_AGO)


def test_exactly_one_process_makes_a_due_sync(index, tmp_path):
    stored = repositories(60)
    index.ready(stored)
    more = stored + [('team/pushed-past-the-index', None)]
    index.engine.client.call('update_item', TableName=index.settings.search_table, Key=READY_KEY,
                             UpdateExpression='SET synced = :then, tried = :then',
                             ExpressionAttributeValues={':then': {'N': str(LONG_AGO)}})
    with Processes(index, tmp_path / 'notes', PROCESS, sync_interval=3600) as processes:
        started = {processes.start(more).pid for _ in range(COUNT)}
        processes.end()
    assert set(processes.noted('here')) == set(processes.noted('seen')) == started
    assert len(processes.noted('loading')) == len(processes.noted('loaded')) == 1
    assert_right(index, more)
