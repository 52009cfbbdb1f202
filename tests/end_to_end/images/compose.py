"""docker compose with compose.yaml, in a Docker daemon of the tests."""
import json
import os
import shlex
import subprocess

from dev.servers.process import LOCAL, ROOT, installed

PROGRAM = os.path.join(LOCAL, 'docker-compose', 'docker-compose')
#: The variables of the user that compose.yaml reads.
_READ = ('AWS_', 'DYNAMODB_', 'REGISTRY_')


class Compose:
    """Runs the commands of a user in the checkout, and removes all containers and volumes at the
    end of its block.

    :param environ: variables of the user.
    :param more: paths of files that are added to compose.yaml."""

    def __init__(self, dockerd, environ=(), more=()):
        self._dockerd = dockerd
        self._environ = {name: value for name, value in dockerd.environment_of_clients().items()
                         if not name.startswith(_READ)}
        if more:
            self._environ['COMPOSE_FILE'] = os.pathsep.join(['compose.yaml', *more])
        self._environ.update(environ)
        plugins = os.path.join(self._environ['DOCKER_CONFIG'], 'cli-plugins')
        os.makedirs(plugins, exist_ok=True)
        if not os.path.exists(os.path.join(plugins, 'docker-compose')):
            os.symlink(installed(PROGRAM, 'docker-compose'), os.path.join(plugins,
                                                                          'docker-compose'))

    def outcome(self, line, timeout=180):
        """Run a line of the README that begins with docker; return its status and its output."""
        docker, *words = shlex.split(line)
        assert docker == 'docker'
        done = subprocess.run([self._dockerd.cli(), *words], env=self._environ, cwd=ROOT,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=timeout)
        return done.returncode, done.stdout

    def run(self, line):
        """Run such a line, which must succeed; return its output."""
        status, output = self.outcome(line)
        assert status == 0, '%s\n%s\n%s' % (line, output, self.log_text())
        return output

    def log_text(self):
        """Return the ends of the logs of all containers."""
        return self.outcome('docker compose --profile v1 logs --tail 30')[1]

    def states(self):
        """Return {service: (state, health)} of all containers."""
        lines = self.run('docker compose ps --all --format json').splitlines()
        return {each['Service']: (each['State'], each['Health'])
                for each in map(json.loads, lines)}

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.run('docker compose --profile v1 down --volumes --timeout 20')
