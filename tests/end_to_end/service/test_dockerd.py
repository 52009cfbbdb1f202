"""The real Docker daemon of the tests of docker search: it searches through nginx, and leaves no
process, mount or folder when it stops."""
import os

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.nginx import Nginx
from tests.end_to_end.service.clients import dockerd_or_skip
from tests.end_to_end.service.stand_in import StandIn

pytestmark = pytest.mark.skipif(Dockerd.missing() and not os.environ.get('CI'),
                                reason=str(Dockerd.missing()))

ANSWERS = {'/v1/_ping': {}, '/v1/search': {'query': 'app', 'num_results': 1, 'results': [
    {'name': 'acme/app', 'description': 'An app', 'star_count': 0, 'is_official': False,
     'is_automated': False, 'is_trusted': False}]}}


@pytest.fixture(scope='module')
def service():
    server = StandIn('service', answers=ANSWERS)
    yield server
    server.close()


@pytest.fixture(scope='module')
def nginx(service):
    with Nginx(service.port, service.port) as server:
        yield server


def mounts():
    with open('/proc/self/mounts') as lines:
        return lines.read()


def test_docker_searches_through_nginx_and_the_daemon_leaves_nothing(nginx, service):
    with dockerd_or_skip() as daemon:
        folder, group = daemon.folder, daemon.pid
        for cli in filter(None, (Dockerd.cli(), Dockerd.other_cli())):
            del service.seen[:]
            done = daemon.docker('search', '--limit', '7', '127.0.0.1:%d/app' % nginx.port, cli=cli)
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[1].split() == ['acme/app', 'An', 'app', '0']
            assert [request[1] for request in service.seen] == ['/v1/_ping', '/v1/search?q=app&n=7']
        assert os.path.exists(os.path.join(folder, 'run', 'containerd'))
        assert folder not in mounts()
    assert not os.path.exists(folder)
    assert not [command for command in commands() if folder in command], group


def commands():
    """Yield the command lines of all processes."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % pid) as line:
                yield line.read()
        except OSError:  # it has ended
            pass
