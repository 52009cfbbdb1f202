"""Workers that gunicorn rebuilds after 100 requests each, as docker-registry configures it: every
answer right, nothing loaded again."""
import concurrent.futures

from tests.end_to_end.plugin.registry_place import LOADED

# A worker that has had its 100 still answers what it has accepted, so this is plenty.
REQUESTS = 600
CLIENTS = 8


def test_every_answer_is_right_while_workers_are_rebuilt_and_nothing_is_loaded_again(place_on_each):
    place_on_each.seed('acme/billing-api', 'acme/webshop', 'library/nginx')
    with place_on_each.running() as client:
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
