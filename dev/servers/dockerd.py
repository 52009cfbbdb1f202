"""A real Docker daemon; dev/bootstrap clients unpacks it.

    with Dockerd() as dockerd:
        dockerd.docker('search', '127.0.0.1:%d/app' % nginx.port)

It builds and runs images in two steps, which share a folder of images:

    with Dockerd(data) as dockerd:
        load_base_image(dockerd, 'trixie')  # dev.servers.base_images
        dockerd.build('registry-index', ROOT, 'Dockerfile.service')
    with PrivateNetwork(), Dockerd(data, networks=True) as dockerd:
        dockerd.expect('run', '-d', '-p', '127.0.0.1:5080:5080', 'registry-index')

Runs on Python 3; standard library only.
"""
import os
import shutil
import subprocess
import tempfile
import time

from dev.servers.process import LOCAL, ServerWithFolder, ServerError, local_environment

__all__ = ['Dockerd']

DOCKERD = os.path.join(LOCAL, 'dockerd')
_IN_OWN_MOUNTS = ['unshare', '--mount', '--propagation', 'private']


class Dockerd(ServerWithFolder):
    """A Docker daemon on a socket of its own.

    data: the folder of its images, which must not be below the context of a build; by default, one
    that is removed with the daemon.
    networks: True for containers with networks and published ports, which change the network of the
    daemon: start it in a PrivateNetwork. Otherwise, containers have `--network host` only.

    It needs root. Its mounts are in a mount namespace of its own, so they always end with it. When
    it stops, it removes its containers.
    """

    name = 'dockerd'
    ready_seconds = 30.0
    stop_seconds = 30.0

    def __init__(self, data=None, networks=False, log=None):
        super(Dockerd, self).__init__(log=log)
        self._data, self._networks = data, networks

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
        data = self._data or self.path('data')
        networks = [] if self._networks else ['--bridge=none', '--iptables=false',
                                              '--ip6tables=false', '--ip-forward=false']
        return _IN_OWN_MOUNTS + [
            os.path.join(DOCKERD, 'usr', 'sbin', 'dockerd'), '--host', self.host,
            '--data-root', data, '--exec-root', self.path('run'),
            '--pidfile', self.path('docker.pid'), '--config-file', configuration,
            '--storage-driver', _storage_driver(os.path.dirname(data))] + networks

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

    def stop(self):
        if self.running:
            containers = self.docker('ps', '--all', '--quiet').stdout.split()
            if containers:
                self.docker('rm', '--force', '--volumes', *containers)
        super(Dockerd, self).stop()

    def environment_of_clients(self, configuration=None):
        """Return the environment of a command that uses this daemon; see docker()."""
        return local_environment({'DOCKER_HOST': self.host, 'DOCKER_BUILDKIT': '0',
                                  'DOCKER_CONFIG': configuration or self.path('client')})

    def docker(self, *arguments, **options):
        """Run the docker command with this daemon; return the CompletedProcess, with text output.

        cli: path of another docker than the daemon's own. configuration: the folder of config.json
        (by default an empty one, without stored credentials). timeout: in seconds. stdin: a file.
        """
        return subprocess.run([options.get('cli') or self.cli()] + list(arguments),
                              env=self.environment_of_clients(options.get('configuration')),
                              stdin=options.get('stdin', subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=options.get('timeout', 60), universal_newlines=True)

    def expect(self, *arguments, **options):
        """Run the docker command and return its output, stripped. If it fails, raise ServerError
        with the end of its output."""
        done = self.docker(*arguments, **options)
        if done.returncode:
            lines = (done.stdout + done.stderr).splitlines()[-25:]
            raise ServerError('docker %s failed with status %d:\n%s' % (
                ' '.join(arguments), done.returncode, '\n'.join('    ' + line for line in lines)))
        return done.stdout.strip()

    def build(self, tag, context, file='Dockerfile', timeout=1200):
        """Build an image, with the network of this machine; return the output. The layers of its
        former builds are used again."""
        return self.expect('build', '--network', 'host', '--tag', tag, '--file',
                           os.path.join(context, file), context, timeout=timeout)

    @staticmethod
    def cli():
        """Return the path of the docker command that came with the daemon."""
        return os.path.join(DOCKERD, 'usr', 'bin', 'docker')

    @staticmethod
    def other_cli():
        """Return the path of the docker command that this machine has, or None."""
        return shutil.which('docker')


def _storage_driver(folder):
    """Return overlay2 if folders below this one can be overlaid. They cannot in a container; vfs
    works everywhere, but copies all files for each layer."""
    with tempfile.TemporaryDirectory(dir=folder) as root:
        for name in ('lower', 'upper', 'work', 'merged'):
            os.mkdir(os.path.join(root, name))
        options = 'lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work'.format(root)
        status = subprocess.call(_IN_OWN_MOUNTS + ['mount', '-t', 'overlay', 'overlay', '-o',
                                                   options, os.path.join(root, 'merged')],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    return 'vfs' if status else 'overlay2'
