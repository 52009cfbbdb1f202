"""Measures imports and warm starts, each in a new process."""
import os
import subprocess
import time

from benchmarks.meter import percentile
from dev.servers.process import LOCAL, ROOT, local_environment

__all__ = ['starts']

_ROUNDS = 7
_START = '''
from docker_registry_index.engine import SearchIndex
from benchmarks.meter import index_settings
index = SearchIndex(index_settings(%r, %r))
assert index.start(lambda: [], wait=20)
index.close()
'''
_GET_ITEM = '''
from benchmarks.searches import bare_client
bare_client(%r).get_item(TableName='%s-repository', Key={'name': {'S': 'a'}})
'''


def starts(endpoint, database):
    """Return, for each Python, a dictionary of a program to the median milliseconds of its process,
    measured in turns."""
    programs = {'nothing': 'pass', 'import boto3': 'import boto3',
                'boto3 and one GetItem': _GET_ITEM % (endpoint, database),
                'import of the engine': 'import docker_registry_index.engine',
                'engine and warm start': _START % (endpoint, database)}
    found = {}
    for python in 'py3', 'py27':
        own = dict(programs)
        if python == 'py3':
            own['import of the service'] = 'import docker_registry_index.service.server'
        times = {name: [] for name in own}
        for _ in range(_ROUNDS):
            for name, program in own.items():
                times[name].append(_milliseconds(python, program))
        found[python] = {name: percentile(values, 0.5) for name, values in times.items()}
    return found


def _milliseconds(python, program):
    start = time.perf_counter()
    subprocess.run([os.path.join(LOCAL, python, 'bin', 'python'), '-c', program], cwd=ROOT,
                   env=local_environment({'PYTHONWARNINGS': 'ignore'}), check=True)
    return (time.perf_counter() - start) * 1000
