"""What a service answers until its first load is complete, and if that load can never be."""
import pytest

from docker_registry_index.service.registry.catalog import MARK
from tests.helpers.registry import pushed
from tests.helpers.scripted_server import page
from tests.helpers.service import InProcessService
from tests.helpers.waiting import wait_until


@pytest.fixture
def start_with(index):
    """A function that starts a service whose registry has an answer to all requests."""
    made = InProcessService(index, {'acme/web': 'The shop', 'acme/old': ''})

    def start(trouble):
        made.registry.trouble = trouble
        made.service.start()
        return made
    yield start
    made.service.stop()
    made.registry.__exit__()


def test_answers_are_incomplete_until_the_first_load_is_complete(start_with, caplog):
    starting = start_with(page('busy', 500))
    wait_until(lambda: 'the first load of the search index cannot read' in caplog.text)
    starting.index.engine.add('acme/web', 'The shop')
    answer = starting.search('acme')
    assert [each['name'] for each in answer['results']] == ['acme/web']
    assert answer['incomplete_results'] is True
    assert starting.get('/v2/_catalog').status_code == 503
    starting.registry.trouble = None
    wait_until(lambda: starting.service.index.complete, 'the load is not retried')
    assert starting.search('acme')['incomplete_results'] is False
    assert starting.found('acme') == ['acme/old', 'acme/web']


def test_a_service_whose_registry_is_its_own_address_stays_up_and_never_becomes_ready(
        start_with, caplog):
    starting = start_with(page({'repositories': ['acme/web']}, Answered_By=MARK[1]))
    wait_until(lambda: 'set REGISTRY_URL to the address of the registry itself' in caplog.text)
    assert starting.search('acme')['incomplete_results'] is True
    assert starting.get('/v2/_catalog').status_code == 503 and not starting.is_ready()
    assert starting.post([pushed('acme/new')]).status_code in (200, 503)
