"""Measures a walk over a whole catalog, page by page, and a first load."""
import collections
import http.client
import json
import re
import time
from urllib.parse import urlsplit

from dev.servers.process import http_status
from dev.servers.service import Service
from tests.helpers.engine import EngineIndex

__all__ = ['Load', 'MeasuredService', 'Walk', 'first_load', 'walk']

#: pages: the number of pages that were read; is_whole: True if these are all pages.
Walk = collections.namedtuple('Walk', 'names pages seconds is_whole')
#: The seconds from the start of the service until it is ready, and until its catalog is complete.
Load = collections.namedtuple('Load', 'ready found')

_DATABASE = {'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy',
             'DYNAMODB_REGION': 'us-east-1'}


def walk(url, size, limit=600.0):
    """Read the catalog at `url` in pages of `size` names, for `limit` seconds at most; return a
    Walk."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=600)
    path, found, pages, started = '/v2/_catalog?n=%d' % size, [], 0, time.monotonic()
    try:
        while path and time.monotonic() - started < limit:
            connection.request('GET', path)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError('%s%s answers %d: %r'
                                   % (url, path, answer.status, content[:200]))
            pages += 1
            found += json.loads(content)['repositories']
            link = re.match('<(.*)>; rel="next"$', answer.getheader('Link') or '')
            path = link and link[1]
        return Walk(found, pages, time.monotonic() - started, not path)
    finally:
        connection.close()


class MeasuredService:
    """The service beside a registry, on tables of its own, which are deleted with it.

    A `with` block launches it, and does not wait until it is ready. settings: further variables of
    the service.
    """

    def __init__(self, registry_url, dynamodb_url, **settings):
        self.index = EngineIndex(dynamodb_url)
        # The registry may be stopped meanwhile, so it is not asked who may read.
        self.service = Service(dict(_DATABASE, REGISTRY_URL=registry_url, AUTH='none',
                                    EVENTS_SECRET='of-what-is-measured',
                                    DYNAMODB_ENDPOINT_URL=dynamodb_url,
                                    DYNAMODB_DATABASE=self.index.settings.database, **settings))

    def __enter__(self):
        self.service.launch()
        return self

    def __exit__(self, *failure):
        self.service.stop()
        self.index.delete_tables()

    def wait_until_described(self, seconds=600.0):
        """Wait until no description is left to read, so that the registry gets no more requests."""
        deadline = time.monotonic() + seconds
        while self.index.engine.description_queue.notes(1):
            if time.monotonic() > deadline:
                raise RuntimeError('descriptions are still being read after %g seconds' % seconds)
            time.sleep(0.2)


def first_load(measured, expected, seconds=600.0):
    """Return the Load of a service that was just launched; raise RuntimeError unless its catalog
    is exactly `expected` then."""
    service, started = measured.service, time.monotonic()
    while http_status(service.port, '/readyz', 10) != 200:
        if time.monotonic() > started + seconds or not service.running:
            raise RuntimeError('the service is not ready:\n' + service.log_text()[-3000:])
        time.sleep(0.05)
    ready = time.monotonic() - started
    found = walk(service.url, 1000).names
    if found != expected:
        raise RuntimeError('ready, the catalog has %d names in place of %d, or others'
                           % (len(found), len(expected)))
    return Load(ready, time.monotonic() - started)
