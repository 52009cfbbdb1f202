"""Measures searches over HTTP, through docker-registry and through the service."""
import asyncio
import contextlib
import os
import re
import tempfile
import time

from benchmarks.meter import percentile
from benchmarks.searches import KINDS, LIMIT
from dev.servers.process import ROOT
from dev.servers.registry_v1 import Registry
from dev.servers.service import Service
from tests.helpers.registry import FakeRegistry

__all__ = ['over_http', 'registry_load']

CLIENTS = (1, 8, 64)
PING, SEARCH = '/v1/_ping', '/v1/search?n=%d&q=%s'
#: One search of each kind, in turns.
SEARCHES = [SEARCH % (LIMIT, term.replace(' ', '+')) for _, term in KINDS]
_TICKS = os.sysconf('SC_CLK_TCK')


def registry_load(dynamodb, names):
    """Return the repositories per second of the first load of a registry with these names."""
    with _registry(_variables(dynamodb, 'registry-load'), names) as registry:
        deadline, found = time.monotonic() + 600, None
        while not found:
            found = re.search('loaded the search index in ([0-9.]+) s: %d repositories'
                              % len(names), registry.log_text())
            if not registry.running or time.monotonic() > deadline:
                raise RuntimeError('no load:\n' + registry.log_text()[-3000:])
            time.sleep(0.1)
        return len(names) / float(found[1])


def over_http(dynamodb, database, seconds):
    """Return, for each server and number of clients, what searches and pings take.

    dynamodb: a running DynamoDBLocal, whose database has an index that is ready. seconds: of each
    measurement.
    """
    found = {}
    with contextlib.ExitStack() as running:
        variables = _variables(dynamodb, database)
        servers = {'docker-registry 0.9.1': running.enter_context(_registry(variables)),
                   'the service': running.enter_context(_service(variables))}
        for clients in CLIENTS:
            for what, paths in (('ping', [PING]), ('search', SEARCHES)):
                for name, server in servers.items():
                    found.setdefault(name, {}).setdefault(what, {})[str(clients)] = _measured(
                        server, dynamodb, paths, clients, seconds)
    return found


def _variables(dynamodb, database):
    return {'DYNAMODB_ENDPOINT_URL': dynamodb.url, 'DYNAMODB_DATABASE': database,
            'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy',
            'DYNAMODB_REGION': 'us-east-1'}


@contextlib.contextmanager
def _registry(variables, names=()):
    """Give a registry in production mode, whose local storage has these repositories."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(ROOT, 'config', 'config_dynamo.yml')) as source:
            text = source.read().replace('prod: &prod\n    <<: *s3', 'prod: &prod\n    <<: *local')
        path = os.path.join(folder, 'config.yml')
        with open(path, 'w') as target:
            target.write(text)
        for name in names:
            place = os.path.join(folder, 'repositories', name)
            os.makedirs(place)
            with open(os.path.join(place, '_index_images'), 'w') as images:
                images.write('[]')
        with Registry(dict(variables, DOCKER_REGISTRY_CONFIG=path, STORAGE_PATH=folder)) as started:
            yield started


@contextlib.contextmanager
def _service(variables):
    with FakeRegistry() as registry, tempfile.TemporaryDirectory() as folder, Service(dict(
            variables, REGISTRY_URL=registry.url, EVENTS_SECRET='of-what-is-measured',
            STORAGE=folder)) as service:
        yield service


def _measured(server, dynamodb, paths, clients, seconds):
    """Return the requests per second, the milliseconds, and the processor's milliseconds of a
    request in each process."""
    asyncio.run(_requests(server.port, paths, clients, seconds / 4))
    before = [_cpu(server.pid), _cpu(dynamodb.pid), time.process_time()]
    times, failed = asyncio.run(_requests(server.port, paths, clients, seconds))
    after = [_cpu(server.pid), _cpu(dynamodb.pid), time.process_time()]
    used = [1000 * (end - start) / len(times) for start, end in zip(before, after)]
    return {'rate': len(times) / seconds, 'p50': percentile(times, 0.5),
            'p99': percentile(times, 0.99),
            'failed': len(failed), 'errors': sorted(set(failed))[:3],
            'cpu': dict(zip(('server', 'DynamoDB', 'clients'), used))}


def _cpu(group):
    """Return the seconds of processor time of a process group, with its ended children."""
    total = 0
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            with open('/proc/%s/stat' % pid) as stat:
                fields = stat.read().rpartition(') ')[2].split()
            if int(fields[2]) == group:
                total += sum(map(int, fields[11:15]))
    return total / _TICKS


async def _requests(port, paths, clients, seconds):
    """Send requests from so many clients; return the milliseconds of each, and the errors
    of those that failed."""
    times, failed, end = [], [], time.monotonic() + seconds

    async def client(number):
        connection, count = None, number
        while time.monotonic() < end:
            start, count = time.perf_counter(), count + 1
            try:
                connection = connection or await asyncio.open_connection('127.0.0.1', port)
                is_kept = await _request(*connection, paths[count % len(paths)])
                times.append((time.perf_counter() - start) * 1000)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                is_kept = False
                failed.append(repr(error)[:200])
            if not is_kept and connection:
                connection[1].close()
                connection = None
        if connection:
            connection[1].close()

    await asyncio.gather(*[client(number) for number in range(clients)])
    return times, failed


async def _request(reader, writer, path):
    """Send one request, read its answer, and return whether the connection stays open. Raise
    ValueError unless it has status 200."""
    writer.write(b'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' % path.encode())
    head = (await reader.readuntil(b'\r\n\r\n')).lower()
    fields = dict(line.split(b': ', 1) for line in head.split(b'\r\n')[1:] if b': ' in line)
    await reader.readexactly(int(fields[b'content-length']))
    if b' 200 ' not in head.split(b'\r\n')[0]:
        raise ValueError(head)
    return fields.get(b'connection') != b'close'
