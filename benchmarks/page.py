"""Generates the tables and charts of docs/performance.md from the results.

usage: python -m benchmarks.page [--check]

The text between the tables is written by hand, and contains no measured figure."""
import io
import os
import re
import sys

from benchmarks import calculated, words
from benchmarks.charts import bars, panels
from benchmarks.results import Results
from benchmarks.searches import GET_ITEM, KINDS, LIMIT, OURS, SCAN, SQLITE
from dev import figures
from dev.figures import number, table
from dev.servers.process import ROOT

__all__ = ['stale']

PAGE, CHARTS = 'docs/performance.md', 'docs/performance'
NONE = '–'
#: Each Python and network, as in the results, and its header.
RUNS = [('py3, 0 ms', 'Python 3'), ('py3, 5 ms', 'Python 3, 5 ms of network'),
        ('py27, 0 ms', 'Python 2.7'), ('py27, 5 ms', 'Python 2.7, 5 ms of network')]


def milliseconds(value):
    """Return milliseconds as text, with two significant digits."""
    return ('%.1f' if value < 10 else '%.0f') % value


def _sizes(part):
    return sorted(part, key=int)


def machine_table(results):
    rows = [[name, text] for name, text in sorted(results['machine'].items())]
    dates = sorted({measured['date'] for part in results.values() for measured in part.values()
                    if isinstance(measured, dict)})
    loads = [measured['load_average'] for part in results.values() for measured in part.values()
             if isinstance(measured, dict) and measured['load_average'] is not None]
    rows += [['dates', ' to '.join(dates[::len(dates) - 1] if dates[1:] else dates)],
             ['load average after the measurements', '%.1f to %.1f' % (min(loads), max(loads))]]
    return table(['Machine', ''], rows)


def units_table(results):
    part = results['searches']
    rows = [[kind, '`%s`' % term] + [
        number(part[size]['exact'][kind][OURS]['read']) for size in _sizes(part)]
        for kind, term in KINDS]
    rows.append([SCAN, 'any'] + [number(max(part[size]['exact'][kind][SCAN]['read']
                                            for kind, _ in KINDS)) for size in _sizes(part)])
    return table(['Read units of a search', 'Term'] + [
        'with %s repositories' % number(int(size)) for size in _sizes(part)], rows)


def requests_table(results):
    size = _sizes(results['searches'])[-1]
    rows = []
    for kind, _ in KINDS:
        ours = results['searches'][size]['exact'][kind][OURS]
        rows.append([kind] + [number(ours[each]) for each in (
            'requests', 'items', 'sent', 'received', 'found')] + [
                'no' if ours['is_incomplete'] else 'yes'])
    return table(['With %s repositories, n=%d' % (number(int(size)), LIMIT), 'Queries',
                  'Postings read', 'Bytes sent', 'Bytes received', 'Results', 'Complete'], rows)


def ratios_table(results):
    """Return the medians in multiples of one GetItem of the same run."""
    part, rows = results['searches'], []
    for kind, _ in KINDS:
        rows.append([kind] + [' / '.join('%.2f' % (
            part[size]['times'][run][kind][OURS] / part[size]['times'][run][kind][GET_ITEM])
            for size in _sizes(part)) for run, _ in RUNS])
    return table(['Multiples of one GetItem, with %s repositories' % ' / '.join(
        number(int(size)) for size in _sizes(part))] + [header for _, header in RUNS], rows)


def milliseconds_table(results):
    part, rows = results['searches'], []
    for kind, _ in KINDS:
        for size in _sizes(part):
            found = part[size]['times']['py27, 0 ms'][kind]
            rows.append([kind, number(int(size))] + [
                milliseconds(found[way]) for way in (OURS, SCAN, SQLITE, GET_ITEM)])
    return table(['Milliseconds on Python 2.7', 'Repositories', OURS, SCAN, SQLITE, GET_ITEM], rows)


def searches_chart(results, run, title):
    part = results['searches']
    return panels(title, {kind: {way: {int(size): part[size]['times'][run][kind][way]
                                       for size in _sizes(part)}
                                 for way in (OURS, SCAN, SQLITE, GET_ITEM)} for kind, _ in KINDS})


def operations_table(results):
    [part] = results['operations'].values()
    rows = [[what, requests] + [number(counts[each]) for each in (
        'read', 'write', 'items', 'sent', 'received')] for what, requests, counts in part['list']]
    return table(['Operation', 'Requests', 'Read units', 'Write units', 'Items read', 'Bytes sent',
                  'Bytes received'], rows)


def words_table(results):
    part, rows = results['words'], []
    for kind in words.KINDS:
        shares = [part[size][kind] for size in _sizes(part)]
        rows.append([kind] + ['%.1f %%' % (100 * share['complete']) for share in shares]
                    + ['%.1f %%' % (100 * share['found']) if 'one name' in kind else NONE
                       for share in shares])
    sizes = [number(int(size)) for size in _sizes(part)]
    return table(['Searches for'] + ['complete, of %s' % size for size in sizes]
                 + ['with that name, of %s' % size for size in sizes], rows)


def http_table(results):
    [part] = results['http'].values()
    cores = float(re.search('([0-9]+) cores', results['machine']['processor'])[1])
    rows = []
    for name in ('docker-registry 0.9.1', 'the service'):
        for what in ('search', 'ping'):
            for clients, found in sorted(part[name][what].items(), key=lambda pair: int(pair[0])):
                cpu = found['cpu']
                rows.append(['%s: %s' % (name, what), clients, number(round(found['rate'])),
                             milliseconds(found['p50']), milliseconds(found['p99'])] + [
                                 '%.1f' % cpu[each] for each in ('server', 'DynamoDB', 'clients')]
                            + ['%.0f %%' % (sum(cpu.values()) * found['rate'] / cores / 10),
                               number(found['failed'])])
    return table(['HTTP', 'Clients', 'Requests a second', 'p50 ms', 'p99 ms', 'Server ms',
                  'DynamoDB ms', 'Clients ms', 'Processors busy', 'Failed'], rows)


def load_rates(results):
    """Return a dictionary that maps what was measured to repositories per second."""
    [part] = results['load'].values()
    found = {}
    for python, header in (('py3', 'Python 3'), ('py27', 'Python 2.7')):
        for what in ('BatchWriteItem', 'this index', 'TransactWriteItems'):
            found['%s, %s' % (what, header)] = part[python]['rates'][what]
    found['docker-registry 0.9.1, a first start'] = part['registry']['rate']
    return found


def load_table(results):
    [(count, part)] = results['load'].items()
    rates, rows = load_rates(results), []
    for what, rate in rates.items():
        python = 'Python 3' if 'Python 3' in what else 'Python 2.7'
        units = part['py3' if python == 'Python 3' else 'py27']['units']
        rows.append([what, number(round(rate)), '%.0f %%' % (
            100 * rate / rates['BatchWriteItem, ' + python]),
            '%.1f' % units if 'this index' in what else NONE])
    return table(['Writes of %s repositories' % number(int(count)), 'Repositories a second',
                  'of BatchWriteItem', 'Write units of a repository'], rows)


def starts_table(results):
    [part] = results['starts'].values()
    return table(['Milliseconds of a new process', 'Python 3', 'Python 2.7'], [
        [name, number(round(part['py3'][name])),
         number(round(part['py27'][name])) if name in part['py27'] else NONE]
        for name in part['py3']])


def catalog_table(results):
    part = results['catalog']
    return table(['The whole catalog of', 'Repositories', 'Names a page', 'Requests to S3',
                  'Requests to DynamoDB', 'Seconds'],
                 [[what, number(int(size)), names, number(s3),
                   NONE if dynamodb is None else number(dynamodb), _seconds(taken)]
                  for size in _sizes(part)
                  for what, names, s3, dynamodb, taken in part[size]['catalog']])


def first_load_table(results):
    part = results['catalog']
    return table(['The first load from', 'Repositories', 'Requests to S3', 'Seconds until ready',
                  'Requests to S3 for descriptions, afterwards'],
                 [[what, number(int(size)), number(requests), _seconds(ready), number(later)]
                  for size in _sizes(part)
                  for what, requests, ready, later in part[size]['load']])


def _seconds(value):
    return ('%.0f' if value >= 10 else '%.1f' if value >= 1 else '%.2f') % value


def _units(results):
    [part] = results['load'].values()
    return part['py3']['units']


def limits_table(results):
    sizes = results['searches']
    dear = max(sizes[size]['exact'][kind][OURS]['read'] for size in sizes for kind, _ in KINDS)
    return table(calculated.LIMITS, calculated.limits(_units(results), dear))


def costs_table(results):
    [part] = results['operations'].values()
    return table(calculated.COSTS, calculated.costs(_units(results), max(
        counts['write'] for what, _, counts in part['list'] if 'first push' in what)))


def load_chart(results):
    return bars('Repositories written per second', load_rates(results), 'a second')


TABLES = {'machine': machine_table, 'units': units_table, 'requests': requests_table,
          'operation-bytes': operations_table, 'ratios': ratios_table,
          'milliseconds': milliseconds_table, 'words': words_table, 'http': http_table,
          'loads': load_table, 'starts': starts_table, 'catalog': catalog_table,
          'first-load': first_load_table, 'limits': limits_table, 'costs': costs_table}
DRAWN = {
    'load.svg': load_chart,
    'searches.svg': lambda results: searches_chart(
        results, 'py27, 0 ms', 'Milliseconds by number of repositories'),
    'searches-network.svg': lambda results: searches_chart(
        results, 'py27, 5 ms', 'The same, with 5 ms of network before DynamoDB')}


def stale(results=None, write=False):
    """Return the tables and charts that do not agree with the results.

    write: True to replace them.
    """
    results = results or Results.read()
    found = figures.stale(write, [(PAGE, name, lambda make=make: make(results))
                                  for name, make in TABLES.items()])
    for name, draw in DRAWN.items():
        path, drawn = os.path.join(ROOT, CHARTS, name), draw(results)
        if not os.path.exists(path) or io.open(path, encoding='utf-8').read() != drawn:
            found.append('%s/%s' % (CHARTS, name))
        if write:
            with io.open(path, 'w', encoding='utf-8') as target:
                target.write(drawn)
    return found


if __name__ == '__main__':
    stale(write='--check' not in sys.argv[1:])
    sys.exit(', '.join(stale()))
