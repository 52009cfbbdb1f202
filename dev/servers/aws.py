"""The local AWS: ministack, which is S3 and DynamoDB, and Amazon's own DynamoDB Local.

    with Ministack() as aws, Registry(s3_settings(aws.url, 'images')) as registry:
        ...  # registry.url, registry.log_text()

Each listens on 127.0.0.1 only, is ready inside its `with` block, and ends with the block or with
the program that started it. dev/bootstrap installs both under .local/. Runs on Python 2.7 and 3;
standard library only.
"""
from __future__ import absolute_import

import glob
import os

from dev.servers.process import LOCAL, LOOPBACK, Server, installed

__all__ = ['DynamoDBLocal', 'Ministack', 'dynamodb_local_is_installed']

DYNAMODB_LOCAL = os.path.join(LOCAL, 'dynamodb-local')


class Ministack(Server):
    """S3 and DynamoDB in one, in memory (https://pypi.org/project/ministack/).

    services: the names of its services, with commas between them.
    """

    name = 'ministack'
    port_variable = 'AWS_PORT'
    ready_path = '/_ministack/health'

    def __init__(self, port=None, log=None, services='s3,dynamodb'):
        super(Ministack, self).__init__(port, log)
        self.services = services

    def command(self):
        # ministack's own command listens on every interface. Without worker processes, hypercorn
        # serves in its own process and starts faster.
        return [installed(os.path.join(LOCAL, 'aws', 'bin', 'hypercorn'), 'aws'), '--workers', '0',
                '--bind', '%s:%d' % (LOOPBACK, self.port), 'ministack.app:app']

    def environment(self):
        return {'GATEWAY_PORT': str(self.port), 'MINISTACK_HOST': LOOPBACK,
                'SERVICES': self.services, 'LOG_LEVEL': 'WARNING'}


class DynamoDBLocal(Server):
    """Amazon's own DynamoDB emulation, in memory
    (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html)."""

    name = 'dynamodb-local'
    port_variable = 'DYNAMODB_PORT'
    ready_status = (400,)  # the answer to a request without a signature

    def command(self):
        installed(os.path.join(DYNAMODB_LOCAL, 'LoopbackDynamoDB.class'), 'dynamodb-local')
        # The two options keep a small machine free for the tests:
        # https://docs.oracle.com/en/java/javase/17/docs/specs/man/java.html
        return ['java', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
                '-Djava.library.path=' + os.path.join(DYNAMODB_LOCAL, 'lib'), '-cp',
                os.pathsep.join([DYNAMODB_LOCAL, os.path.join(DYNAMODB_LOCAL, 'lib', '*')]),
                'LoopbackDynamoDB', str(self.port)]


def dynamodb_local_is_installed():
    """Return True if dev/bootstrap has set up DynamoDB Local."""
    return bool(glob.glob(os.path.join(DYNAMODB_LOCAL, 'LoopbackDynamoDB.class')))
