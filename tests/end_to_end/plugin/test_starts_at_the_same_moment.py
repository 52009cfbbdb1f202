"""Three registries, of two workers each, that start at the same moment on empty tables: one load,
and all six serve."""
from tests.end_to_end.plugin.registry_place import LISTED, LOADED, wait_for_workers
from tests.end_to_end.plugin.v1_client import V1Client

COUNT = 30


def test_three_registries_started_at_once_load_once_and_all_serve_everything(place_on_each):
    names = ['team-%d/application-%03d' % (number % 7, number) for number in range(COUNT)]
    place_on_each.seed(*names)
    registries = [place_on_each.registry() for _ in range(3)]
    try:
        for registry in registries:
            registry.launch()
        for registry in registries:
            registry.wait_until_ready()
            wait_for_workers(registry)
        for registry in registries:
            client = V1Client(registry.url)
            # Often enough that both workers answer.
            assert [client.names('application') for _ in range(6)] == [sorted(names)] * 6
            assert client.names() == sorted(names)
        logs = ''.join(registry.log_text() for registry in registries)
    finally:
        for registry in registries:
            registry.stop()
    assert logs.count(LOADED) == 1
    assert logs.count(LISTED % COUNT) == 1
    assert '%d repositories in the storage: %d added' % (COUNT, COUNT) in logs
    assert 'Traceback' not in logs
