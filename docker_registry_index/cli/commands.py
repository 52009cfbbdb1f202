"""The command docker-registry-index: status, search, load, check and serve.

It reads the settings of the registry or of the service, from the same file and environment. It runs
on Python 2.7 and 3."""
import functools
import signal
import sys
import time

import click

from .. import __version__
from ..engine.errors import safe
from ..engine.store.records import SLICES
from .output import NOT_OK, OK, Bar, exit_with, print_json
from .settings import index_of, service_of, source_of

_JSON = click.option('--json', 'is_json', is_flag=True, help='Print one JSON document.')
_NAMES = click.option(
    '--names', type=click.File('rb'), metavar='FILE',
    help="Take the repositories from a file, one name per line, not from the registry's storage; - "
         'is the standard input.')


@click.group(context_settings={'help_option_names': ['-h', '--help']})
@click.version_option(__version__, prog_name='docker-registry-index')
@click.option('--config', metavar='FILE', type=click.Path(),
              help='The configuration file of the registry or the service; by default, the file '
                   'that DOCKER_REGISTRY_CONFIG names.')
@click.pass_context
def main(context, config):
    """Search, load and check the DynamoDB index of a private Docker registry.

    Exit status: 0 success; 1 nothing found, index not ready, problems found or load not complete; 2
    wrong option or setting; 3 DynamoDB, the storage or a disk cannot be used; 4 another process is
    loading; 5 the tables belong to a newer release, another program or another registry."""
    context.obj = config


def command(function):
    """Make a command of a function that takes an index and returns an exit status. An error becomes
    one line and an exit status."""
    @functools.wraps(function)
    def run(config, **options):
        exit_with(lambda: function(index_of(config, options.pop('is_adopting', False)), config,
                                   **options), options['is_json'])
    return main.command()(click.pass_obj(run))


@command
@click.option('--storage/--no-storage', 'with_storage', default=None,
              help="Also compare with the registry's storage (default if this Python can read it).")
@_JSON
def status(index, config, with_storage, is_json):
    """Show the tables, the state and the counts, and check a sample.

    Checks if 100 random repositories have the right postings and are in the storage, and if some
    repositories of the storage are in the index. Exit status 1 if the index is not ready, or if the
    check finds a problem."""
    source = None
    if with_storage is not False:
        source = source_of(config, optional=not with_storage)
    report = _report_of(index, source)
    print_json(report) if is_json else _print_report(report)
    return OK if report['ready'] and not report['wrong'] else NOT_OK


@command
@click.argument('term')
@click.option('--limit', '-n', type=click.IntRange(min=1), default=25,
              show_default=True, help='Show at most this many results.')
@click.option('--all', 'is_all', is_flag=True,
              help='Show all results; at most as many as the setting max_results.')
@_JSON
def search(index, config, term, limit, is_all, is_json):
    """Search for TERM, as docker search does.

    Exit status 1 if nothing is found."""
    # Fails if the tables are those of a newer release.
    index.is_ready()
    found = index.search(term, None if is_all else limit)
    if is_json:
        print_json({'query': term, 'incomplete_results': found.is_incomplete, 'results': [
            {'name': result.name, 'description': result.description}
            for result in found]})
    else:
        width = max([len(result.name) for result in found] or [0])
        for result in found:
            click.echo('%s  %s' % (safe(result.name).ljust(width), safe(result.description)))
        if found.is_incomplete:
            click.echo('More repositories may match: the word is too common, or the index is not '
                       'complete.', err=True)
    return OK if found else NOT_OK


@command
@click.option('--dry-run', is_flag=True, help='Show the changes without making them.')
@click.option('--adopt', 'is_adopting', is_flag=True,
              help='Accept the tables of a registry that has moved, and record its new address.')
@_NAMES
@_JSON
def load(index, config, dry_run, names, is_json):
    """Make the index equal to the storage of the registry.

    Adds missing repositories and removes deleted ones, except those pushed within the last hour.
    Searches, pushes and deletes continue during the load. Exit status 1 if the load is not
    complete, 4 if another process is loading."""
    # SIGTERM ends a load as Ctrl-C does, so that the load releases its lease.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    source = source_of(config, names)
    if dry_run:
        return _print_difference(index, source, is_json)
    with Bar('loading') as bar:
        report = index.sync(source, bar.update)
    if is_json:
        print_json(dict(report._asdict(), complete=report.complete))
    else:
        click.echo('%s, in %.1f s' % (safe(report.summary), report.seconds))
    return OK if report.complete else NOT_OK


def _print_difference(index, source, is_json):
    # Fails if the tables are those of a newer release.
    index.is_ready()
    found = list(index.difference(source))
    if is_json:
        print_json([{'name': name, 'change': kind} for kind, name in found])
    for kind, name in [] if is_json else found:
        click.echo('%-8s %s' % (kind, safe(name)))
    return OK


@command
@click.option('--repair', is_flag=True, help='Repair rows and postings that do not agree.')
@click.option('--storage/--no-storage', 'with_storage', default=None,
              help="Also compare with the registry's storage (default if this Python can read it).")
@_NAMES
@_JSON
def check(index, config, repair, with_storage, names, is_json):
    """Check that rows, postings and storage agree.

    Reads every row and every posting. Exit status 1 if there are problems that were not repaired.
    To repair differences from the storage, run load."""
    source = None
    if names or with_storage is not False:
        source = source_of(config, names, optional=not with_storage)
    with Bar('checking') as bar:
        index.is_ready()
        checker = index.checker(source, bar.update)
        found = []
        for problem in checker.check(repair):
            found.append(problem)
            if not is_json:
                click.echo('%s %s: %s' % ('repaired' if problem.repaired else 'wrong ',
                                          safe(problem.name), safe(problem.detail)))
    left = [problem for problem in found if not problem.repaired]
    if is_json:
        print_json({'rows': checker.rows, 'postings': checker.postings,
                    'storage': source is not None, 'left': len(left),
                    'problems': [problem._asdict() for problem in found]})
    else:
        click.echo('%d rows and %d postings%s: %d problems, %d repaired' % (
            checker.rows, checker.postings, ' and the storage' if source else '', len(found),
            len(found) - len(left)))
    return NOT_OK if left else OK


@main.command()
@click.pass_obj
def serve(config):
    """Serve search and catalog for a registry v2 or v3.

    Runs until it receives SIGTERM or SIGINT. Exit status 2 if a setting is wrong, 5 if the tables
    belong to a newer release, another program or another registry."""
    def act():
        server, settings, service = service_of(config)
        server.serve(settings, service)
        return OK

    exit_with(act)


def _report_of(index, source):
    """Return the status of an index as a dictionary for JSON.

    :param source: a Source to compare with, or None."""
    status = index.status(source)
    tables, marker = status.tables(), status.marker()
    report = {
        'database': index.settings.database,
        'region': index.settings.region,
        'tables': tables,
        'ready': marker is not None,
        'format': marker and marker.format,
        'synced': marker and marker.synced,
        'last_load': marker and marker.report,
        'verified': marker and {'slices': marker.slice, 'of': SLICES, 'last': marker.verified,
                                'all': marker.verified_all},
        'registry': status.registry(),
        'lease': status.lease(),
        'names': None, 'rows': None, 'sampled': 0, 'storage': bool(source),
        'postings_per_repository': None, 'wrong': {},
    }
    if all(table['status'] in ('ACTIVE', 'UPDATING') for table in tables):
        report['names'], report['rows'], sample = status.counts()
        (report['sampled'], report['postings_per_repository'],
         report['wrong']) = status.inspect(sample)
    return report


def _print_report(report):
    """Print a report as text."""
    click.echo('%-12s %s, %s' % ('database', report['database'], report['region']))
    for table in report['tables']:
        units = ''
        if 'write_units' in table:
            units = ', %(read_units)d read and %(write_units)d write units' % table
        click.echo('%-12s %s: %s%s' % (table['kind'], table['name'], table['status'], units))
    click.echo('%-12s %s' % ('index', _index_text(report)))
    if report['registry'] is not None:
        click.echo('%-12s %s' % ('registry', safe(report['registry'])))
    click.echo('%-12s %s' % ('load', _load_text(report)))
    if report['verified']:
        click.echo('%-12s %s' % ('verified', _verified_text(report['verified'])))
    if report['names'] is not None:
        click.echo('%-12s %d names, %d rows' % ('counts', report['names'], report['rows']))
        click.echo('%-12s %s' % ('sample', _sample_text(report)))
    for part in (report['last_load'] or {}).get('unreadable', ()):
        click.echo('%-12s %s' % ('unreadable', safe(part)))
    for name, problem in sorted(report['wrong'].items()):
        click.echo('%-12s %s: %s' % ('wrong', safe(name), safe(problem)))


def _index_text(report):
    state = 'ready' if report['ready'] else 'NOT READY'
    if report['format'] is not None:
        state += ', format %d' % report['format']
    if report['synced'] is None:
        return state + ', never synced'
    return '%s, synced at %s' % (state, _time_text(report['synced']))


def _load_text(report):
    lease = report['lease']
    if lease:
        return 'under way for %d s%s' % (
            lease['seconds'], '' if lease['alive'] else
            ', without a heartbeat: another process takes over soon')
    last = report['last_load']
    return 'none under way' + ('; the last load: ' + ', '.join(
        '%s %s' % (last.get(kind), kind) for kind in (
            'found', 'added', 'adopted', 'cleaned', 'removed', 'repaired', 'failed'))
        if last else '')


def _verified_text(verified):
    if verified['last'] is None:
        return 'nothing since the index was loaded'
    text = '%(slices)d of %(of)d slices in this pass' % verified + ', the last one at ' + (
        _time_text(verified['last']))
    return text if verified['all'] is None else text + '; the last pass ended at ' + (
        _time_text(verified['all']))


def _time_text(seconds):
    return time.strftime('%Y-%m-%d %H:%M:%S UTC', time.gmtime(seconds))


def _sample_text(report):
    average = report['postings_per_repository']
    return '%d checked%s, %d wrong%s' % (
        report['sampled'], ', with the storage' if report['storage'] else '',
        len(report['wrong']), '' if average is None else ', %.1f postings each' % average)
