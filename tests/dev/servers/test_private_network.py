"""A private network has free ports, and the thread leaves it at the end."""
import os
import socket

import pytest

from dev.servers import private_network
from dev.servers.private_network import HOST, PrivateNetwork

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='a network of its own needs root')


def network():
    return os.readlink('/proc/thread-self/ns/net')


def test_its_ports_are_free_and_its_address_is_there():
    outside = network()
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        with PrivateNetwork():
            assert network() != outside
            with socket.create_server((HOST, port)), socket.create_server(('127.0.0.1', port)):
                pass
            with pytest.raises(OSError, match='unreachable'):
                socket.create_connection(('198.51.100.1', 80), timeout=5)
    assert network() == outside


def test_the_thread_leaves_a_network_that_cannot_be_set_up(monkeypatch):
    outside = network()
    monkeypatch.setattr(private_network, 'HOST', 'no address')
    with pytest.raises(Exception, match='ip'):
        PrivateNetwork().__enter__()
    assert network() == outside
