"""What was in the registry before the service is loaded from the catalog, the bucket or the folder.

One copy of the service loads, whichever is killed.
"""
import contextlib
import os
import random
import time

import pytest

from benchmarks import walks
from dev.servers.programs import is_missing
from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from dev.storage import v2_repositories
from docker_registry_index.service.registry import layout
from tests.end_to_end.service.images import DESCRIPTION, Images
from tests.end_to_end.service.place import (
    LOADED, Bucket, Files, Place, QuickService, kill, wait_until)

MISSING = [name for name in ('docker-registry', 'nginx') if is_missing(name)]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get('CI'),
    reason='not installed: %s: dev/bootstrap clients' % ', '.join(MISSING))

CATALOG = {'STORAGE': None, 'STORAGE_ENDPOINT_URL': None, 'STORAGE_REGION': None,
           'STORAGE_ACCESS_KEY': None, 'STORAGE_SECRET_KEY': None}
#: The descriptions of the seeds, by name; None: it has none.
SEEDS = {'web': 'At the top', 'acme/web': 'The shop', 'acme/web/assets': 'Nested',
         'acme/web-api': None, 'ops/backup': 'Nightly'}
FOUND = dict((name, text or '') for name, text in SEEDS.items())
BEGUN = 'loading the search index'


class QuickPlace(Place):
    """A Place whose services have short leases."""

    service_class = QuickService


@contextlib.contextmanager
def registry_without_events(place):
    """The Images of a registry on the storage of a place that sends no notifications."""
    with Distribution(place.storage.settings) as registry:
        yield Images(registry.url)


def seed(images):
    for name, text in SEEDS.items():
        images.push(name, '1', labels={DESCRIPTION: text} if text else None)
    images.delete('gone/entirely', images.push('gone/entirely', '1'))


@pytest.fixture(params=['catalog of a folder', 'folder', 'bucket'])
def place(request, dynamodb_local, tmp_path):
    """A place with the seeds in its storage, where nothing runs yet."""
    is_bucket = 'bucket' in request.param
    storage = Bucket(request.getfixturevalue('ministack').url) if is_bucket else Files(tmp_path)
    settings = CATALOG if 'catalog' in request.param else {}
    made = QuickPlace(dynamodb_local.url, storage, **settings)
    with registry_without_events(made) as images:
        seed(images)
    return made


def loads(*services):
    """How many loads these have ended, and begun, by their logs."""
    return [sum(service.log_text().count(what) for service in services) for what in (LOADED, BEGUN)]


def test_what_was_there_before_and_what_goes_unseen(place):
    with place:
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
        assert place.command('check', '--storage').returncode == 0


def test_two_copies_that_start_at_the_same_moment_load_once(dynamodb_local, tmp_path):
    place = QuickPlace(dynamodb_local.url, Files(tmp_path))
    with registry_without_events(place) as images:
        seed(images)
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
    """Make repositories without images, as far as a listing goes."""
    names = ['team-%d/application-%03d' % (number % 9, number) for number in range(count)]
    for name in names:
        os.makedirs(os.path.join(str(root), 'docker/registry/v2/repositories', name,
                                 '_manifests/tags/1/current'))
    return sorted(names)


def rows(place):
    try:
        return len(place.index.rows())
    except Exception:
        return 0  # the tables are not there yet


def test_killed_in_the_middle_of_the_first_load_another_goes_on(dynamodb_local, tmp_path, request):
    chance, rounds = random.Random(7), 20 if request.config.getoption('--long', False) else 1
    for number in range(rounds):
        root, count = tmp_path / str(number), 150
        place = QuickPlace(dynamodb_local.url, Files(root))
        names = folders(root, count)
        with place.registry, contextlib.ExitStack() as running:
            copies = [place.service] + [place.copy() for _ in range(2)]
            for copy in copies:
                running.callback(copy.stop)
            copies[0].launch()
            killed_at = chance.randrange(5, count // 2)
            wait_until(lambda: rows(place) >= killed_at, 'no rows are written', 20, copies[0])
            kill(copies[0])
            written = rows(place)
            assert written < count, 'the load was too fast to be killed'
            started = time.monotonic()
            for copy in copies[1:]:
                copy.launch()
            for copy in copies[1:]:
                copy.wait_until_ready(60)
            print('\nkilled with %d of %d loaded; another was ready %.1f s later' %
                  (written, count, time.monotonic() - started))
            assert sorted(place.found(url=copies[2].url)) == names
            assert loads(*copies[1:])[0] == 1
        place.assert_equal(dynamodb_local.url)


def test_stopped_in_the_middle_of_the_first_load_another_need_not_wait(dynamodb_local, tmp_path):
    place, count = Place(dynamodb_local.url, Files(tmp_path)), 250
    names = folders(tmp_path, count)
    with place.registry:
        first, second = place.copy(), place.copy()
        first.launch()
        try:
            wait_until(lambda: rows(place) >= 10, 'no rows are written', 20, first)
        finally:
            first.stop()
        written, log = rows(place), first.log_text()
        assert written < count and LOADED not in log, 'the load was too fast to be stopped'
        started = time.monotonic()
        with second:
            seconds = time.monotonic() - started
            print('\nstopped with %d of %d loaded; another was ready %.1f s later' %
                  (written, count, seconds))
            assert sorted(place.found(url=second.url)) == names
        assert seconds < 20, 'a lease of 20 s was not given back'


def test_three_thousand_from_a_bucket(dynamodb_local, ministack, request):
    if not request.config.getoption('--long', False):
        pytest.skip('of the long versions: --long')
    names = v2_repositories.names(3000)
    stored = v2_repositories.FullBucket(ministack.url).fill(names)
    with Distribution(stored.storage(ministack.url)) as registry, Proxy(ministack.url) as s3:
        with walks.Beside(registry.url, dynamodb_local.url, **stored.source(s3.url)) as beside:
            load = walks.first_load(beside, names)
            print('\n3 000 repositories: ready after %.1f s, with %d LISTs' %
                  (load.ready, s3.total))
            # One for each 1 000 of 15 000 objects, and as many as it has parts.
            assert s3.counts == {'LIST': s3.total}
            assert s3.total <= 15 + 1 + 3 + 3000 // layout.RANGE_NAMES
            assert beside.index.names() == sorted(names)


def test_killed_while_it_reads_descriptions_another_goes_on(dynamodb_local, tmp_path):
    place = QuickPlace(dynamodb_local.url, Files(tmp_path))
    names = ['team/described-%02d' % number for number in range(40)]
    expected = dict((name, 'The words of ' + name) for name in names)
    with registry_without_events(place) as images:
        for name in names:
            images.push(name, labels={DESCRIPTION: expected[name]})
    with place.registry, Proxy(place.registry.url) as slow, contextlib.ExitStack() as running:
        slow.delay(0.05, only='manifests')
        copies = [place.copy(REGISTRY_URL=slow.url), place.copy()]
        for copy in copies:
            running.callback(copy.stop)
        copies[0].start()

        def described():
            return len([text for text in place.found(url=copies[0].url).values() if text])

        wait_until(lambda: described() > 3, 'no descriptions are read', 20, copies[0])
        count = described()
        kill(copies[0])
        assert count < len(names), 'they were read too fast to be killed'
        copies[1].start()
        seconds = place.wait_until_is(expected, 20, url=copies[1].url)
        print('\nkilled with %d of %d described; another had described all %.1f s later' %
              (count, len(names), seconds))
        undescribed = place.index.engine.description_queue
        wait_until(lambda: undescribed.notes(1), 'notes are left', 5, copies[1], [])
        assert loads(copies[1])[0] == 0
    place.assert_equal(dynamodb_local.url)
