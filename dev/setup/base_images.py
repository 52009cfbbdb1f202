"""Makes the base images of the Dockerfiles from Debian's packages, since the tests pull no image.

They contain what debian:SUITE-slim contains, and nothing of this machine: no mirror, no certificate
and no setting of apt or pip. dev/servers/dockerd.py adds these when it loads a base image.
"""
import os
import shutil
import subprocess
import tempfile

from dev.setup import debian_packages
from dev.setup.console import echo, run

__all__ = ['PROGRAMS', 'SUITES', 'make_all']

#: The Debian releases of Dockerfile and Dockerfile.service.
SUITES = ('bullseye', 'trixie')
#: Debian packages, and the program of each that is used; iptables and ip are for the networks of
#: containers.
PROGRAMS = {'debootstrap': 'debootstrap', 'iptables': 'iptables', 'iproute2': 'ip'}

#: The script of all releases. An older debootstrap does not know the names of later ones.
_SCRIPT = '/usr/share/debootstrap/scripts/sid'
_DEBIAN = 'http://deb.debian.org/debian'
# As in https://github.com/debuerreotype/debuerreotype, which makes the images debian:SUITE-slim.
_DPKG = """force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
"""
_APT = """Acquire::Languages "none";
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
_SOURCES = 'deb %s %s main\n'


def make_all(folder):
    """Write SUITE.tar for each suite into `folder`, which is emptied before."""
    debian_packages.install(PROGRAMS)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for suite in SUITES:
        echo('%s: installing Debian %s with debootstrap' % (os.path.basename(folder), suite))
        _make(suite, folder)


def _make(suite, folder):
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        root = os.path.join(temporary, 'root')
        run(['debootstrap', '--variant=minbase', suite, root, _mirror(), _SCRIPT],
            'bootstrap-base-images.log')
        for name in ('doc', 'info', 'locale', 'man'):
            _empty(os.path.join(root, 'usr', 'share', name))
        for name in ('var/cache/apt', 'var/lib/apt/lists', 'var/log'):
            _empty(os.path.join(root, name))
        _write(root, 'etc/dpkg/dpkg.cfg.d/docker', _DPKG)
        _write(root, 'etc/apt/apt.conf.d/docker-clean', _APT)
        _write(root, 'etc/apt/sources.list', _SOURCES % (_DEBIAN, suite))
        run(['tar', '-C', root, '-cf', os.path.join(folder, suite + '.tar'), '.'],
            'bootstrap-base-images.log')


def _mirror():
    """Return the address of Debian's packages that this machine's apt uses."""
    done = subprocess.run(
        ['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages',
         'Origin: Debian'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return next((line for line in done.stdout.split() if line.rstrip('/').endswith('/debian')),
                _DEBIAN)


def _empty(folder):
    """Remove the files below a folder, but not the folders, which packages expect."""
    for directory, _, names in os.walk(folder):
        for name in names:
            os.remove(os.path.join(directory, name))


def _write(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), 'w') as target:
        target.write(text)
