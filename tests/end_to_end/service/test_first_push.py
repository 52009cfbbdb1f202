"""A first push is found, although the registry reports it before it writes the tag."""
from concurrent.futures import ThreadPoolExecutor

from dev.servers.proxy import Proxy
from tests.end_to_end.service.place import Place, QuickService, ServiceProcess, kill, needs
from tests.helpers.registry import pushed
from tests.helpers.waiting import wait_until


@needs('docker-registry', 'nginx')
def test_every_first_push_to_a_slow_store_is_found_within_a_second(ministack):
    with Proxy(ministack.url) as store, Place(ministack.url, s3=ministack.url, registry_settings={
            'REGISTRY_STORAGE_S3_REGIONENDPOINT': store.url}, service_class=QuickService) as place:
        def push(name):
            place.images.push(name)
            return place.wait_until_found({name: ''}, name, 5)

        for seconds in 0.1, 0.5:  # before and after the notification is answered
            store.delay(seconds, only='PUT')
            with ThreadPoolExecutor(2) as pool:
                waited = list(pool.map(push, ['new/thing-%g-%d' % (10 * seconds, number)
                                              for number in range(2)]))
            assert max(waited) < 1
        wait_until(lambda: place.index.engine.description_queue.notes(1), 'notes are left', 15,
                   place.service, [])
        assert '"POST /events HTTP/1.1" 503' not in place.service.log_text()


def test_a_tag_that_a_killed_copy_awaited_is_verified_by_another(dynamodb_local):
    with ServiceProcess(dynamodb_local.url, service_class=QuickService, EVENTS_WAIT='0.8') as place:
        place.registry.repositories['late/killed'] = 'Words'
        place.registry.late.add('late/killed')
        assert place.post([pushed('late/killed')]).status_code == 200
        kill(place.service)
        place.service.start()
        queue = place.index.engine.description_queue
        assert place.found('late/killed') == ['late/killed'] and queue.notes(1)
        place.registry.late.clear()
        wait_until(lambda: queue.notes(1), 'the tag is not verified', 15, place.service, [])
        assert place.found('late/killed') == ['late/killed']
