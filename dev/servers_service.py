"""The service of this checkout, and the registry beside it with config/distribution.yml.

    registry = ConfiguredRegistry(service_port, secret)
    service = Service({'REGISTRY_URL': registry.url, 'EVENTS_SECRET': secret, 'DYNAMODB_ENDPOINT_URL': aws.url}, service_port)

Each is a dev.process.Server. Runs on Python 3; standard library only.
"""
import os

from dev.process import LOCAL, LOOPBACK, ROOT, Server, ServerError, free_port
from dev.proxy_servers import InAFolder, program

__all__ = ['ConfiguredRegistry', 'Service', 's3_source', 's3_storage', 'two_free_ports']

PYTHON = os.path.join(LOCAL, 'py3', 'bin', 'python')
DISTRIBUTION_CONFIGURATION = os.path.join(ROOT, 'config', 'distribution.yml')
#: The service's own variables whose names say nothing of this project: another program's must not get in.
_OWN = ('ANONYMOUS_READ', 'CATALOG_LIMIT', 'EVENTS_SECRET', 'EVENTS_WAIT', 'HTPASSWD', 'LISTEN', 'STORAGE', 'STORAGE_ACCESS_KEY',
        'STORAGE_ENDPOINT_URL', 'STORAGE_REGION', 'STORAGE_SECRET_KEY', 'THREADS')


class Service(Server):
    """docker-registry-index serve, ready when its index is.

    settings: its environment variables (str to str), apart from LISTEN; None as a value leaves one out.
    """

    name = 'service'
    port_variable = 'SERVICE_PORT'
    ready_path = '/readyz'

    def __init__(self, settings, port=None, log=None):
        super(Service, self).__init__(port, log)
        self.settings = settings

    def command(self):
        if not os.path.exists(PYTHON):
            raise ServerError('%s is not there: run dev/bootstrap py3' % os.path.relpath(PYTHON, ROOT))
        unset = [argument for name in _OWN if name not in self.environment() for argument in ('-u', name)]
        return ['env'] + unset + [PYTHON, '-m', 'docker_registry_index', 'serve']

    def environment(self):
        variables = dict({'LISTEN': '%s:%d' % (LOOPBACK, self.port)}, **self.settings)
        return dict((name, value) for name, value in variables.items() if value is not None)


class ConfiguredRegistry(InAFolder):
    """CNCF Distribution with config/distribution.yml, its ports, its secret and its folder replaced.

    service_port: where its notifications go; secret: what it sends with them. Nobody needs to listen there.
    settings: environment variables above the file, such as s3_storage(). root: the folder of the filesystem storage (one that goes with it).
    binary: path of another build, such as one of version 3.
    """

    name = 'distribution'
    port_variable = 'REGISTRY_PORT'
    ready_path = '/v2/'
    ready_status = (200, 401)
    ready_seconds = 20.0

    def __init__(self, service_port, secret, settings=None, root=None, binary=None, port=None, log=None):
        super(ConfiguredRegistry, self).__init__(port, log)
        self.settings = settings or {}
        self.root = root
        self._service_port, self._secret, self._binary = service_port, secret, binary

    def command(self):
        return [self._binary or program('docker-registry'), 'serve', self.write('distribution.yml', self._configuration())]

    def environment(self):
        return self.settings

    def _configuration(self):
        with open(DISTRIBUTION_CONFIGURATION) as source:
            text = source.read()
        for wanted, value in (('%s:5000' % LOOPBACK, '%s:%d' % (LOOPBACK, self.port)),
                              ('%s:5080' % LOOPBACK, '%s:%d' % (LOOPBACK, self._service_port)),
                              ('Bearer SECRET', 'Bearer ' + self._secret),
                              ('/var/lib/registry', self.root or self.path('storage'))):
            text = text.replace(wanted, value)
        return text


def s3_storage(url, bucket, root='/registry'):
    """Return the registry's variables for a bucket of the local S3 at `url`; they take the place of the file's storage."""
    prefix = 'REGISTRY_STORAGE_S3_'
    return {
        'REGISTRY_STORAGE': 's3', prefix + 'REGION': 'us-east-1', prefix + 'BUCKET': bucket, prefix + 'ROOTDIRECTORY': root,
        prefix + 'REGIONENDPOINT': url, prefix + 'ACCESSKEY': 'local', prefix + 'SECRETKEY': 'local-secret',
        prefix + 'SECURE': 'false', prefix + 'V4AUTH': 'true', prefix + 'FORCEPATHSTYLE': 'true',
        'REGISTRY_STORAGE_DELETE_ENABLED': 'true', 'REGISTRY_STORAGE_REDIRECT_DISABLE': 'true',
    }


def s3_source(url, bucket, root='/registry'):
    """Return the service's variables for the same bucket."""
    return {'STORAGE': 's3://%s%s' % (bucket, root), 'STORAGE_ENDPOINT_URL': url, 'STORAGE_REGION': 'us-east-1',
            'STORAGE_ACCESS_KEY': 'local', 'STORAGE_SECRET_KEY': 'local-secret'}


def two_free_ports():
    """Return two ports that are free now and not the same: the registry and the service must know each other's before they start."""
    first = second = free_port()
    while second == first:
        second = free_port()
    return first, second
