"""The role of a registry lacks a right: the changes that need it are refused, and delay no other.
After the right is granted, they are made without a restart."""
from tests.end_to_end.plugin.registry_place import Place, gunicorn
from tests.helpers.waiting import wait_until

GONE = ['acme/gone-%d' % number for number in range(4)]
PUSHED = ['team/pushed-%02d' % number for number in range(20)]
#: Seconds until a refused change is retried for the first time, on a busy machine.
RETRY = 60 + 15


def test_deletes_that_are_refused_delay_no_push_and_are_made_after_the_right_is_granted(
        ministack, proxy):
    place = Place(ministack.url, proxy.url)
    place.put('acme/kept', *GONE)
    # No worker is rebuilt, so that one line a worker can be expected.
    with place.running(GUNICORN_OPTS=gunicorn('--max-requests', '0')) as client:
        assert client.names('acme') == GONE + ['acme/kept']
        with proxy.denying('DeleteItem'):
            for name in GONE:
                client.delete(name)
            for name in PUSHED:
                client.begin_push(name)
                assert client.names(name) == [name], 'a push is found at once'
            assert client.names('gone') == GONE
        log = client.registry.log_text()
        lines = [line for line in log.splitlines() if 'a change of' in line]
        assert 0 < len(lines) <= client.registry.workers, lines
        for line in lines:
            assert 'transact_write_items on ' in line and 'dynamodb:DeleteItem' in line
            assert place.table('search') in line and 'it is retried' in line
        assert 'DynamoDB is unavailable' not in log
        wait_until(lambda: client.names('gone'), 'deleted repositories stay', RETRY,
                   client.registry, [], pause=0.1)
        assert client.names() == sorted(['acme/kept'] + PUSHED)
