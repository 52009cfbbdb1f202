"""The first load: repositories that are older than the service are read from the catalog or the
storage. One copy of the service loads; if it ends, another one continues."""
import contextlib

import pytest

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import Place, QuickService, ServiceProcess, kill, needs
from tests.helpers.command_line import CommandLine
from tests.helpers.listing import REPOSITORIES, make_repositories
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx')

#: What the log contains when a load has ended.
LOADED = 'loaded the search index in'
#: Names to descriptions.
SEEDS = {'web': 'At the top', 'acme/web': 'The shop', 'acme/web/assets': 'Nested',
         'acme/web-api': '', 'ops/backup': 'Nightly'}


@contextlib.contextmanager
def registry_without_events(place):
    """The Images of a registry on the storage of a place that sends no notifications."""
    with Distribution(place.storage) as registry:
        yield Images(registry.url)


@pytest.mark.parametrize('source', ['catalog', 'bucket'])
def test_a_load_finds_old_repositories_and_a_later_load_finds_missed_changes(
        dynamodb_local, ministack, tmp_path, capsys, source):
    place = Place(dynamodb_local.url, None if source == 'bucket' else tmp_path, ministack.url,
                  {'REGISTRY_CATALOG_MAXENTRIES': '4'},  # so it has two pages
                  service_class=QuickService, **{'STORAGE': None} if source == 'catalog' else {})
    with registry_without_events(place) as images:
        digests = {name: images.push(name, '1', text) for name, text in SEEDS.items()}
        images.delete('gone/entirely', images.push('gone/entirely', '1'))
        images.push('never/tagged', None)
    with place:
        assert set(place.results()) == set(SEEDS), 'ready, and not everything is found'
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


def test_a_damaged_repository_does_not_stop_others_from_being_served(dynamodb_local, tmp_path):
    # More than one chunk of the catalog.
    names = ['a/ok', 'b/broken', 'c/last'] + ['z/app-%03d' % number for number in range(60)]
    make_repositories(tmp_path, *names)
    tags = tmp_path / REPOSITORIES / 'b/broken/_manifests/tags'
    tags.rename(tmp_path / 'moved')
    tags.write_text('a file')
    with Distribution(tmp_path) as registry, ServiceProcess(
            dynamodb_local.url, registry, service_class=QuickService) as place:
        answer = place.session.get(registry.url + '/v2/b/broken/tags/list')
        assert answer.status_code == 500
        wait_until(lambda: place.get('/v2/_catalog').status_code, 'the load is not complete', 30,
                   place.service, 200)
        assert place.is_ready() and place.get('/v2/_catalog?n=1000').json()['repositories'] == [
            name for name in names if name != 'b/broken']
        assert "the tags of 'b/broken' cannot be read" in place.service.log_text()
        tags.unlink()
        (tmp_path / 'moved').rename(tags)
        wait_until(lambda: place.found('broken'), 'a repaired repository is not found', 45,
                   place.service, ['b/broken'])


def rows(place):
    try:
        return len(place.index.rows())
    except Exception:
        return 0  # the tables are not there yet


@pytest.mark.parametrize('end', ['killed', 'stopped'])
def test_if_a_copy_ends_in_its_first_load_one_of_two_others_continues(
        dynamodb_local, tmp_path, end):
    # Without the registry, which would decide who may search.
    place = Place(dynamodb_local.url, tmp_path, AUTH='none',
                  **{'service_class': QuickService} if end == 'killed' else {})
    names = ['t%d/app-%03d' % (number % 9, number) for number in range(300)]
    make_repositories(tmp_path, *names)
    with contextlib.ExitStack() as running:
        first, *others = copies = [place.copy() for _ in range(3)]
        for copy in copies:
            running.callback(copy.stop)
        first.launch()
        wait_until(lambda: rows(place) > 20, 'no rows are written', 20, first)
        kill(first) if end == 'killed' else first.stop()
        assert rows(place) < 300, 'the load was too fast to be interrupted'
        assert end == 'killed' or LOADED not in first.log_text()
        for copy in others:
            copy.launch()
        for copy in others:
            # A killed copy's lease must run out; a stopped copy releases its lease of 45 s.
            copy.wait_until_ready(60 if end == 'killed' else 20)
        assert set(place.results(url=others[0].url)) == set(names)
        assert sum(copy.log_text().count(LOADED) for copy in others) == 1
    place.assert_equal()


def test_if_a_copy_is_killed_while_it_reads_descriptions_another_continues(
        dynamodb_local, tmp_path):
    place = Place(dynamodb_local.url, tmp_path, service_class=QuickService)
    expected = {'team/%02d' % number: 'The words of %d' % number for number in range(24)}
    with registry_without_events(place) as images:
        for name, text in expected.items():
            images.push(name, text=text, layers=0)
    with place.registry, Proxy(place.registry.url) as slow, contextlib.ExitStack() as running:
        slow.delay(0.1, only='manifests')
        first, second = [place.copy(REGISTRY_URL=slow.url) for _ in range(2)]
        for copy in first, second:
            running.callback(copy.stop)
        first.start()

        def described():
            return sum(map(bool, place.results(url=first.url).values()))

        wait_until(lambda: described() > 3, 'no descriptions are read', 20, first)
        count = described()
        kill(first)
        assert count < len(expected), 'they were read too fast to be killed'
        second.start()
        place.wait_until_found(expected, seconds=20, url=second.url)
        queue = place.index.engine.description_queue
        wait_until(lambda: queue.notes(1), 'notes are left', 5, second, [])
        assert LOADED not in second.log_text()
    place.assert_equal()
