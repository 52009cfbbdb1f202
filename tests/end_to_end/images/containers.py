"""Containers of a test, and the local AWS that they reach."""
import json
import re
import shlex
import time

from dev.servers.aws import Ministack
from dev.servers.private_network import HOST
from dev.servers.process import LOOPBACK
from tests.helpers.waiting import wait_until

#: The tags of the two images, as the README of this release and that of 0.1.0 have them.
SERVICE, PLUGIN = 'registry-index', 'docker_registry_dynamodb'
#: What a run has measured, in lines for its summary.
FIGURES = []
#: The options of a container that can write to /tmp only.
READ_ONLY = ('--read-only', '--tmpfs', '/tmp')


class ReachableAws(Ministack):
    """A local S3 and DynamoDB on 127.0.0.1 and on the address of a private network's host."""

    def command(self):
        *command, application = super().command()
        return command + ['--bind', '%s:%d' % (HOST, self.port), application]

    @property
    def url_in_containers(self):
        """Its address in a container."""
        return self.url.replace(LOOPBACK, HOST)

    def dynamodb(self):
        """Return the options of a container of the service that uses this DynamoDB."""
        return options(DYNAMODB_ENDPOINT_URL=self.url_in_containers, DYNAMODB_ACCESS_KEY='local',
                       DYNAMODB_SECRET_ACCESS_KEY='local-secret')

    def for_plugin(self):
        """Return the options of a container of the plugin that uses this S3 and DynamoDB."""
        return options(AWS_HOST=HOST, AWS_PORT=str(self.port), AWS_SECURE='false',
                       AWS_ENCRYPT='false',
                       AWS_CALLING_FORMAT='boto.s3.connection.OrdinaryCallingFormat',
                       DYNAMODB_ENDPOINT_URL=self.url_in_containers)


def options(**variables):
    """Return the options of docker run for environment variables."""
    return [word for pair in sorted(variables.items()) for word in ('-e', '%s=%s' % pair)]


class Containers:
    """Runs containers, and removes them at the end of its block."""

    def __init__(self, dockerd):
        self.dockerd = dockerd
        self._all = []

    def run(self, line, *more):
        """Run a line `docker run -d ... IMAGE`, with more options before the image; return the
        Container."""
        docker, run, *words = shlex.split(line.replace('\\\n', ' '))
        assert (docker, run, '-d' in words) == ('docker', 'run', True), line
        container = Container(self.dockerd, self.dockerd.expect(run, *more, *words))
        self._all.append(container)
        return container

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.remove()

    def remove(self):
        """Remove the containers."""
        while self._all:
            self.dockerd.docker('rm', '--force', '--volumes', self._all.pop().id)


class Container:
    """A container with this id."""

    def __init__(self, dockerd, identifier):
        self._dockerd, self.id = dockerd, identifier

    def docker(self, command, *arguments):
        """Run a docker command on this container and return its output."""
        return self._dockerd.expect(*command.split(), *arguments, self.id)

    def execute(self, *command):
        """Run a command in the container and return its output."""
        return self._dockerd.expect('exec', self.id, *command)

    def state(self):
        """Return the State of docker inspect."""
        return json.loads(self.docker('inspect --format', '{{json .State}}'))

    def health(self):
        """Return starting, healthy or unhealthy."""
        return self.state()['Health']['Status']

    def log_text(self):
        """Return both outputs of the container since its first start."""
        done = self._dockerd.docker('logs', self.id)
        return done.stdout + done.stderr

    def wait_while_running(self, condition, seconds=90):
        """Wait until a condition holds; fail if the container ends before."""
        wait_until(lambda: condition() or not self.state()['Running'], 'no answer', seconds, self,
                   pause=0.1)
        assert condition(), self.log_text()

    def wait_until_healthy(self, seconds=60):
        """Wait for the health check of the image."""
        self.wait_for_health('healthy', seconds)

    def wait_for_health(self, wanted, seconds=60):
        """Wait until the health check reports this."""
        wait_until(self.health, 'the health', seconds, self, wanted, pause=0.1)

    def stop(self):
        """Stop the container with SIGTERM; return its exit status and the seconds that it took."""
        started = time.monotonic()
        self.docker('stop --time', '60')
        return self.state()['ExitCode'], time.monotonic() - started

    def written(self):
        """Return the paths below / that the container has changed, without its mounts."""
        return re.findall(r'^[AC] (\S+)$', self.docker('diff'), re.MULTILINE)
