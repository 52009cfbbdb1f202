"""What the command status finds, and how it shows it."""
import time

from .output import safe, say

__all__ = ['show', 'told']


def told(index, source):
    """The status as a dictionary that can be JSON.

    :param source: a Source to compare with; None for none.
    """
    is_ready = index.is_ready()
    status = index.status(source)
    tables = status.tables()
    marker = status.marker()
    found = {
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
        found['names'], found['rows'], sample = status.counts()
        (found['sampled'], found['postings_per_repository'],
         found['wrong']) = status.drift(sample)
    return found


def show(found):
    """Print it for people."""
    say('%-12s %s, %s' % ('database', found['database'], found['region']))
    for table in found['tables']:
        say('%-12s %s: %s' % (table['kind'], table['name'], _state(table)))
    say('%-12s %s' % ('index', _index(found)))
    say('%-12s %s' % ('load', _load(found)))
    if found['names'] is not None:
        say('%-12s %d names, %d rows' % ('counts', found['names'],
                                         found['rows']))
        say('%-12s %s' % ('sample', _sample(found)))
    for name, problem in sorted(found['wrong'].items()):
        say('%-12s %s: %s' % ('wrong', safe(name), safe(problem)))


def _state(table):
    if 'write_units' not in table:
        return table['status']
    return '%s, %d read and %d write units' % (
        table['status'], table['read_units'], table['write_units'])


def _index(found):
    state = 'ready' if found['ready'] else 'NOT READY'
    if found['format'] is not None:
        state += ', format %d' % found['format']
    return '%s, %s' % (state, _when('synced', found['synced']))


def _when(what, seconds):
    if seconds is None:
        return 'never ' + what
    return '%s at %s UTC' % (what, time.strftime(
        '%Y-%m-%d %H:%M:%S', time.gmtime(seconds)))


def _load(found):
    lease = found['lease']
    if lease:
        return 'under way for %d s%s' % (
            lease['seconds'], '' if lease['alive'] else
            ', and shows no sign of life: another process takes over soon')
    report = found['last_load']
    if not report:
        return 'none under way'
    return 'none under way; the last one: %s' % ', '.join(
        '%s %s' % (report.get(kind), kind) for kind in (
            'found', 'added', 'adopted', 'cleaned', 'removed', 'failed'))


def _sample(found):
    average = found['postings_per_repository']
    return '%d looked at%s, %d wrong%s' % (
        found['sampled'], ', with the storage' if found['storage'] else '',
        len(found['wrong']), '' if average is None else
        ', %.1f postings each' % average)
