"""The real docker-registry 0.9.1 with the plugin of this checkout.

    with Ministack() as aws, Registry(s3_settings(aws.url, 'images')) as registry:
        ...  # registry.url, registry.log_text()

Runs on Python 2.7 and 3; standard library only.
"""
from __future__ import absolute_import

import os

from dev.servers.process import LOCAL, LOOPBACK, ROOT, Server, installed

__all__ = ['CONFIGURATION', 'PY27_BIN', 'Registry', 's3_settings']

PY27_BIN = os.path.join(LOCAL, 'py27', 'bin')
CONFIGURATION = os.path.join(ROOT, 'config', 'config_dynamo.yml')


def s3_settings(url, bucket, dynamodb_url=None, access_key='local', secret_key='local-secret'):
    """Return the variables of config/config_dynamo.yml for a bucket of the S3 at `url`.

    DynamoDB is by default at the same `url`. Pass the variables to Registry; add DYNAMODB_DATABASE,
    STORAGE_PATH and others as needed.
    """
    host, port = url.split('//')[1].split(':')
    return {
        'AWS_REGION': 'us-east-1', 'AWS_BUCKET': bucket,
        'AWS_KEY': access_key, 'AWS_SECRET': secret_key,
        'AWS_HOST': host, 'AWS_PORT': port, 'AWS_SECURE': 'false', 'AWS_ENCRYPT': 'false',
        # bucket in the path: 127.0.0.1 has no subdomains
        'AWS_CALLING_FORMAT': 'boto.s3.connection.OrdinaryCallingFormat',
        'DYNAMODB_ENDPOINT_URL': dynamodb_url or url,
    }


class Registry(Server):
    """The real docker-registry 0.9.1 on Python 2.7 (gunicorn, gevent) with this checkout's plugin.

    settings: its environment variables (str to str), which override the defaults in environment();
    the value None removes a default.
    """

    name = 'registry'
    ready_path = '/v1/_ping'

    def __init__(self, settings, port=None, log=None, workers=2):
        super(Registry, self).__init__(port, log)
        self.settings = settings
        self.workers = workers

    def command(self):
        return [installed(os.path.join(PY27_BIN, 'docker-registry'), 'py27')]

    def environment(self):
        variables = {
            # docker-registry looks for gunicorn in this folder
            'PATH': PY27_BIN + os.pathsep + os.environ.get('PATH', os.defpath),
            'REGISTRY_HOST': LOOPBACK, 'REGISTRY_PORT': str(self.port),
            'GUNICORN_WORKERS': str(self.workers), 'GUNICORN_GRACEFUL_TIMEOUT': '5',
            'DOCKER_REGISTRY_CONFIG': CONFIGURATION,
            # with any other flavour, docker-registry passes --reload to gunicorn, which then polls
            # the file of every module
            'SETTINGS_FLAVOR': 'prod',
        }
        variables.update(self.settings)
        return dict((name, value) for name, value in variables.items() if value is not None)
