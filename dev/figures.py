"""The tables of costs and sizes in README.md, docs/cost.md and docs/operations.md, calculated with
the engine itself.

usage: python -m dev.figures [--check | --write]

Each table is between two markers in its file. --check fails if a table differs from the result of
the engine; --write replaces it. Python 3.
"""
import argparse
import collections
import functools
import io
import os
import re
import sys

from dev.servers.process import ROOT
from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.search.search import MOST, Search
from docker_registry_index.engine.store.records import (
    NOTHING, SLICES, Intent, RepositoryState, Row)
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.write.bulk import LONGEST
from docker_registry_index.engine.write.plan import Planner

# US East (N. Virginia), on demand, table class Standard, in dollars:
# https://aws.amazon.com/dynamodb/pricing/on-demand/
A_MILLION_READS, A_MILLION_WRITES, A_GIGABYTE_MONTH = 0.125, 0.625, 0.25

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
PAGE_BYTES, WRITE_BYTES, ITEM_OVERHEAD = 4096, 1024, 100
#: The write units of a transaction's action on an item of up to 1 KB, even if it is a condition.
UNITS_OF_AN_ACTION = 2
#: The write units a second that a new on-demand table accepts.
NEW_TABLE_UNITS = 4000
#: The most bytes of a repository in the temporary file of a load; a test measures them.
SNAPSHOT_BYTES = 1000

#: Names like those in private registries: images of the public registry, services of teams, tools,
#: and long names.
NAMES = """
library/nginx library/redis library/ubuntu library/mysql library/java library/node library/python
library/postgres
acme/web acme/api acme/billing-api acme/billing-worker acme/webshop-frontend acme/webshop-backend
acme/checkout-service acme/image-resizer
ops/nginx-proxy ops/postgres-backup ops/log-shipper ops/jenkins-slave ops/jenkins-slave-java8
ops/prometheus-node-exporter ops/vpn ops/dns-cache
data/spark-notebook data/kafka-connect data/airflow-scheduler data/hadoop-namenode
data/etl_customers data/etl_invoices.v2
team-search/elasticsearch-2.4 team-search/query-rewriter team-search/crawler
team-payments/payment-gateway team-payments/fraud-detection
team-payments/reconciliation-batch team-mobile/push-notifications team-mobile/api-gateway
platform/service-discovery platform/config-server
platform/base-image-ubuntu-14.04 platform/base-image-centos7 platform/oracle-java8-tomcat8
research/tensorflow-gpu-notebook
research/genome-alignment-pipeline jsmith/test jsmith/ruby-sandbox
customer-portal/customer-portal-frontend-staging
""".split()
DESCRIPTION = ('Receives payments of the web shop, checks them for fraud and passes them on to the '
               'bank')
#: The operations that are also in the README.
SEARCH = 'a search for one word, with `n=25`'
TWO_COMMON = 'a search for two words that are both common'
FIRST_PUSH = 'the first push of a repository'

Counts = collections.namedtuple(
    'Counts',
    'characters postings page_bytes row_bytes new loaded in_transaction removed stored')


@functools.lru_cache(None)
def count(name, description=''):
    """Return the Counts of one repository: of its postings, bytes, and actions of its changes."""
    planner = Planner(Store(Settings(), None))
    row = {'name': {'S': name}, 'postings': {'N': str(postings.FORMAT)}}
    if description:
        row.update(description={'S': description}, indexed={'S': description})
    there = RepositoryState(Row.of(row), description)
    removal = planner.delete(name, there, planner.tombstone(name, '0' * 32))
    load = planner.put(name, description, NOTHING, [planner.not_removed_since(name, None)])
    items = [postings.to_item(posting) for posting in
             postings.postings(name, description) + [postings.witness(name, description)]]
    return Counts(
        len(name), len(items), sum(_size(item) for item in items) / len(items), _size(row),
        len(planner.put(name, description, NOTHING).actions),
        len(load.body) + UNITS_OF_AN_ACTION * len(load.head), len(load.head),
        len(removal.actions), sum(_size(item) + ITEM_OVERHEAD for item in items + [row]))


def _size(item):
    """Return the bytes of an item: those of the names and values of its attributes."""
    return sum(len(name) + (len(text.encode('utf-8')) if kind == 'S' else len(text) // 2 + 2)
               for name, value in item.items() for kind, text in value.items())


def load_units(description=''):
    """Return the write units of a first load for each repository. Repositories that share a
    transaction share an intent, which is put once and deleted in the transaction."""
    together = int(LONGEST / mean('in_transaction', description))
    names = (NAMES * together)[:together]
    intent = Intent('0' * 32, [(name, sorted({description})) for name in names]).item
    units = -(-_size(intent) // WRITE_BYTES)
    return mean('loaded', description) + (1 + UNITS_OF_AN_ACTION) * units / together


def first_page(limit):
    """Return the number of postings that a search for one word reads first."""
    asked = []

    class Asked(Store):
        def query(self, *_, **more):
            asked.append(more['limit'])
            return {'Items': [], 'ScannedCount': 0}

    Search(Asked(Settings(), None)).search('web', limit)
    return asked[0]


def query_units(postings, description=''):
    """Return the read units of a Query of so many postings."""
    return -(-postings * mean('page_bytes', description) // PAGE_BYTES) / 2


def mean(name, description=''):
    """Return the mean of one of the Counts over all NAMES."""
    return sum(getattr(count(each, description), name) for each in NAMES) / len(NAMES)


def dollars(reads=0.0, writes=0.0, byte_months=0.0):
    """Return the price of read units, write units and bytes stored for a month, as text."""
    price = (reads * A_MILLION_READS
             + writes * A_MILLION_WRITES) / 1e6 + byte_months / 1e9 * A_GIGABYTE_MONTH
    if price < 0.001:
        return 'under $0.001'
    return '$%.2f' % price if price >= 1 else '$%.3g' % price


def price_of_a_million(reads, writes):
    """Return the price of a million operations with these units, as text."""
    return dollars(reads * 1e6, writes * 1e6)


def number(value):
    """Return a number as text, in groups of three digits and without unnecessary zeros."""
    return ('{:,.1f}' if value % 1 and value < 100 else '{:,.0f}').format(value).replace(',', ' ')


def table(header, rows):
    """Return a table in Markdown."""
    lines = [header, ['---'] + ['---:'] * (len(header) - 1)] + rows
    return '\n'.join('| %s |' % ' | '.join(line) for line in lines)


def operations():
    """Return (operation, requests, read units, write units) of each operation on a repository of
    average length."""
    new, removed = (round(UNITS_OF_AN_ACTION * mean(kind), 1) for kind in ('new', 'removed'))
    return [
        (SEARCH, '1 Query', query_units(first_page(25)), 0),
        ('the same with `n=100`', '1 Query', query_units(first_page(100)), 0),
        (TWO_COMMON, '2 Queries', 2 * query_units(MOST // 2), 0),
        ('a push of an indexed repository', '2 GetItem', 2, 0),
        ('the same, once every half hour', '2 GetItem, 1 UpdateItem', 2, 1),
        (FIRST_PUSH, '2 GetItem, 1 TransactWriteItems', 2, new),
        ('a delete of a repository', '1 GetItem, 1 TransactWriteItems, 1 DeleteItem later', 1,
         removed + 1),
        ('a start of a worker, if the index is ready', '1 BatchGetItem', 3, 0),
        ('a check of the index, once a minute in each process', '1 BatchGetItem', 3, 0),
        ('the same while another process loads, once in 5 seconds', '1 BatchGetItem', 3, 0),
        ('a read of the notes by the service, once in 10 seconds', '1 Query', 0.5, 0),
        ('an answer of /readyz, at most once in 2 seconds', '1 BatchGetItem', 3, 0),
    ]


def operations_table():
    return table(['Operation', 'Requests', 'Read units', 'Write units', 'Price of a million'],
                 [[what, requests, number(reads), number(writes), price_of_a_million(reads, writes)]
                  for what, requests, reads, writes in operations()])


def repository_table():
    rows = [('without a description, as with v1', ''),
            ('with a description of %d characters' % len(DESCRIPTION), DESCRIPTION)]
    return table(['%d names of %.0f characters on average' % (len(NAMES), mean('characters')),
                  'Postings', 'Write units of a first push', 'Write units in a load',
                  'Bytes of a posting', 'Postings in 4 KB', 'Bytes stored'],
                 [[what, number(round(mean('postings', text), 1)),
                   number(round(UNITS_OF_AN_ACTION * mean('new', text), 1)),
                   number(round(load_units(text), 1)),
                   number(round(mean('page_bytes', text))),
                   number(PAGE_BYTES // mean('page_bytes', text)),
                   number(round(mean('stored', text)))] for what, text in rows])


def load_table():
    rows = []
    for size in (100, 1000, 10000, 100000, 1000000):
        writes, stored = load_units() * size, mean('stored') * size
        rows.append([number(size), number(round(writes, -2)), dollars(writes=writes),
                     number(round(stored / 1e6, 1)) + ' MB', dollars(byte_months=stored)])
    return table(['Repositories', 'Write units of the first load', 'Price of the load', 'Stored',
                  'Price of storage a month'], rows)


def sync_units(size):
    """Return the read units of a sync: for rows and names, and for a slice of the postings."""
    return (size * (mean('row_bytes') + mean('page_bytes')) / PAGE_BYTES,
            size * mean('postings') * mean('page_bytes') / SLICES / PAGE_BYTES)


def sync_table():
    rows = []
    for size in (1000, 10000, 100000, 1000000):
        names, verified = sync_units(size)
        rows.append([number(size), number(round(names)), number(round(verified)),
                     dollars(30 * (names + verified))])
    return table(['Repositories', 'Read units for rows and names', 'Read units for a slice',
                  'Price of a sync a day, a month'], rows)


def sizing_table():
    rows = []
    for size in (1000, 10000, 100000, 1000000):
        seconds = load_units() * size / NEW_TABLE_UNITS
        rows.append([number(size), number(round(mean('stored') * size / 1e6)) + ' MB',
                     duration(seconds), number(round(sum(sync_units(size)))),
                     number(size * SNAPSHOT_BYTES / 1e6) + ' MB'])
    return table(['Repositories', 'Stored in DynamoDB', 'First load, at least',
                  'Read units of a daily sync', 'Disk for a load, at most'], rows)


def duration(seconds):
    """Return seconds as text, in a unit that fits."""
    for unit, length in ('hours', 3600), ('minutes', 60), ('seconds', 1):
        if seconds >= 1.5 * length or length == 1:
            return '%s %s' % (number(round(seconds / length, 1)), unit)


def summary():
    """Return the table of the README."""
    found = {what: (reads, writes) for what, _, reads, writes in operations()}
    one, two, push = found[SEARCH], found[TWO_COMMON], found[FIRST_PUSH]
    load = load_units() * 10000
    return table(['Operation', 'Read units', 'Write units', 'Price'], [
        ['a search for one word', number(one[0]), number(one[1]),
         '%s a million' % price_of_a_million(*one)],
        [TWO_COMMON, number(two[0]), number(two[1]), '%s a million' % price_of_a_million(*two)],
        [FIRST_PUSH, number(push[0]), number(push[1]), '%s a million' % price_of_a_million(*push)],
        ['the first load of 10 000 repositories', 'under 20', number(round(load, -3)),
         '%s once' % dollars(writes=load)]])


BLOCKS = [('README.md', 'summary', summary), ('docs/cost.md', 'operations', operations_table),
          ('docs/cost.md', 'repository', repository_table), ('docs/cost.md', 'load', load_table),
          ('docs/cost.md', 'sync', sync_table), ('docs/operations.md', 'sizing', sizing_table)]


def _block(name):
    return re.compile(r'(?<=<!-- figures: %s -->\n\n)(?:(?!<!--).)+?(?=\n\n<!-- end of figures -->)'
                      % name, re.DOTALL)


def stale(write=False, among=None):
    """Return 'FILE: NAME' for each table that differs from its result.

    write: True to replace these tables. among: other tables than BLOCKS, in the same form.
    """
    found = []
    for path, name, make in among or BLOCKS:
        with io.open(os.path.join(ROOT, path), encoding='utf-8') as source:
            text = source.read()
        blocks = _block(name).findall(text)
        if blocks != [make()]:
            found.append('%s: %s' % (path, name))
        if write and len(blocks) == 1:
            with io.open(os.path.join(ROOT, path), 'w', encoding='utf-8') as target:
                target.write(_block(name).sub(lambda match: make(), text))
    return found


def main(arguments):
    parser = argparse.ArgumentParser(prog='python -m dev.figures', description='Count the figures '
                                     'of the documentation and print them.')
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument('--check', action='store_true',
                        help='fail when the documentation has others')
    choice.add_argument('--write', action='store_true', help='write them into the documentation')
    options = parser.parse_args(arguments)
    if not (options.check or options.write):
        print('\n\n'.join(make() for _, _, make in BLOCKS))
        return None
    if options.write:
        stale(write=True)
    found = stale()
    if found:
        return ('not as counted: %s; run: python -m dev.figures --write (each block needs its two '
                'markers, and something between them)' % ', '.join(found))
    return None


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
