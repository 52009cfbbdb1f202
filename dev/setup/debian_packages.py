"""Install the programs that are tested with the service: the registry, nginx, skopeo, podman, and
a Docker daemon, which is only unpacked.

A Debian package starts its services. Services of new packages are kept from starting here, also at
the next boot. Services that were installed before are not changed.
"""
import glob
import os
import shutil
import subprocess
import tempfile

from dev.servers.programs import is_missing
from dev.setup import toolchain
from dev.setup.console import SetupError, echo, run

__all__ = ['PROGRAMS', 'DAEMON', 'DisabledServices', 'missing', 'install', 'unpack_daemon']

#: Debian packages, each with the program it is wanted for. crun: podman needs a runtime even for a
#: search.
PROGRAMS = {'docker-registry': 'docker-registry', 'skopeo': 'skopeo', 'podman': 'podman',
            'nginx-light': 'nginx', 'crun': 'crun'}
#: The daemon, what it starts, and the command where Debian keeps it apart.
DAEMON = ['docker.io', 'containerd', 'runc', 'tini']
_COMMAND = 'docker-cli'

_SERVICES = {
    'docker-registry': ['docker-registry.service'],
    'nginx-light': ['nginx.service'],
    'podman': ['podman.socket', 'podman.service', 'podman-restart.service',
               'podman-auto-update.timer', 'podman-auto-update.service'],
}


def missing():
    """Return the packages whose programs are not installed."""
    return [package for package in sorted(PROGRAMS) if is_missing(PROGRAMS[package])]


def install():
    """Install the missing packages, and leave none of their services running. Without the rights
    to do so, raise SetupError with their names."""
    packages = missing()
    if not packages:
        return
    if not toolchain.may_install():
        raise SetupError('missing: %s. On Debian, as root: apt-get install %s'
                         % (', '.join(packages), ' '.join(packages)))
    with DisabledServices([unit for package in packages for unit in _SERVICES.get(package, [])]):
        toolchain.install(packages)
    if missing():
        raise SetupError('still missing after apt-get install: %s' % ', '.join(missing()))


class DisabledServices(object):
    """Inside, these systemd units and the init scripts of the same names do not stay started;
    after, they are disabled.

    Under systemd they are masked until the end of the boot, which the packages' own scripts
    respect. Without it, the packages start init scripts where the run level is set, and these are
    stopped again.
    """

    def __init__(self, units, call=subprocess.call, systemd='/run/systemd/system',
                 scripts='/etc/init.d'):
        self._units = units
        self._has_systemd = os.path.isdir(systemd)
        self._scripts = scripts
        self._call = call

    def __enter__(self):
        if self._has_systemd and self._units:
            self._try('systemctl', 'mask', '--runtime', *self._units)

    def __exit__(self, *failure):
        if not self._units:
            return
        if self._has_systemd:
            self._try('systemctl', 'unmask', '--runtime', *self._units)
            self._try('systemctl', 'disable', '--now', *self._units)
            return
        for script in [unit[:-len('.service')] for unit in self._units
                       if unit.endswith('.service')]:
            if os.path.exists(os.path.join(self._scripts, script)):
                self._try(os.path.join(self._scripts, script), 'stop')
                self._try('update-rc.d', script, 'disable')

    def _try(self, *command):
        # Not every release of a package has each unit, so a failure is ignored.
        self._call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def unpack_daemon(folder):
    """Unpack a Docker daemon into `folder`, made anew, without installing it; SetupError where
    there is no apt-get."""
    if not (shutil.which('apt-get') and shutil.which('dpkg-deb')):
        raise SetupError('the Docker daemon comes from Debian packages, but this system has '
                         'no apt-get')
    packages = DAEMON + ([_COMMAND] if toolchain.debian_has(_COMMAND) else [])
    echo('.local/dockerd: unpacking %s' % ' '.join(packages))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    with tempfile.TemporaryDirectory() as downloads:
        os.chmod(downloads, 0o777)  # apt-get downloads as a user of its own
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
