"""The service beside a real registry that requires certificates of its clients."""
from dev.servers.process import http_status
from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.place import ServiceProcess, needs
from tests.helpers.certificates import Authority
from tests.helpers.listing import make_repositories
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry')


class SecureDistribution(Distribution):
    """Distribution with https. Its log shows when it is ready, because it answers only clients that
    have a certificate."""

    @property
    def url(self):
        return 'https://127.0.0.1:%d' % self.port

    def wait_until_ready(self, seconds=None):
        wait_until(lambda: self.counts('listening on .*, tls'), 'the registry does not listen', 20)
        return self


def test_a_registry_that_requires_a_certificate_is_read(dynamodb_local, tmp_path):
    servers, clients = Authority(tmp_path, 'servers'), Authority(tmp_path, 'clients')
    certificate, key = servers.issue('registry')
    own, own_key = clients.issue('service')
    make_repositories(tmp_path / 'store', 'team/web', 'nginx')
    tls = {'http': {'tls': {'certificate': certificate, 'key': key, 'clientcas': [clients.file]}}}
    with SecureDistribution(tmp_path / 'store', additions=tls) as registry, ServiceProcess(
            dynamodb_local.url, registry, REGISTRY_CA=servers.file, REGISTRY_CERT=own,
            REGISTRY_KEY=own_key, AUTH='none') as service:
        wait_until(lambda: sorted(service.found('')) == ['nginx', 'team/web'],
                   'the catalog is not read', 20)
        assert service.get('/v2/_catalog').json() == {'repositories': ['nginx', 'team/web']}
        # The certificate of the service does not identify its callers.
        with service.copy(AUTH=None) as closed:
            assert http_status(closed.port, '/v1/search?q=') == 503
            assert 'set AUTH to htpasswd or none' in closed.log_text()
