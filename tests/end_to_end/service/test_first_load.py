"""The first load: repositories that are older than the service are read from the catalog or the
storage. One copy of the service loads; if it is killed, another takes over."""
import contextlib
import os
import random
import time

import pytest

from benchmarks import walks
from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from dev.storage import v2_repositories
from docker_registry_index.service.registry import layout
from tests.end_to_end.service.images import DESCRIPTION, Images
from tests.end_to_end.service.place import (
    LOADED, Bucket, Files, Place, QuickService, kill, wait_until)
from tests.end_to_end.service.programs import needs

pytestmark = needs('docker-registry', 'nginx')

CATALOG = dict.fromkeys(['STORAGE', 'STORAGE_ENDPOINT_URL', 'STORAGE_REGION', 'STORAGE_ACCESS_KEY',
                         'STORAGE_SECRET_KEY'])
#: Names to descriptions, or None.
SEEDS = {'web': 'At the top', 'acme/web': 'The shop', 'acme/web/assets': 'Nested',
         'acme/web-api': None, 'ops/backup': 'Nightly'}
FOUND = {name: text or '' for name, text in SEEDS.items()}
BEGUN = 'loading the search index'


class QuickPlace(Place):
    """A Place whose services have short leases."""

    service_class = QuickService


@contextlib.contextmanager
def registry_without_events(place):
    """The Images of a registry on the storage of a place that sends no notifications."""
    with Distribution(place.storage.settings) as registry:
        yield Images(registry.url)


def seeded(dynamodb_url, storage, **settings):
    """Return a place with SEEDS and a deleted repository in its storage, where nothing runs yet."""
    place = QuickPlace(dynamodb_url, storage, **settings)
    with registry_without_events(place) as images:
        for name, text in SEEDS.items():
            images.push(name, '1', labels={DESCRIPTION: text} if text else None)
        images.delete('gone/entirely', images.push('gone/entirely', '1'))
    return place


def loads(*services):
    """Return how many loads these have ended, and begun, by their logs."""
    return [sum(service.log_text().count(what) for service in services) for what in (LOADED, BEGUN)]


@pytest.mark.parametrize('source', ['catalog', 'bucket'])
def test_a_load_finds_old_repositories_and_a_later_load_finds_missed_changes(
        dynamodb_local, request, tmp_path, source):
    with (seeded(dynamodb_local.url, Bucket(request.getfixturevalue('ministack').url))
          if source == 'bucket' else
          seeded(dynamodb_local.url, Files(tmp_path), **CATALOG)) as place:
        assert set(place.found()) == set(SEEDS), 'ready, and not everything is found'
        described = place.wait_until_is(FOUND, 10)
        print('\ndescribed %.1f s after it was ready' % described)
        assert loads(place.service) == [1, 1]
        with registry_without_events(place) as images:
            images.push('came/unseen', '1', labels={DESCRIPTION: 'Came unseen'})
            for name in ('ops/backup', 'acme/web'):
                images.delete(name, images.get(name, '1').headers['Docker-Content-Digest'])
        place.age('ops/backup')
        done = place.command('load')
        assert done.returncode == 0, done.stdout + done.stderr
        assert '1 added' in done.stdout and '1 removed' in done.stdout and '1 recent' in done.stdout
        # Pushed within the last hour, acme/web is left to the next sync.
        expected = dict(FOUND, **{'came/unseen': 'Came unseen'})
        del expected['ops/backup']
        place.wait_until_is(expected, 10)
        place.index.engine.remove('acme/web')
        place.assert_equal(dynamodb_local.url)


def test_two_copies_that_start_at_the_same_moment_load_the_folder_once(dynamodb_local, tmp_path):
    place = seeded(dynamodb_local.url, Files(tmp_path))
    with place.registry, place.two_copies() as copies:
        for copy in copies:
            place.wait_until_is(FOUND, 10, url=copy.url)
        assert loads(*copies) == [1, 1]
        # A push that one is notified of, the other finds.
        place.images = Images(place.registry.url)
        place.images.push('sent/to-one', labels={DESCRIPTION: 'Sent to one'})
        place.wait_until_found('sent/to-one', url=copies[1].url, seconds=2)
        copies[0].stop()
        assert place.found(url=copies[1].url) == dict(FOUND, **{'sent/to-one': 'Sent to one'})
        assert sum(copy.log_text().count('descriptions') for copy in copies) >= 1


def folders(root, count):
    """Make repositories without images, as far as a listing goes; return their names."""
    names = ['t%d/app-%03d' % (number % 9, number) for number in range(count)]
    for name in names:
        os.makedirs(os.path.join(str(root), 'docker/registry/v2/repositories', name,
                                 '_manifests/tags/1/current'))
    return sorted(names)


def rows(place):
    try:
        return len(place.index.rows())
    except Exception:
        return 0  # the tables are not there yet


@pytest.mark.parametrize('end', ['killed', 'stopped'])
def test_if_a_copy_ends_in_its_first_load_another_continues(dynamodb_local, tmp_path, request, end):
    """A stopped copy gives its lease back; the lease of a killed one must run out."""
    chance, is_long = random.Random(7), request.config.getoption('--long', False)
    for number in range(20 if is_long and end == 'killed' else 1):
        root, count = tmp_path / str(number), 150
        place = (QuickPlace if end == 'killed' else Place)(dynamodb_local.url, Files(root))
        names = folders(root, count)
        with place.registry, contextlib.ExitStack() as running:
            copies = [place.copy() for _ in range(3 if is_long else 2)]
            for copy in copies:
                running.callback(copy.stop)
            copies[0].launch()
            enough = chance.randrange(5, count // 2)
            wait_until(lambda: rows(place) >= enough, 'no rows are written', 20, copies[0])
            if end == 'killed':
                kill(copies[0])
            else:
                copies[0].stop()
            written = rows(place)
            assert written < count, 'the load was too fast to be interrupted'
            assert end == 'killed' or LOADED not in copies[0].log_text()
            started = time.monotonic()
            for copy in copies[1:]:
                copy.launch()
            for copy in copies[1:]:
                copy.wait_until_ready(60)
            seconds = time.monotonic() - started
            print('\n%s with %d of %d loaded; another was ready %.1f s later' %
                  (end, written, count, seconds))
            assert sorted(place.found(url=copies[-1].url)) == names
            assert loads(*copies[1:])[0] == 1
            assert end == 'killed' or seconds < 20, 'a lease of 45 s was not given back'
        place.assert_equal(dynamodb_local.url)


def test_a_load_of_three_thousand_repositories_lists_few_pages_of_a_bucket(
        dynamodb_local, ministack, request):
    if not request.config.getoption('--long', False):
        pytest.skip('of the long versions: --long')
    names = v2_repositories.names(3000)
    stored = v2_repositories.RegistryBucket(ministack.url).fill(names)
    with Distribution(stored.storage(ministack.url)) as registry, Proxy(ministack.url) as s3, \
            walks.Beside(registry.url, dynamodb_local.url, **stored.source(s3.url)) as beside:
        load = walks.first_load(beside, names)
        print('\n3 000 repositories: ready after %.1f s, with %d LISTs' % (load.ready, s3.total))
        # One for each 1 000 of 15 000 objects, and as many as it has parts.
        assert s3.counts == {'LIST': s3.total}
        assert s3.total <= 15 + 1 + 3 + 3000 // layout.RANGE_NAMES
        assert beside.index.names() == sorted(names)


def test_if_a_copy_is_killed_while_it_reads_descriptions_another_continues(
        dynamodb_local, tmp_path):
    place = QuickPlace(dynamodb_local.url, Files(tmp_path))
    expected = {'team/%02d' % number: 'The words of %d' % number for number in range(24)}
    with registry_without_events(place) as images:
        for name, text in expected.items():
            images.push(name, labels={DESCRIPTION: text}, layers=0)
    with place.registry, Proxy(place.registry.url) as slow, contextlib.ExitStack() as running:
        slow.delay(0.1, only='manifests')
        copies = [place.copy(REGISTRY_URL=slow.url), place.copy()]
        for copy in copies:
            running.callback(copy.stop)
        copies[0].start()

        def described():
            return len([text for text in place.found(url=copies[0].url).values() if text])

        wait_until(lambda: described() > 3, 'no descriptions are read', 20, copies[0])
        count = described()
        kill(copies[0])
        assert count < len(expected), 'they were read too fast to be killed'
        copies[1].start()
        seconds = place.wait_until_is(expected, 20, url=copies[1].url)
        print('\nkilled with %d of %d described; another had described all %.1f s later' %
              (count, len(expected), seconds))
        undescribed = place.index.engine.description_queue
        wait_until(lambda: undescribed.notes(1), 'notes are left', 5, copies[1], [])
        assert loads(copies[1])[0] == 0
    place.assert_equal(dynamodb_local.url)
