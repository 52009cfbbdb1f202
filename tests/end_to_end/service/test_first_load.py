"""The first load: repositories that are older than the service are read from the catalog or the
storage. One copy of the service loads; if it ends, another one continues."""
import contextlib
import random
import time

import pytest

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import Bucket, Files, Place, QuickService, kill
from tests.end_to_end.service.programs import needs
from tests.helpers.command_line import CommandLine
from tests.helpers.listing import make_repositories
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx')

#: What the log contains when a load has ended.
LOADED = 'loaded the search index in'
#: Names to descriptions.
SEEDS = {'web': 'At the top', 'acme/web': 'The shop', 'acme/web/assets': 'Nested',
         'acme/web-api': '', 'ops/backup': 'Nightly'}


class QuickPlace(Place):
    """A Place whose services have short leases."""

    service_class = QuickService


@contextlib.contextmanager
def registry_without_events(place):
    """The Images of a registry on the storage of a place that sends no notifications."""
    with Distribution(place.storage.settings) as registry:
        yield Images(registry.url)


@pytest.mark.parametrize('source', ['catalog', 'bucket'])
def test_a_load_finds_old_repositories_and_a_later_load_finds_missed_changes(
        dynamodb_local, ministack, tmp_path, capsys, source):
    place = (QuickPlace(dynamodb_local.url, Bucket(ministack.url)) if source == 'bucket' else
             QuickPlace(dynamodb_local.url, Files(tmp_path), STORAGE=None))
    with registry_without_events(place) as images:
        digests = {name: images.push(name, '1', text) for name, text in SEEDS.items()}
        images.delete('gone/entirely', images.push('gone/entirely', '1'))
    with place:
        assert set(place.found()) == set(SEEDS), 'ready, and not everything is found'
        place.wait_until_found(SEEDS)
        assert place.service.log_text().count(LOADED) == 1
        with registry_without_events(place) as images:
            images.push('came/unseen', '1', 'Came unseen')
            for name in ('ops/backup', 'acme/web'):
                images.delete(name, digests[name])
        place.age('ops/backup')
        report = CommandLine(place.index, capsys, **place.settings).json('load')[1]
        # Pushed within the last hour, acme/web is left to the next sync.
        assert [report[key] for key in ('added', 'removed', 'recent')] == [1, 1, 1]
        expected = dict(SEEDS, **{'came/unseen': 'Came unseen'})
        del expected['ops/backup']
        place.wait_until_found(expected)
        place.index.engine.remove('acme/web')
        place.assert_equal()


def rows(place):
    try:
        return len(place.index.rows())
    except Exception:
        return 0  # the tables are not there yet


@pytest.mark.parametrize('end', ['killed', 'stopped'])
def test_if_a_copy_ends_in_its_first_load_one_of_two_others_continues(
        dynamodb_local, tmp_path, request, end):
    """A stopped copy gives its lease back; the lease of a killed one must run out."""
    chance, is_long = random.Random(7), request.config.getoption('--long', False)
    for number in range(20 if is_long and end == 'killed' else 1):
        root, count = tmp_path / str(number), 150
        place = (QuickPlace if end == 'killed' else Place)(dynamodb_local.url, Files(root))
        names = ['t%d/app-%03d' % (number % 9, number) for number in range(count)]
        make_repositories(root, *names)
        with place.registry, contextlib.ExitStack() as running:
            first, *others = copies = [place.copy() for _ in range(3)]
            for copy in copies:
                running.callback(copy.stop)
            first.launch()
            enough = chance.randrange(5, count // 2)
            wait_until(lambda: rows(place) >= enough, 'no rows are written', 20, first)
            kill(first) if end == 'killed' else first.stop()
            written, started = rows(place), time.monotonic()
            assert written < count, 'the load was too fast to be interrupted'
            assert end == 'killed' or LOADED not in first.log_text()
            for copy in others:
                copy.launch()
            for copy in others:
                copy.wait_until_ready(60)
            seconds = time.monotonic() - started
            print('\n%s with %d of %d loaded; another was ready %.1f s later' %
                  (end, written, count, seconds))
            assert set(place.found(url=others[0].url)) == set(names)
            assert sum(copy.log_text().count(LOADED) for copy in others) == 1
            assert end == 'killed' or seconds < 20, 'a lease of 45 s was not given back'
        place.assert_equal()


def test_if_a_copy_is_killed_while_it_reads_descriptions_another_continues(
        dynamodb_local, tmp_path):
    place = QuickPlace(dynamodb_local.url, Files(tmp_path))
    expected = {'team/%02d' % number: 'The words of %d' % number for number in range(24)}
    with registry_without_events(place) as images:
        for name, text in expected.items():
            images.push(name, text=text, layers=0)
    with place.registry, Proxy(place.registry.url) as slow, contextlib.ExitStack() as running:
        slow.delay(0.1, only='manifests')
        first, second = place.copy(REGISTRY_URL=slow.url), place.copy()
        for copy in first, second:
            running.callback(copy.stop)
        first.start()

        def described():
            return sum(map(bool, place.found(url=first.url).values()))

        wait_until(lambda: described() > 3, 'no descriptions are read', 20, first)
        count = described()
        kill(first)
        assert count < len(expected), 'they were read too fast to be killed'
        second.start()
        seconds = place.wait_until_found(expected, seconds=20, url=second.url)
        print('\nkilled with %d of %d described; another had described all %.1f s later' %
              (count, len(expected), seconds))
        queue = place.index.engine.description_queue
        wait_until(lambda: queue.notes(1), 'notes are left', 5, second, [])
        assert LOADED not in second.log_text()
    place.assert_equal()
