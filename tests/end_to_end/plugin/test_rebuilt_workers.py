"""gunicorn rebuilds each worker after a number of requests: every answer is right, and nothing is
loaded again."""
import concurrent.futures
import json

from tests.end_to_end.plugin.registry_place import LOADED, LOG_PROCESS

REQUESTS = 120
#: Requests after which a worker is rebuilt; docker-registry configures 100.
WORKER = 20
CLIENTS = 8


def test_every_answer_is_right_while_workers_are_rebuilt_and_nothing_is_loaded_again(place_on_each):
    place_on_each.seed('acme/billing-api', 'acme/webshop', 'library/nginx')
    options = LOG_PROCESS + ['--max-requests', str(WORKER)]
    with place_on_each.running(GUNICORN_OPTS=json.dumps(options)) as client:
        def ask(number):
            if number % 20 == 0:
                name = 'load/number-%d' % number
                client.begin_push(name)
                found = client.names('number-%d' % number)
                client.delete(name)
                return found == [name] and client.names('number-%d' % number) == []
            return client.search('nginx', 25) == [{'name': 'library/nginx', 'description': ''}]

        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            answers = list(clients.map(ask, range(REQUESTS)))
        assert client.names() == ['acme/billing-api', 'acme/webshop', 'library/nginx']
        log = client.registry.log_text()
    assert answers == [True] * REQUESTS
    assert log.count('Booting worker') >= 4, 'no worker was rebuilt'
    assert log.count(LOADED) == 1
    assert 'Traceback' not in log
