"""The service of this checkout.

    service = Service({'REGISTRY_URL': registry.url, 'EVENTS_SECRET': secret,
                       'DYNAMODB_ENDPOINT_URL': aws.url}, service_port)

Runs on Python 3; standard library only.
"""
import os

from dev.servers.process import LOCAL, LOOPBACK, ROOT, Server, ServerError, free_port

__all__ = ['Service', 's3_source', 'two_free_ports']

#: The Python that runs the service: tox names that of its environment.
PYTHON = os.environ.get('SERVICE_PYTHON') or os.path.join(LOCAL, 'py3', 'bin', 'python')
#: Variables of the service with common names. They are not passed on from the environment, where
#: another program may have set them.
_OWN = ('ANONYMOUS_READ', 'AUTH', 'AUTH_SCOPE', 'CATALOG_LIMIT', 'EVENTS_SECRET', 'EVENTS_WAIT',
        'HTPASSWD', 'LISTEN', 'LOG_FORMAT', 'LOG_LEVEL', 'MONITORING_LISTEN', 'PULL_THROUGH_CACHE',
        'STORAGE', 'STORAGE_ACCESS_KEY', 'STORAGE_ADDRESSING', 'STORAGE_CA',
        'STORAGE_ENDPOINT_URL', 'STORAGE_REGION', 'STORAGE_SECRET_KEY', 'THREADS',
        'TRUSTED_PROXIES')


class Service(Server):
    """docker-registry-index serve, ready when its index is.

    settings: its environment variables (str to str), apart from LISTEN; a variable with the value
    None is left out.
    """

    name = 'service'
    port_variable = 'SERVICE_PORT'
    ready_path = '/readyz'

    def __init__(self, settings, port=None, log=None):
        super(Service, self).__init__(port, log)
        self.settings = settings

    def command(self):
        if not os.path.exists(PYTHON):
            raise ServerError('%s is missing: run dev/bootstrap py3'
                              % os.path.relpath(PYTHON, ROOT))
        unset = [argument for name in _OWN if name not in self.environment()
                 for argument in ('-u', name)]
        return ['env'] + unset + [PYTHON, '-m', 'docker_registry_index', 'serve']

    def environment(self):
        variables = dict({'LISTEN': '%s:%d' % (LOOPBACK, self.port)}, **self.settings)
        return dict((name, value) for name, value in variables.items() if value is not None)


def s3_source(url, bucket, root='/registry'):
    """Return the service's variables for the images in a bucket of the S3 at `url`."""
    return {'STORAGE': 's3://%s%s' % (bucket, root), 'STORAGE_ENDPOINT_URL': url,
            'STORAGE_REGION': 'us-east-1', 'STORAGE_ACCESS_KEY': 'local',
            'STORAGE_SECRET_KEY': 'local-secret'}


def two_free_ports():
    """Return two different ports that are free now: the registry and the service must know each
    other's before they start."""
    first = second = free_port()
    while second == first:
        second = free_port()
    return first, second
