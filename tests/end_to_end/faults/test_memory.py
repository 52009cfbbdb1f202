"""A load of any size takes the same memory; pushes without DynamoDB take little."""
import json
import os
import subprocess
import sys

import pytest

from dev.servers.process import LOCAL, ROOT, free_port

#: Megabytes: what SQLite keeps of its temporary file, pages of answers, the allocator's own.
LOAD_GROWS_BY = PUSHES_GROW_BY = 10

LOAD = '''
from docker_registry_index.engine import Source

class Many(Source):
    def namespaces(self):
        return ('team-%d' % number for number in range({count} // 100))
    def repositories(self, namespace):
        return (('%s/app-%d' % (namespace, number), None) for number in range(100))
    def has(self, name):
        return True

index = EngineIndex({url!r})
index.ready()
before = peak()
report = index.engine.sync(Many())
assert report.complete and report.found == report.added == {count}
# The next load finds a restored table, and verifies all postings.
index.change_item(index.settings.search_table, READY_KEY, tables={{'S': 'others'}})
assert index.engine.sync(Many()).unchanged == {count}
index.delete_tables()
'''
PUSHES = '''
index = EngineIndex({url!r}, push_wait=1, sync_interval=0)
index.engine.start(lambda: [])
for number in range(10):
    index.engine.apply_change('team/first-%d' % number, True)
before = peak()
for number in range({count}):
    index.engine.apply_change('team-%d/application-%d' % (number % 50, number), number % 7 != 0)
'''
#: A plain process, and one as a worker of docker-registry is.
PLAIN = sys.executable, ''
WORKER = (os.path.join(LOCAL, 'py27', 'bin', 'python'),
          'from gevent import monkey; monkey.patch_all()')
PROGRAM = '''
%s
import json, os, re, sys
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.engine import EngineIndex

def peak():
    # Not getrusage: its peak is the parent's at first.
    with open('/proc/self/status') as status:
        return int(re.search('VmHWM:\\s*(\\d+) kB', status.read()).group(1)) / 1024.

%s
print(json.dumps([before, peak()]))
sys.stdout.flush()
os._exit(0)
'''


def grown_by(program, process=PLAIN, **values):
    """Megabytes by which the peak of a process's memory has grown in a program."""
    python, first = process
    done = subprocess.run([python, '-c', PROGRAM % (first, program.format(**values))], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = json.loads(done.stdout.splitlines()[-1])
    print('%r: %.1f MB before, %.1f MB more at the peak' % (values, before, after - before))
    return after - before


def test_a_load_of_any_size_needs_the_same_memory(dynamodb_local, is_long):
    url, count = dynamodb_local.url, 100000 if is_long else 1000
    assert grown_by(LOAD, url=url, count=count) < LOAD_GROWS_BY + grown_by(LOAD, url=url, count=500)


@pytest.mark.parametrize('process', [PLAIN, WORKER], ids=['plain', 'worker'])
def test_ten_thousand_pushes_with_DynamoDB_unavailable_are_kept_in_little_memory(process):
    url = 'http://127.0.0.1:%d' % free_port()
    assert grown_by(PUSHES, process, url=url, count=10000) < PUSHES_GROW_BY
