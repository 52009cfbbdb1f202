"""Makes the public images of compose.yaml from programs of this machine, since the tests pull none.

    with Dockerd(data) as dockerd:
        load_public_images(dockerd)  # registry:3, nginx:stable-alpine, amazon/dynamodb-local

They contain the real programs at the paths and with the users of the public images, and busybox as
their shell. dev/bootstrap docker-compose installs what they need. Runs on Python 3; standard
library only.
"""
import glob
import io
import os
import re
import subprocess
import tarfile
import tempfile
import zipfile

from dev.servers.aws import DYNAMODB_LOCAL
from dev.servers.process import LOCAL, installed
from dev.servers.programs import program

__all__ = ['PROGRAMS', 'load_public_images']

#: Debian packages, and the program of each that is copied.
PROGRAMS = {'busybox-static': 'busybox', 'curl': 'curl', 'nginx-light': 'nginx'}
_REGISTRY = os.path.join(LOCAL, 'distribution-v3', 'registry')
_SHELL = ('sh', 'cat', 'ls', 'sed', 'sleep', 'tail', 'test', 'wget')
_USERS = 'root:x:0:0::/:/bin/sh\nnginx:x:101:101::/:/bin/sh\ndynamodblocal:x:1000:1000::/:/bin/sh\n'
_GROUPS = 'root:x:0:\nnginx:x:101:\ndynamodblocal:x:1000:\n'
# https://github.com/distribution/distribution-library-image
_REGISTRY_ENTRYPOINT = '#!/bin/sh\nset -e\nexec registry serve "$@"\n'
# https://github.com/nginx/docker-nginx
_NGINX_CONFIGURATION = """user nginx;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 1024; }
http { access_log /dev/stdout; include /etc/nginx/conf.d/*.conf; }
"""
_MODULES = 'java.se,jdk.management,jdk.unsupported'
_MAIN_CLASS = 'software.amazon.dynamodb.services.local.main.ServerRunner'


def load_public_images(dockerd):
    """Make the images and load them into a Docker daemon. If a program is missing, raise
    ServerError, which names the component of dev/bootstrap."""
    for name, make, changes in (
            ('registry:3', _registry, ['ENTRYPOINT ["/entrypoint.sh"]', 'VOLUME /var/lib/registry',
                                       'CMD ["/etc/distribution/config.yml"]',
                                       'ENV OTEL_TRACES_EXPORTER=none']),
            ('nginx:stable-alpine', _nginx, ['CMD ["nginx", "-g", "daemon off;"]']),
            ('amazon/dynamodb-local', _dynamodb, ['ENTRYPOINT ["java"]', 'USER dynamodblocal',
                                                  'WORKDIR /home/dynamodblocal'])):
        path = dockerd.path('public.tar')
        with tarfile.open(path, 'w') as archive:
            root = _Root(archive)
            make(root)
        options = [word for change in changes for word in ('--change', change)]
        dockerd.expect('import', *options, path, name, timeout=300)
        os.remove(path)


class _Root:
    """The root of an image, with a shell, in a tar archive."""

    def __init__(self, archive):
        self._archive, self._libraries = archive, set()
        self.program(program('busybox', 'busybox-static'), 'bin/busybox')
        for name in _SHELL:
            self._add(_member('bin/' + name, type=tarfile.SYMTYPE, linkname='busybox'))
        self._add(_member('tmp', type=tarfile.DIRTYPE, mode=0o1777))
        self.text('etc/passwd', _USERS)
        self.text('etc/group', _GROUPS)

    def program(self, source, target):
        """Add a program, and the libraries that it needs."""
        self.file(source, target)
        self.libraries(source)

    def libraries(self, source):
        """Add the libraries of this machine that a program or a library needs."""
        listed = subprocess.run(['ldd', source], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True).stdout
        for path in set(re.findall(r'\s(/(?:usr/)?lib\S+) \(0x', listed)) - self._libraries:
            self.file(path, path)
            self._libraries.add(path)

    def file(self, source, target):
        self._archive.add(os.path.realpath(source), target.lstrip('/'))

    def text(self, target, text, mode=0o644):
        self._add(_member(target, size=len(text), mode=mode), io.BytesIO(text.encode()))

    def folder(self, target):
        self._add(_member(target, type=tarfile.DIRTYPE, mode=0o755))

    def _add(self, member, content=None):
        self._archive.addfile(member, content)


def _member(name, **attributes):
    member = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    return member


def _registry(root):
    root.program(installed(_REGISTRY, 'distribution-v3'), 'bin/registry')
    root.text('entrypoint.sh', _REGISTRY_ENTRYPOINT, mode=0o755)


def _nginx(root):
    root.program(program('nginx', 'nginx-light'), 'usr/sbin/nginx')
    root.text('etc/nginx/nginx.conf', _NGINX_CONFIGURATION)
    for folder in ('etc/nginx/conf.d', 'var/lib/nginx', 'var/log/nginx', 'run'):
        root.folder(folder)


def _dynamodb(root):
    root.program(program('curl'), 'usr/bin/curl')
    with tempfile.TemporaryDirectory() as folder:
        java, jar = os.path.join(folder, 'java'), os.path.join(folder, 'DynamoDBLocal.jar')
        subprocess.run(['jlink', '--add-modules', _MODULES, '--strip-debug',
                        '--no-header-files', '--no-man-pages', '--output', java], check=True)
        root.file(java, 'usr')
        for path in [java + '/bin/java'] + glob.glob(java + '/lib/**/*.so', recursive=True):
            root.libraries(path)
        _write_jar(jar)
        root.file(jar, 'home/dynamodblocal/DynamoDBLocal.jar')
    root.file(os.path.join(DYNAMODB_LOCAL, 'lib'), 'home/dynamodblocal/DynamoDBLocal_lib')


def _write_jar(path):
    """Write the jar that the public image has: it names the main class and its libraries."""
    jars = glob.glob(installed(os.path.join(DYNAMODB_LOCAL, 'lib'), 'dynamodb-local') + '/*.jar')
    names = ' '.join('DynamoDBLocal_lib/' + os.path.basename(jar) for jar in sorted(jars))
    # https://docs.oracle.com/en/java/javase/17/docs/specs/jar/jar.html#line-length
    class_path = '\r\n '.join(re.findall('.{1,70}', 'Class-Path: ' + names))
    lines = ['Manifest-Version: 1.0', 'Main-Class: ' + _MAIN_CLASS, class_path, '']
    with zipfile.ZipFile(path, 'w') as jar:
        jar.writestr('META-INF/MANIFEST.MF', '\r\n'.join(lines))
