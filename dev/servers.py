"""The local servers of `make run` and the tests: an AWS, Amazon's DynamoDB Local and the real docker-registry.

    with Ministack() as aws, Registry(s3_settings(aws.url, 'images')) as registry:
        ...  # registry.url, registry.log_text()

Each listens on 127.0.0.1 only, is ready inside its `with`, and ends with it or with the program that started it. dev/bootstrap installs them
under .local/. Runs on Python 2.7 and 3; standard library only.
"""
from __future__ import absolute_import

import glob
import os

from dev.process import LOCAL, LOOPBACK, ROOT, Server, ServerError

__all__ = ['Ministack', 'DynamoDBLocal', 'Registry', 'ServerError', 's3_settings', 'dynamodb_local_is_installed']

PY27_BIN = os.path.join(LOCAL, 'py27', 'bin')
DYNAMODB_LOCAL = os.path.join(LOCAL, 'dynamodb-local')
CONFIGURATION = os.path.join(ROOT, 'config', 'config_dynamo.yml')


def _installed(path, part):
    if not os.path.exists(path):
        raise ServerError('%s is not there: run dev/bootstrap %s' % (os.path.relpath(path, ROOT), part))
    return path


class Ministack(Server):
    """S3 and DynamoDB in one, in memory (https://pypi.org/project/ministack/)."""

    name = 'ministack'
    port_variable = 'AWS_PORT'
    ready_path = '/_ministack/health'

    def command(self):
        # Its own command listens on every interface. No worker process: hypercorn then serves by itself, and starts faster.
        return [_installed(os.path.join(LOCAL, 'aws', 'bin', 'hypercorn'), 'aws'), '--workers', '0',
                '--bind', '%s:%d' % (LOOPBACK, self.port), 'ministack.app:app']

    def environment(self):
        return {'GATEWAY_PORT': str(self.port), 'MINISTACK_HOST': LOOPBACK, 'SERVICES': 's3,dynamodb', 'LOG_LEVEL': 'WARNING'}


class DynamoDBLocal(Server):
    """Amazon's own DynamoDB emulation, in memory (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html)."""

    name = 'dynamodb-local'
    port_variable = 'DYNAMODB_PORT'
    ready_status = (400,)  # a request without a signature

    def command(self):
        _installed(os.path.join(DYNAMODB_LOCAL, 'LoopbackDynamoDB.class'), 'dynamodb-local')
        # The two options keep a small machine free for the tests: https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html
        return ['java', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Djava.library.path=' + os.path.join(DYNAMODB_LOCAL, 'lib'),
                '-cp', os.pathsep.join([DYNAMODB_LOCAL, os.path.join(DYNAMODB_LOCAL, 'lib', '*')]), 'LoopbackDynamoDB', str(self.port)]


def dynamodb_local_is_installed():
    """Tell whether dev/bootstrap has set up DynamoDB Local."""
    return bool(glob.glob(os.path.join(DYNAMODB_LOCAL, 'LoopbackDynamoDB.class')))


def s3_settings(url, bucket, dynamodb_url=None, access_key='local', secret_key='local-secret'):
    """Return the variables of config/config_dynamo.yml for images in `bucket` of the S3 at `url` and, unless told otherwise, its DynamoDB.

    To be given to Registry; add DYNAMODB_DATABASE, STORAGE_PATH and others as wanted.
    """
    host, port = url.split('//')[1].split(':')
    return {
        'AWS_REGION': 'us-east-1', 'AWS_BUCKET': bucket, 'AWS_KEY': access_key, 'AWS_SECRET': secret_key,
        'AWS_HOST': host, 'AWS_PORT': port, 'AWS_SECURE': 'false', 'AWS_ENCRYPT': 'false',
        'AWS_CALLING_FORMAT': 'boto.s3.connection.OrdinaryCallingFormat',  # bucket in the path: 127.0.0.1 has no subdomains
        'DYNAMODB_ENDPOINT_URL': dynamodb_url or url,
    }


class Registry(Server):
    """The real docker-registry 0.9.1 on Python 2.7 (gunicorn, gevent) with the plugin of this checkout.

    settings: its environment variables (str to str), above the defaults in environment(); None as a value unsets one of these.
    """

    name = 'registry'
    ready_path = '/v1/_ping'

    def __init__(self, settings, port=None, log=None, workers=2):
        super(Registry, self).__init__(port, log)
        self.settings = settings
        self.workers = workers

    def command(self):
        return [_installed(os.path.join(PY27_BIN, 'docker-registry'), 'py27')]

    def environment(self):
        variables = {
            'PATH': PY27_BIN + os.pathsep + os.environ.get('PATH', os.defpath),  # docker-registry looks for gunicorn there
            'REGISTRY_HOST': LOOPBACK, 'REGISTRY_PORT': str(self.port),
            'GUNICORN_WORKERS': str(self.workers), 'GUNICORN_GRACEFUL_TIMEOUT': '5',
            'DOCKER_REGISTRY_CONFIG': CONFIGURATION,
            'SETTINGS_FLAVOR': 'prod',  # any other makes docker-registry pass --reload to gunicorn, which then polls every module's file
        }
        variables.update(self.settings)
        return dict((name, value) for name, value in variables.items() if value is not None)
