"""Generates the tables and charts of docs/performance.md from the results.

usage: python -m benchmarks.page [--check]

The text between the tables is written by hand, and contains no measured figure."""
import io
import os
import sys

from benchmarks.charts import panels
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
             if isinstance(measured, dict)]
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


TABLES = {'machine': machine_table, 'units': units_table, 'requests': requests_table,
          'ratios': ratios_table, 'milliseconds': milliseconds_table}
DRAWN = {
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
