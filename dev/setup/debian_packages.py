"""Installs the Debian packages of the programs that are tested with the service.

They are the registry, nginx, skopeo, podman, and a Docker daemon and promtool, which are only
unpacked. A Debian package starts its services. Here, the services of new packages are not started,
not even at the next boot. Services that were installed before are not changed.
"""
import glob
import os
import shutil
import subprocess
import tempfile

from dev.servers.programs import is_missing
from dev.setup import toolchain
from dev.setup.console import SetupError, echo, run

__all__ = ['PROGRAMS', 'DAEMON', 'PROMTOOL', 'DisabledServices', 'missing', 'install', 'unpack',
           'unpack_daemon']

#: Debian packages, and the program of each that is used. crun: podman needs a runtime even for a
#: search.
PROGRAMS = {'docker-registry': 'docker-registry', 'skopeo': 'skopeo', 'podman': 'podman',
            'nginx-light': 'nginx', 'crun': 'crun'}
#: The packages of the daemon and of what it starts; and of the command, if Debian has one for it.
DAEMON = ['docker.io', 'containerd', 'runc', 'tini']
_COMMAND = 'docker-cli'
#: The package that contains promtool.
PROMTOOL = ['prometheus']

_SERVICES = {
    'docker-registry': ['docker-registry.service'],
    'nginx-light': ['nginx.service'],
    'podman': ['podman.socket', 'podman.service', 'podman-restart.service',
               'podman-auto-update.timer', 'podman-auto-update.service'],
}


def missing(programs):
    """Return the packages whose programs are not installed."""
    return [package for package in sorted(programs) if is_missing(programs[package])]


def install(programs):
    """Install the missing packages of PROGRAMS, or of another such dictionary, without starting
    their services. Without the rights to do so, raise SetupError with their names."""
    packages = missing(programs)
    if not packages:
        return
    if not toolchain.may_install():
        raise SetupError('missing: %s. On Debian, as root: apt-get install %s'
                         % (', '.join(packages), ' '.join(packages)))
    with DisabledServices([unit for package in packages for unit in _SERVICES.get(package, [])]):
        toolchain.install(packages)
    if missing(programs):
        raise SetupError('still missing after apt-get install: %s' % ', '.join(missing(programs)))


class DisabledServices(object):
    """Keeps systemd units, and the init scripts of the same names, stopped in its block, and then
    disables them.

    With systemd, the units are masked in the block, which the packages' scripts respect. Without
    it, the packages start init scripts if a run level is set, and these scripts are stopped again.
    """

    def __init__(self, units, call=subprocess.call, systemd='/run/systemd/system',
                 scripts='/etc/init.d'):
        self._units = units
        self._has_systemd = os.path.isdir(systemd)
        self._scripts = scripts
        self._call = call

    def __enter__(self):
        if self._has_systemd and self._units:
            self._run('systemctl', 'mask', '--runtime', *self._units)

    def __exit__(self, *failure):
        if not self._units:
            return
        if self._has_systemd:
            self._run('systemctl', 'unmask', '--runtime', *self._units)
            self._run('systemctl', 'disable', '--now', *self._units)
            return
        for script in [unit[:-len('.service')] for unit in self._units
                       if unit.endswith('.service')]:
            if os.path.exists(os.path.join(self._scripts, script)):
                self._run(os.path.join(self._scripts, script), 'stop')
                self._run('update-rc.d', script, 'disable')

    def _run(self, *command):
        # Not every release of a package has each unit, so a failure is ignored.
        self._call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def unpack_daemon(folder):
    """Unpack a Docker daemon into `folder`, as `unpack` does."""
    unpack(folder, DAEMON + ([_COMMAND] if toolchain.debian_has(_COMMAND) else []))


def unpack(folder, packages):
    """Unpack Debian packages into `folder`, emptied before, without installing them. Raise
    SetupError if there is no apt-get."""
    if not (shutil.which('apt-get') and shutil.which('dpkg-deb')):
        raise SetupError('%s: only Debian has these packages, and this system has no apt-get'
                         % ' '.join(packages))
    echo('.local/%s: unpacking %s' % (os.path.basename(folder), ' '.join(packages)))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with tempfile.TemporaryDirectory() as downloads:
        os.chmod(downloads, 0o777)  # apt-get downloads as another user
        _download(packages, downloads)
        for archive in sorted(glob.glob(os.path.join(downloads, '*.deb'))):
            run(['dpkg-deb', '-x', archive, folder], 'apt.log')


def _download(packages, folder):
    command = ['sh', '-c', 'cd "$0" && exec apt-get download "$@"', folder] + packages
    try:
        run(command, 'apt.log')
    except SetupError:  # the package lists are missing or stale
        if not toolchain.may_install():
            raise
        run(['apt-get', 'update'], 'apt.log')
        run(command, 'apt.log')
