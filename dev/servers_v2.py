"""The real registry of version 2 for `make run-service` and the tests: CNCF Distribution, as Debian's docker-registry or any other build.

    with Distribution(directory) as registry:
        ...  # registry.url

    with Distribution(s3_storage(aws.url, 'images')) as registry:
        ...

Standard library only.
"""
from __future__ import absolute_import

import io
import json
import os
import re

from dev.process import LOOPBACK, Server, ServerError

__all__ = ['Distribution', 's3_storage', 'distribution_program']

PROGRAMS = ('docker-registry', 'registry')


def distribution_program():
    """Return the path of the registry's program, or None where none is installed. Python's own docker-registry is not one."""
    for directory in os.environ.get('PATH', os.defpath).split(os.pathsep):
        for name in PROGRAMS:
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK) and _is_elf(path):
                return path
    return None


def s3_storage(url, bucket, rootdirectory='', access_key='local', secret_key='local-secret'):
    """Return the storage settings for images in `bucket` of the local S3 at `url`; the bucket must be there."""
    driver = {'accesskey': access_key, 'secretkey': secret_key, 'region': 'us-east-1', 'regionendpoint': url, 'bucket': bucket,
              'rootdirectory': rootdirectory, 'secure': False, 'v4auth': True, 'forcepathstyle': True}
    return {'s3': driver, 'redirect': {'disable': True}}


class Distribution(Server):
    """CNCF Distribution on 127.0.0.1, deletes allowed.

    storage: a directory, or the `storage` settings as s3_storage() gives them.
    htpasswd: path of a file of users; None lets everybody in.
    events: URL that it posts its notifications to, with `authorization` as the header of that name.
    additions: a dict that is merged into the configuration, dict by dict.
    program: path of another build, such as one of version 3.
    """

    name = 'distribution'
    port_variable = 'REGISTRY_PORT'
    ready_path = '/v2/'
    ready_status = (200, 401)

    def __init__(self, storage, htpasswd=None, events=None, authorization=None, additions=None, port=None, log=None, program=None):
        super(Distribution, self).__init__(port, log)
        self.storage = storage
        self.htpasswd = htpasswd
        self.events = events
        self.authorization = authorization
        self.additions = additions or {}
        self.program = program

    def command(self):
        program = self.program or distribution_program()
        if program is None:
            raise ServerError('CNCF Distribution is not installed: apt-get install --no-install-recommends docker-registry')
        if not os.path.isdir(os.path.dirname(self.config_path)):
            os.makedirs(os.path.dirname(self.config_path))
        with io.open(self.config_path, 'wb') as config:
            config.write(json.dumps(self.configuration(), indent=1, sort_keys=True).encode('ascii'))  # JSON is YAML
        return [program, 'serve', self.config_path]

    @property
    def config_path(self):
        """The file of its configuration, beside its log; gone when it has stopped."""
        return os.path.splitext(self.log_path)[0] + '.yml'

    def stop(self):
        super(Distribution, self).stop()
        if os.path.exists(self.config_path):
            os.remove(self.config_path)

    def configuration(self):
        """Return the configuration as a dict: https://distribution.github.io/distribution/about/configuration/"""
        storage = self.storage if isinstance(self.storage, dict) else {'filesystem': {'rootdirectory': str(self.storage)}}
        settings = {
            'version': '0.1',
            'log': {'level': 'info', 'accesslog': {'disabled': False}},
            'storage': dict({'delete': {'enabled': True}}, **storage),
            'http': {'addr': '%s:%d' % (LOOPBACK, self.port), 'secret': 'local'},
        }
        if self.htpasswd:
            settings['auth'] = {'htpasswd': {'realm': 'registry', 'path': str(self.htpasswd)}}
        if self.events:
            headers = {'Authorization': [self.authorization]} if self.authorization else {}
            settings['notifications'] = {'endpoints': [{
                'name': 'index', 'url': self.events, 'headers': headers, 'timeout': '1s', 'threshold': 5, 'backoff': '1s',
                'ignore': {'mediatypes': ['application/octet-stream'], 'actions': ['pull']}}]}
        return _merged(settings, self.additions)

    def counts(self, pattern):
        """Return how many lines of its log match a regular expression."""
        return sum(1 for line in self.log_text().splitlines() if re.search(pattern, line))


def _merged(settings, additions):
    merged = dict(settings)
    for key, value in additions.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _is_elf(path):
    with io.open(path, 'rb') as program:
        return program.read(4) == b'\x7fELF'
