"""Finds the programs that the set-up needs; installs missing ones on Debian, as root."""
import glob
import os
import shutil
import subprocess
import sys

from dev.setup.console import SetupError, echo, run

PYENV = os.path.join(os.environ.get('PYENV_ROOT') or os.path.expanduser('~/.pyenv'), 'versions')


def _succeeds(*command):
    try:
        return subprocess.call(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def _first(candidates, suits):
    paths = (shutil.which(candidate) for candidate in candidates if candidate)
    return next((path for path in paths if path and suits(path)), None)


def may_install():
    """Return True if Debian packages can be installed here."""
    return os.geteuid() == 0 and shutil.which('apt-get') is not None


def install(packages):
    """Install Debian packages; raise SetupError if apt-get fails."""
    echo('apt-get install %s' % ' '.join(packages))
    command = ['apt-get', 'install', '-y', '--no-install-recommends'] + packages
    try:
        run(command, 'apt.log', DEBIAN_FRONTEND='noninteractive')
    except SetupError:  # the package lists are missing or stale
        echo('apt-get update')
        run(['apt-get', 'update'], 'apt.log')
        run(command, 'apt.log', DEBIAN_FRONTEND='noninteractive')


def require(what, is_there, packages, otherwise=''):
    """Install Debian packages unless `is_there()` returns True. Without the rights to do so, raise
    SetupError, which states what to do."""
    if is_there():
        return
    if not may_install():
        raise SetupError(('%s is missing. On Debian, as root: apt-get install %s. %s'
                          % (what, ' '.join(packages), otherwise)).rstrip())
    install(packages)
    if not is_there():
        raise SetupError(('%s is still missing after apt-get install %s. %s'
                          % (what, ' '.join(packages), otherwise)).rstrip())


def is_python3(path, minimum):
    """Return True if this is a Python 3, `minimum` or later, that can create environments."""
    return _succeeds(path, '-c', 'import sys, venv, ensurepip; sys.exit(sys.version_info < %r)'
                     % (minimum,))


def python3(minimum=(3, 9)):
    """Return the path of a Python 3, `minimum` or later: PYTHON3, the running one, or another."""
    def find():
        named = ['python3.%d' % minor for minor in range(14, 8, -1)]
        pyenv = sorted(glob.glob(os.path.join(PYENV, '3.*/bin/python3')), reverse=True)
        return _first([os.environ.get('PYTHON3'), sys.executable, 'python3'] + named + pyenv,
                      lambda path: is_python3(path, minimum))

    require('Python %d.%d or later with venv' % minimum, find, ['python3', 'python3-venv'],
            'Or name one: PYTHON3=/path/to/python3.')
    return find()


def _is_python27(path):
    return _succeeds(path, '-c',
                     'import os, sys, sysconfig; headers = sysconfig.get_path("include")\n'
                     'sys.exit(sys.version_info[:2] != (2, 7) or not os.path.exists(headers + '
                     '"/Python.h"))')


def python27():
    """Return the path of a Python 2.7 with its C headers: PYTHON27, python2.7 on the PATH, or
    pyenv's."""
    def find():
        pyenv = sorted(glob.glob(os.path.join(PYENV, '2.7.*/bin/python2.7')), reverse=True)
        return _first(['python2.7', '/usr/bin/python2.7'] + pyenv, _is_python27)

    chosen = os.environ.get('PYTHON27')
    if chosen and not _is_python27(chosen):
        raise SetupError('PYTHON27=%s is not a Python 2.7 with C headers (Debian: '
                         'python2.7-dev)' % chosen)
    if not (chosen or find() or debian_has('python2.7-dev')):
        raise SetupError('Python 2.7 is missing, and this system has no package for it (Debian 12 '
                         'and later have none). Build it with pyenv '
                         '(https://github.com/pyenv/pyenv): pyenv install 2.7.18; or name one: '
                         'PYTHON27=/path/to/python2.7')
    if not chosen:
        require('Python 2.7 with its C headers', find, ['python2.7', 'python2.7-dev'],
                'Or name one: PYTHON27=/path/to/python2.7.')
    return chosen or find()


def debian_has(package):
    """Return True if this system can install a package. As root, update the package lists before
    returning False."""
    if may_install() and not _succeeds('apt-cache', 'show', package):
        run(['apt-get', 'update'], 'apt.log')
    return _succeeds('apt-cache', 'show', package)


def require_compilers():
    """Make sure that the requirements of docker-registry can be compiled: M2Crypto (swig, OpenSSL)
    and backports.lzma (liblzma)."""
    def are_there():
        programs = [shutil.which(program) for program in ('swig', 'cc', 'make')]
        headers = [glob.glob('/usr/include/' + header) + glob.glob('/usr/local/include/' + header)
                   for header in ('openssl/ssl.h', 'lzma.h')]
        return all(programs) and all(headers)
    require('swig, a C compiler or a header of OpenSSL or liblzma', are_there,
            ['swig', 'libssl-dev', 'liblzma-dev', 'build-essential'])


def require_java_and_maven():
    """Make sure that a Java development kit, 17 or later, and Maven are installed."""
    def has_java_17():
        if not (shutil.which('javac') and shutil.which('java')):
            return False
        version = subprocess.run(['javac', '-version'], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True).stdout
        return int((version.split() + ['0'])[1].split('.')[0]) >= 17
    needs_21 = may_install() and not has_java_17() and not debian_has('openjdk-17-jdk-headless')
    require('A Java development kit, 17 or later,', has_java_17,
            ['openjdk-21-jdk-headless' if needs_21 else 'openjdk-17-jdk-headless'])
    require('Maven', lambda: shutil.which('mvn'), ['maven'])


def require_go():
    """Make sure that Go is installed."""
    require('Go 1.25 or later', lambda: shutil.which('go'), ['golang-go'])


def require_chromium():
    """Make sure that Chromium and a font are installed."""
    require('Chromium', lambda: shutil.which('chromium'), ['chromium', 'fonts-dejavu-core'])
