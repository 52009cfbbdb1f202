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

from benchmarks import catalog_and_load, page
from benchmarks.meter import index_settings
from benchmarks.names import names
from benchmarks.operations import operations
from benchmarks.over_http import over_http, registry_load
from benchmarks.results import Results
from benchmarks.searches import OldPlace
from benchmarks.starts import starts
from benchmarks.words import completeness
from dev.servers.aws import DynamoDBLocal
from dev.servers.process import LOCAL, ROOT, local_environment
from dev.servers.proxy import Proxy
from docker_registry_index.engine import SearchIndex
from tests.helpers.release_0_1_0 import Release010

SIZES, LARGEST = (1000, 10000), 100000
#: Milliseconds of network in front of DynamoDB.
NETWORK = 5
PYTHONS = ('py3', 'py27')
PARTS = ['searches', 'words', 'operations', 'starts', 'http', 'load', 'catalog']


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
    """Give a DynamoDB, its databases of an index and of 0.1.0, and the names that these have."""
    with DynamoDBLocal() as dynamodb:
        given = {'endpoint': dynamodb.url, 'database': 'bench', 'old': 'old', 'names': names(count)}
        echo('%d repositories are loaded' % count)
        old = Release010(OldPlace(dynamodb.url, 'old'))
        old.create_tables()
        old.load(given['names'])
        SearchIndex(index_settings(dynamodb.url, 'bench')).sync(
            lambda: [(name, None) for name in given['names']])
        yield dynamodb, given


def searches(given, options):
    """Return the exact figures of each kind of search, and the times on both Pythons with and
    without a network."""
    found = {'exact': in_child('searches', 'py3', dict(given, is_exact=True)), 'times': {}}
    with Proxy(given['endpoint']) as network:
        network.delay(NETWORK / 1000)
        for delay, endpoint in ((0, given['endpoint']), (NETWORK, network.url)):
            for python in PYTHONS:
                echo('searches with %d ms of network, %s' % (delay, python))
                found['times']['%s, %d ms' % (python, delay)] = in_child('searches', python, dict(
                    given, endpoint=endpoint, is_exact=False, seconds=options.seconds))
    return found


def words(given, options):
    echo('%d searches for several words, of each kind' % options.searches)
    return completeness(given['endpoint'], given['database'], given['names'], options.searches)


def measure_indexes(results, options):
    """Measure what depends on the size of an index."""
    for count in options.sizes:
        with filled(count) as (dynamodb, given):
            for part, function in (('searches', searches), ('words', words)):
                if part in options.parts:
                    results.add(part, count, function(given, options))
            if count != SIZES[-1]:
                continue
            if 'operations' in options.parts:
                results.add('operations', count, {'list': operations(
                    dynamodb.url, 'bench')}, is_alone=True)
            if 'starts' in options.parts:
                echo('imports and starts')
                results.add('starts', count, starts(dynamodb.url, 'bench'), is_alone=True)
            if 'http' in options.parts:
                echo('HTTP')
                results.add('http', count, over_http(
                    dynamodb, 'bench', 2 * options.seconds), is_alone=True)


def measure_loads(results, options):
    """Measure loads of both Pythons, and of the registry, beside what DynamoDB accepts."""
    count = 2000 if options.full else 500
    with DynamoDBLocal() as dynamodb:
        found = {}
        for python in PYTHONS:
            echo('loads of %d repositories, %s' % (count, python))
            found[python] = in_child('loads', python, {
                'endpoint': dynamodb.url, 'prefix': python, 'names': names(count)})
        echo('the load of a registry')
        found['registry'] = {'rate': registry_load(dynamodb, names(count))}
        results.add('load', count, found, is_alone=True)


def measure_catalog(results, options):
    """Measure the catalog and the first load of the service."""
    for count in [300, 3000] if options.full else [300]:
        results.add('catalog', count, catalog_and_load.measured(
            count, options.registry, options.minutes))


def main(arguments):
    parser = argparse.ArgumentParser(prog='python -m benchmarks.run',
                                     description='Measure, and write docs/performance.md.')
    parser.add_argument('parts', metavar='PART', nargs='*', default=PARTS,
                        help='only these parts: ' + ', '.join(PARTS))
    parser.add_argument('--full', action='store_true', help='also with 100 000 repositories')
    parser.add_argument('--sizes', metavar='N', type=int, nargs='+', help='with other sizes')
    parser.add_argument('--seconds', metavar='S', type=float, default=1.5,
                        help='for each kind of search (1.5)')
    parser.add_argument('--searches', metavar='N', type=int, default=200,
                        help='for several words, of each kind (200)')
    parser.add_argument('--registry', metavar='PATH', action='append', default=[],
                        help="measure the catalog of this build of Distribution, too")
    parser.add_argument('--minutes', metavar='M', type=float, default=5,
                        help="of one walk of a registry's catalog at most (5)")
    options = parser.parse_args(arguments)
    options.sizes = options.sizes or SIZES + (LARGEST,) * options.full
    results = Results.read()
    if set(options.parts) - {'load', 'catalog'}:
        measure_indexes(results, options)
    if 'load' in options.parts:
        measure_loads(results, options)
    if 'catalog' in options.parts:
        measure_catalog(results, options)
    page.stale(results, write=True)


if __name__ == '__main__':
    main(sys.argv[1:])
