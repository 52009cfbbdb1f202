"""CNCF Distribution, the real registry of version 2 for `make run-service` and the tests.

It is Debian's docker-registry, or any other build.

    with Distribution(directory) as registry:
        ...  # registry.url

    with Distribution(s3_storage(aws.url, 'images')) as registry:
        ...

    with ConfiguredRegistry(service_port, secret) as registry:
        ...  # with config/distribution.yml

Runs on Python 3; standard library only.
"""
import json
import os
import re
import urllib.error
import urllib.request

from dev.servers.process import LOOPBACK, ROOT, ServerWithFolder
from dev.servers.programs import program

__all__ = ['ConfiguredRegistry', 'Distribution', 's3_storage', 's3_variables']

CONFIGURATION = os.path.join(ROOT, 'config', 'distribution.yml')


def s3_storage(url, bucket, rootdirectory='', access_key='local', secret_key='local-secret'):
    """Return the storage settings for a bucket of the local S3 at `url`. The bucket must exist."""
    driver = {'accesskey': access_key, 'secretkey': secret_key, 'region': 'us-east-1',
              'regionendpoint': url, 'bucket': bucket, 'rootdirectory': rootdirectory,
              'secure': False, 'v4auth': True, 'forcepathstyle': True}
    return {'s3': driver, 'redirect': {'disable': True}}


def s3_variables(url, bucket, rootdirectory='/registry'):
    """Return the storage settings as variables. They replace all storage settings of the registry's
    file, so they also allow deletes."""
    storage = dict(s3_storage(url, bucket, rootdirectory), delete={'enabled': True})
    variables = {'REGISTRY_STORAGE_%s_%s' % (block.upper(), name.upper()): _variable_text(value)
                 for block, settings in storage.items() for name, value in settings.items()}
    return dict(variables, REGISTRY_STORAGE='s3')


class Distribution(ServerWithFolder):
    """CNCF Distribution on 127.0.0.1, which allows deletes.

    storage: a directory, or the `storage` settings that s3_storage() returns.
    htpasswd: path of a file of users; None for access without a password.
    additions: a dict that is merged into the configuration, dict by dict.
    program: path of another build, such as one of version 3.
    """

    name = 'distribution'
    port_variable = 'REGISTRY_PORT'
    ready_path = '/v2/'
    ready_status = (200, 401)
    ready_seconds = 20.0

    def __init__(self, storage, htpasswd=None, additions=None, port=None, log=None, program=None):
        super(Distribution, self).__init__(port, log)
        self.storage = storage
        self.htpasswd = htpasswd
        self.additions = additions or {}
        self.program = program

    def command(self):
        return [self.program or program('docker-registry'), 'serve',
                self.write('config.yml', self.configuration())]

    def configuration(self):
        """Return the text of the configuration file:
        https://distribution.github.io/distribution/about/configuration/"""
        storage = (self.storage if isinstance(self.storage, dict)
                   else {'filesystem': {'rootdirectory': str(self.storage)}})
        settings = {
            'version': '0.1',
            'log': {'level': 'info', 'accesslog': {'disabled': False}},
            'storage': dict({'delete': {'enabled': True}}, **storage),
            'http': {'addr': '%s:%d' % (LOOPBACK, self.port), 'secret': 'local'},
        }
        if self.htpasswd:
            settings['auth'] = {'htpasswd': {'realm': 'registry', 'path': str(self.htpasswd)}}
        # JSON is YAML
        return json.dumps(_merged(settings, self.additions), indent=1, sort_keys=True)

    @property
    def is_version_3(self):
        """True if it answers as version 3, which `make test-v3` uses."""
        try:
            answer = urllib.request.urlopen(self.url + '/v2/', timeout=30)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.headers['Content-Type'] == 'application/json'

    def counts(self, pattern):
        """Return the number of lines of its log that match a regular expression."""
        return sum(1 for line in self.log_text().splitlines() if re.search(pattern, line))


class ConfiguredRegistry(Distribution):
    """CNCF Distribution with config/distribution.yml, but other ports, secret and folder.

    service_port: the port for its notifications, where no server needs to listen. secret: sent
    with each notification.
    settings: environment variables that override the file, such as s3_variables(). root: the folder
    of the filesystem storage (by default one that is removed with the server).
    program: see Distribution.
    """

    def __init__(self, service_port, secret, settings=None, root=None, port=None, log=None,
                 program=None):
        super(ConfiguredRegistry, self).__init__(root, port=port, log=log, program=program)
        self.settings = settings or {}
        self._service_port, self._secret = service_port, secret

    def environment(self):
        return self.settings

    def configuration(self):
        """Return the text of config/distribution.yml with these replacements."""
        with open(CONFIGURATION) as source:
            text = source.read()
        for wanted, value in (('%s:5000' % LOOPBACK, '%s:%d' % (LOOPBACK, self.port)),
                              ('%s:5080' % LOOPBACK, '%s:%d' % (LOOPBACK, self._service_port)),
                              ('Bearer SECRET', 'Bearer ' + self._secret),
                              ('/var/lib/registry', self.storage or self.path('storage'))):
            text = text.replace(wanted, value)
        return text


def _variable_text(value):
    return str(value).lower() if isinstance(value, bool) else value


def _merged(settings, additions):
    merged = dict(settings)
    for key, value in additions.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
