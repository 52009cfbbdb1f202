"""The programs around the service: a real nginx with config/nginx.conf, and a real Docker daemon for `docker search`.

    with Nginx(registry=registry.port, service=service.port) as nginx, Dockerd() as dockerd:
        dockerd.docker('search', '127.0.0.1:%d/app' % nginx.port)

Each ends with its `with` or with the program that started it. dev/bootstrap clients installs them. Runs on Python 3; standard library only.
"""
import os
import re
import shutil
import subprocess
import time

from dev.process import LOCAL, ROOT, InAFolder, ServerError, local_environment
from dev.programs import program

__all__ = ['Dockerd', 'Nginx']

NGINX_CONFIGURATION = os.path.join(ROOT, 'config', 'nginx.conf')
DOCKERD = os.path.join(LOCAL, 'dockerd')
#: The ports in config/nginx.conf.
_LISTEN, _REGISTRY, _SERVICE = 8080, 5000, 5080

# What the system's own nginx.conf says around a file of conf.d, here with everything below one folder.
_AROUND = """
daemon off;
worker_processes 1;
pid %(folder)s/nginx.pid;
error_log stderr warn;
events { worker_connections 512; }
http {
    access_log /dev/stdout;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    include %(folder)s/site.conf;
}
"""


class Nginx(InAFolder):
    """nginx with config/nginx.conf, its three port numbers replaced.

    registry, service: ports of 127.0.0.1 that it passes requests on to. Ready when it answers at all: they need not run.
    """

    name = 'nginx'
    ready_path = '/healthz'  # answered by nginx itself
    ready_status = (404,)
    ready_seconds = 10.0

    def __init__(self, registry, service, port=None, log=None):
        super(Nginx, self).__init__(port, log)
        self._ports = {_LISTEN: self.port, _REGISTRY: registry, _SERVICE: service}

    def command(self):
        os.chmod(self.folder, 0o711)  # started by root, its workers are nobody's
        self.write('site.conf', re.sub(r'(?<=127\.0\.0\.1:)[0-9]+\b', lambda found: str(self._ports[int(found.group())]), self.site()))
        configuration = self.write('nginx.conf', _AROUND % {'folder': self.folder})
        return [program('nginx', 'nginx-light'), '-p', self.folder, '-e', 'stderr', '-c', configuration]

    def site(self):
        """Return what nginx is configured with, its ports those of config/nginx.conf."""
        with open(NGINX_CONFIGURATION) as source:
            return source.read()


class Dockerd(InAFolder):
    """A Docker daemon on a socket of its own, which searches and pushes but runs no containers; it needs root.

    Its mounts are in a mount namespace of its own, and so end with it however it ends.
    """

    name = 'dockerd'
    ready_seconds = 30.0

    @staticmethod
    def missing():
        """Return why no daemon can be started here, or None."""
        if not os.path.exists(os.path.join(DOCKERD, 'usr', 'sbin', 'dockerd')):
            return 'a Docker daemon is not there: run dev/bootstrap clients'
        if os.geteuid() != 0:
            return 'a Docker daemon needs root'
        return None

    @property
    def host(self):
        """The value for DOCKER_HOST, or `docker --host`."""
        return 'unix://' + self.path('docker.sock')

    def command(self):
        if self.missing():
            raise ServerError(self.missing())
        configuration = self.write('daemon.json', '{}')  # and not that of the machine's own daemon
        return ['unshare', '--mount', '--propagation', 'private', os.path.join(DOCKERD, 'usr', 'sbin', 'dockerd'), '--host', self.host,
                '--data-root', self.path('data'), '--exec-root', self.path('run'), '--pidfile', self.path('docker.pid'),
                '--config-file', configuration, '--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false',
                '--storage-driver=vfs']

    def environment(self):
        # It looks for containerd, runc and docker-init there.
        folders = [os.path.join(DOCKERD, 'usr', 'bin'), os.path.join(DOCKERD, 'usr', 'sbin'), '/usr/sbin', '/sbin']
        return {'PATH': os.pathsep.join(folders + [os.environ.get('PATH', os.defpath)])}

    def wait_until_ready(self, seconds=None):
        """Wait until the daemon answers; ServerError, with the end of its log, when it does not."""
        deadline = time.time() + (seconds or self.ready_seconds)
        while self.docker('version').returncode:
            if not self.running or time.time() > deadline:
                problem = 'does not answer' if self.running else 'ended with status %s' % self._process.poll()
                raise ServerError('dockerd %s; the end of its log %s:\n%s' % (problem, self.log_path, self._log_tail()))
            time.sleep(0.1)
        return self

    def docker(self, *arguments, **options):
        """Run the docker command against this daemon; return subprocess.CompletedProcess, its output as text.

        cli: path of another docker than the daemon's own. configuration: the folder of config.json (an empty one, so no stored credentials).
        """
        environment = local_environment({'DOCKER_HOST': self.host, 'DOCKER_CONFIG': options.get('configuration') or self.path('client')})
        return subprocess.run([options.get('cli') or self.cli()] + list(arguments), env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, universal_newlines=True)

    @staticmethod
    def cli():
        """Return the path of the docker command that came with the daemon."""
        return os.path.join(DOCKERD, 'usr', 'bin', 'docker')

    @staticmethod
    def other_cli():
        """Return the path of the docker command of this machine, or None."""
        return shutil.which('docker')
