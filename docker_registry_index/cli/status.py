"""The report of the command status: as a document, and for people."""
import time

from .output import safe, say

__all__ = ['report_of', 'show']


def report_of(index, source):
    """Return the status of an index as a dictionary that can be JSON.

    :param source: a Source to compare with; None for none.
    """
    is_ready = index.is_ready()
    status = index.status(source)
    tables = status.tables()
    marker = status.marker()
    report = {
        'database': index.settings.database,
        'region': index.settings.region,
        'tables': tables,
        'ready': is_ready,
        'format': marker and marker.format,
        'synced': marker and marker.synced,
        'last_load': marker and marker.report,
        'lease': status.lease(),
        'names': None, 'rows': None, 'sampled': 0, 'storage': bool(source),
        'postings_per_repository': None, 'wrong': {},
    }
    if all(table['status'] in ('ACTIVE', 'UPDATING') for table in tables):
        report['names'], report['rows'], sample = status.counts()
        (report['sampled'], report['postings_per_repository'],
         report['wrong']) = status.drift(sample)
    return report


def show(report):
    """Print a report for people."""
    say('%-12s %s, %s' % ('database', report['database'], report['region']))
    for table in report['tables']:
        say('%-12s %s: %s' % (table['kind'], table['name'], _state(table)))
    say('%-12s %s' % ('index', _index(report)))
    say('%-12s %s' % ('load', _load(report)))
    if report['names'] is not None:
        say('%-12s %d names, %d rows' % ('counts', report['names'], report['rows']))
        say('%-12s %s' % ('sample', _sample(report)))
    for name, problem in sorted(report['wrong'].items()):
        say('%-12s %s: %s' % ('wrong', safe(name), safe(problem)))


def _state(table):
    if 'write_units' not in table:
        return table['status']
    return '%s, %d read and %d write units' % (
        table['status'], table['read_units'], table['write_units'])


def _index(report):
    state = 'ready' if report['ready'] else 'NOT READY'
    if report['format'] is not None:
        state += ', format %d' % report['format']
    return '%s, %s' % (state, _when('synced', report['synced']))


def _when(what, seconds):
    if seconds is None:
        return 'never ' + what
    return '%s at %s UTC' % (what, time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds)))


def _load(report):
    lease = report['lease']
    if lease:
        return 'under way for %d s%s' % (
            lease['seconds'], '' if lease['alive'] else
            ', and shows no sign of life: another process takes over soon')
    last = report['last_load']
    return 'none under way' + ('; the last one: ' + ', '.join(
        '%s %s' % (last.get(kind), kind) for kind in (
            'found', 'added', 'adopted', 'cleaned', 'removed', 'failed')) if last else '')


def _sample(report):
    average = report['postings_per_repository']
    return '%d looked at%s, %d wrong%s' % (
        report['sampled'], ', with the storage' if report['storage'] else '',
        len(report['wrong']), '' if average is None else ', %.1f postings each' % average)
