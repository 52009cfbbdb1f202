"""A real nginx with config/nginx.conf, in front of a registry and the service.

    with Nginx(registry=registry.port, service=service.port) as nginx:
        ...  # nginx.url

Runs on Python 3; standard library only.
"""
import os
import re

from dev.servers.process import ROOT, ServerWithFolder
from dev.servers.programs import program

__all__ = ['Nginx']

NGINX_CONFIGURATION = os.path.join(ROOT, 'config', 'nginx.conf')
#: The ports in config/nginx.conf.
_LISTEN, _REGISTRY, _SERVICE = 8080, 5000, 5080

# What the system's nginx.conf contains around a file of conf.d, but with all paths in one folder.
_MAIN_CONFIGURATION = """
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


class Nginx(ServerWithFolder):
    """nginx with config/nginx.conf, its three port numbers replaced.

    registry, service: the ports of 127.0.0.1 to which it passes requests. nginx is ready even if no
    server listens on these.
    """

    name = 'nginx'
    ready_path = '/healthz'  # answered by nginx itself
    ready_status = (404,)
    ready_seconds = 10.0

    def __init__(self, registry, service, port=None, log=None):
        super(Nginx, self).__init__(port, log)
        self._ports = {_LISTEN: self.port, _REGISTRY: registry, _SERVICE: service}

    def command(self):
        os.chmod(self.folder, 0o711)  # if root starts it, its workers run as the user nobody
        self.write('site.conf', re.sub(r'(?<=127\.0\.0\.1:)[0-9]+\b',
                                       lambda found: str(self._ports[int(found.group())]),
                                       self.site()))
        configuration = self.write('nginx.conf', _MAIN_CONFIGURATION % {'folder': self.folder})
        return [program('nginx', 'nginx-light'), '-p', self.folder, '-e', 'stderr', '-c',
                configuration]

    def site(self):
        """Return the text of config/nginx.conf, before its ports are replaced."""
        with open(NGINX_CONFIGURATION) as source:
            return source.read()
