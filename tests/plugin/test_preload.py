"""gunicorn's --preload: the index is made before the workers are forked, and each has threads and connections of its own all the same."""
import time

from dev.process import free_port
from dev.servers import Ministack
from tests.plugin.registry_place import Place

OPTIONS = '["--preload", "--access-logformat", "process %(p)s answers %(s)s to %(m)s %(U)s"]'


def test_workers_forked_after_the_start_search_and_follow_pushes(place):
    place.seed('acme/before')
    with place.running(GUNICORN_OPTS=OPTIONS) as client:
        assert client.names() == ['acme/before']
        names = ['team/pushed-%d' % number for number in range(8)]
        for name in names:
            client.begin_push(name)
        assert [client.names() for _ in range(6)] == [['acme/before'] + names] * 6
        client.delete(names[0])
        assert [client.names('pushed') for _ in range(6)] == [names[1:]] * 6
        assert 'Traceback' not in client.registry.log_text()


def test_what_could_not_be_written_is_made_later_by_the_worker_itself(ministack):
    place = Place(ministack.url, 'http://127.0.0.1:%d' % free_port())
    place.seed('acme/before')
    with place.running(GUNICORN_OPTS=OPTIONS) as client:
        for number in range(4):
            client.begin_push('team/pushed-%d' % number)
        expected = ['acme/before'] + ['team/pushed-%d' % number for number in range(4)]
        with Ministack(int(place.dynamodb_url.rsplit(':', 1)[1])):
            deadline = time.monotonic() + 90
            while time.monotonic() < deadline and (client.request('GET', '/v1/search').status_code != 200 or client.names() != expected):
                time.sleep(0.5)
            assert client.names() == expected
        assert 'Traceback' not in client.registry.log_text()
