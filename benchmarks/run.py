"""Measures everything that docs/performance.md states, and writes the page: make bench.

usage: python -m benchmarks.run [--full] [PART ...]

Everything runs on this machine: DynamoDB is DynamoDB Local. What is compared runs in turns in one
run. Python 3."""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import time

from benchmarks import page
from benchmarks.meter import index_settings
from benchmarks.names import names
from benchmarks.results import Results
from benchmarks.searches import OldPlace
from dev.servers.aws import DynamoDBLocal
from dev.servers.process import LOCAL, ROOT, local_environment
from dev.servers.proxy import Proxy
from docker_registry_index.engine import SearchIndex
from tests.helpers.release_0_1_0 import Release010

SIZES, LARGEST = (1000, 10000), 100000
#: Milliseconds of network in front of DynamoDB.
NETWORK = 5
PYTHONS = ('py3', 'py27')


def echo(text):
    print('%s  %s' % (time.strftime('%H:%M:%S'), text), file=sys.stderr, flush=True)


def in_child(module, python, given):
    """Run a program of this folder on a Python, and return its result."""
    child = subprocess.run(
        [os.path.join(LOCAL, python, 'bin', 'python'), '-m', 'benchmarks.' + module], cwd=ROOT,
        input=json.dumps(given).encode(), stdout=subprocess.PIPE, check=True,
        env=local_environment({
            'DOCKER_REGISTRY_CONFIG': os.path.join(ROOT, 'config', 'config_simple.yml'),
            'SETTINGS_FLAVOR': 'dev', 'PYTHONWARNINGS': 'ignore'}))
    return json.loads(child.stdout)


@contextlib.contextmanager
def filled(count):
    """Give the endpoint and the databases of an index and of 0.1.0 with so many repositories."""
    with DynamoDBLocal() as dynamodb:
        given = {'endpoint': dynamodb.url, 'database': 'bench', 'old': 'old', 'names': names(count)}
        echo('%d repositories are loaded' % count)
        old = Release010(OldPlace(dynamodb.url, 'old'))
        old.create_tables()
        old.load(given['names'])
        SearchIndex(index_settings(dynamodb.url, 'bench')).sync(
            lambda: [(name, None) for name in given['names']])
        yield given


def searches(given, seconds):
    """Return the exact figures of each kind of search, and the times on both Pythons with and
    without a network."""
    found = {'exact': in_child('searches', 'py3', dict(given, is_exact=True)), 'times': {}}
    with Proxy(given['endpoint']) as network:
        network.delay(NETWORK / 1000)
        for delay, endpoint in ((0, given['endpoint']), (NETWORK, network.url)):
            for python in PYTHONS:
                echo('searches with %d ms of network, %s' % (delay, python))
                found['times']['%s, %d ms' % (python, delay)] = in_child('searches', python, dict(
                    given, endpoint=endpoint, is_exact=False, seconds=seconds))
    return found


def measure(results, parts, sizes, seconds):
    """Measure the parts that depend on the size."""
    for count in sizes:
        with filled(count) as given:
            if 'searches' in parts:
                results.add('searches', count, searches(given, seconds))


def main(arguments):
    parser = argparse.ArgumentParser(prog='python -m benchmarks.run',
                                     description='Measure, and write docs/performance.md.')
    parser.add_argument('parts', metavar='PART', nargs='*', default=['searches'],
                        help='only these parts (searches)')
    parser.add_argument('--full', action='store_true', help='also with 100 000 repositories')
    parser.add_argument('--sizes', metavar='N', type=int, nargs='+', help='with other sizes')
    parser.add_argument('--seconds', metavar='S', type=float, default=2,
                        help='for each kind of search (2)')
    options = parser.parse_args(arguments)
    results = Results.read()
    measure(results, options.parts, options.sizes or SIZES + (LARGEST,) * options.full,
            options.seconds)
    page.stale(results, write=True)


if __name__ == '__main__':
    main(sys.argv[1:])
