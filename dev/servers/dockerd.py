"""A real Docker daemon for `docker search`; dev/bootstrap clients unpacks it.

    with Dockerd() as dockerd:
        dockerd.docker('search', '127.0.0.1:%d/app' % nginx.port)

Runs on Python 3; standard library only.
"""
import os
import shutil
import subprocess
import time

from dev.servers.process import LOCAL, ServerWithFolder, ServerError, local_environment

__all__ = ['Dockerd']

DOCKERD = os.path.join(LOCAL, 'dockerd')


class Dockerd(ServerWithFolder):
    """A Docker daemon on a socket of its own, which searches and pushes but runs no containers.

    It needs root. Its mounts are in a mount namespace of its own, so they always end with it.
    """

    name = 'dockerd'
    ready_seconds = 30.0

    @staticmethod
    def missing():
        """Return the reason why no daemon can start here, or None."""
        if not os.path.exists(os.path.join(DOCKERD, 'usr', 'sbin', 'dockerd')):
            return 'no Docker daemon is installed: run dev/bootstrap clients'
        if os.geteuid() != 0:
            return 'a Docker daemon needs root'
        return None

    @property
    def host(self):
        """The address of the daemon, for DOCKER_HOST or `docker --host`."""
        return 'unix://' + self.path('docker.sock')

    def command(self):
        if self.missing():
            raise ServerError(self.missing())
        configuration = self.write('daemon.json', '{}')  # not that of the machine's own daemon
        return ['unshare', '--mount', '--propagation', 'private',
                os.path.join(DOCKERD, 'usr', 'sbin', 'dockerd'), '--host', self.host,
                '--data-root', self.path('data'), '--exec-root', self.path('run'),
                '--pidfile', self.path('docker.pid'), '--config-file', configuration,
                '--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false',
                '--storage-driver=vfs']

    def environment(self):
        # dockerd looks for containerd, runc and docker-init in these folders.
        folders = [os.path.join(DOCKERD, 'usr', 'bin'), os.path.join(DOCKERD, 'usr', 'sbin'),
                   '/usr/sbin', '/sbin']
        return {'PATH': os.pathsep.join(folders + [os.environ.get('PATH', os.defpath)])}

    def wait_until_ready(self, seconds=None):
        """Wait until the daemon answers; otherwise raise ServerError with the end of its log."""
        deadline = time.time() + (seconds or self.ready_seconds)
        while self.docker('version').returncode:
            if not self.running or time.time() > deadline:
                problem = ('does not answer' if self.running
                           else 'ended with status %s' % self._process.poll())
                raise ServerError('dockerd %s; the end of its log %s:\n%s'
                                  % (problem, self.log_path, self._log_tail()))
            time.sleep(0.1)
        return self

    def docker(self, *arguments, **options):
        """Run the docker command with this daemon; return the CompletedProcess, with text output.

        cli: path of another docker than the daemon's own. configuration: the folder of config.json
        (by default an empty one, without stored credentials).
        """
        environment = local_environment({'DOCKER_HOST': self.host,
                                         'DOCKER_CONFIG': options.get('configuration')
                                         or self.path('client')})
        return subprocess.run([options.get('cli') or self.cli()] + list(arguments), env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, universal_newlines=True)

    @staticmethod
    def cli():
        """Return the path of the docker command that came with the daemon."""
        return os.path.join(DOCKERD, 'usr', 'bin', 'docker')

    @staticmethod
    def other_cli():
        """Return the path of the docker command that this machine has, or None."""
        return shutil.which('docker')
