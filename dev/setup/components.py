"""Set up the components in .local/, on behalf of dev/bootstrap, which finds a Python 3 for it.

usage: python -m dev.setup.components [COMPONENT...]

Each component has a stamp, a hash of everything that its contents depend on. A component whose
stamp is unchanged is not set up again.
"""
import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from dev.servers import public_images
from dev.servers.process import LOCAL, ROOT
from dev.setup import base_images, debian_packages, toolchain
from dev.setup.console import SetupError, echo, run

_REGISTRY_V3 = 'github.com/distribution/distribution/v3/cmd/registry'


def _path(*names):
    return os.path.join(LOCAL, *names)


def _lock_file(name):
    return os.path.join(ROOT, 'requirements', name)


def _stamp_of(*files):
    """Return a hash of the contents of files, without the lines that begin with #."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, 'rb') as content:
            digest.update(b''.join(line for line in content if not line.startswith(b'#')))
    return digest.hexdigest()


def _is_up_to_date(component, *stamp):
    try:
        with open(_path(component, 'stamp')) as written:
            return written.read() == '\n'.join(stamp)
    except FileNotFoundError:
        return False


def _write_stamp(component, *stamp):
    with open(_path(component, 'stamp'), 'w') as written:
        written.write('\n'.join(stamp))


def _create_environment(component, locks, chosen, find, maker):
    """Create the Python environment .local/COMPONENT again, unless it works and has the same stamp.

    locks: the names of its lock files. chosen: the interpreter that the user has chosen, or None.
    find: a function that returns the interpreter to use.
    maker: a function of the path of the interpreter, which returns the command that creates an
    environment, without the folder as the last argument.
    """
    stamp, interpreter = _stamp_of(*map(_lock_file, locks)), _path(component, 'bin', 'python')
    wanted = ([os.path.realpath(shutil.which(chosen) or chosen)] if chosen
              else _written_interpreter(component))
    if _is_up_to_date(component, stamp, *wanted) and subprocess.call([interpreter, '-c', '']) == 0:
        return
    python = find()
    echo('.local/%s: installing requirements/%s (%s)' % (component, ', requirements/'.join(locks),
                                                         python))
    shutil.rmtree(_path(component), ignore_errors=True)
    run(maker(python) + [_path(component)], 'bootstrap-%s.log' % component)
    for name in locks:  # one by one: pip wants hashes for all packages or for none
        _pip(component, '--no-deps', '-r', _lock_file(name))
    _write_stamp(component, stamp, os.path.realpath(python))


def _written_interpreter(component):
    try:
        with open(_path(component, 'stamp')) as written:
            return written.read().split('\n')[1:]
    except FileNotFoundError:
        return []


def _pip(component, *arguments):
    # PIP_NO_PYTHON_VERSION_WARNING: Python 2.7 is used on purpose.
    run([_path(component, 'bin', 'python'), '-m', 'pip', 'install', '--disable-pip-version-check']
        + list(arguments), 'bootstrap-%s.log' % component, PIP_NO_PYTHON_VERSION_WARNING='1')


def _python3_environment(component, *locks, minimum=(3, 9)):
    chosen = os.environ.get('PYTHON3')
    # If the chosen Python is too old for this component, another one is used.
    if chosen and not toolchain.is_python3(chosen, minimum):
        chosen = None
    _create_environment(component, locks, chosen, lambda: toolchain.python3(minimum),
                        lambda python: [python, '-m', 'venv'])


def py27():
    """Set up docker-registry, this package and the tools of its tests on Python 2.7."""
    def find():
        python = toolchain.python27()
        toolchain.require_compilers()
        _python3_environment('tools', 'tools.txt')
        return python
    _create_environment(
        'py27', ['registry-py27.txt', 'test-py27.txt'], os.environ.get('PYTHON27'), find,
        lambda python: [_path('tools', 'bin', 'virtualenv'), '--quiet', '--python', python])
    stamp = _stamp_of(*[os.path.join(ROOT, name) for name in (
        'setup.py', 'setup.cfg', 'docker_registry_index/__init__.py')])
    if not _is_up_to_date('py27/bin', stamp, ROOT):
        echo('.local/py27: installing this checkout, editable')
        _pip('py27', '--no-deps', '--editable', ROOT)
        _write_stamp('py27/bin', stamp, ROOT)


def py3():
    """Set up the requirements of lint and tests on Python 3."""
    _python3_environment('py3', 'test-py3.txt')


def aws():
    """Set up the local AWS: ministack, which needs Python 3.10."""
    _python3_environment('aws', 'local-aws.txt', minimum=(3, 10))


def templates():
    """Set up the tools that check the templates in config/."""
    _python3_environment('templates', 'templates-py3.txt')


def dynamodb_local():
    """Set up Amazon's DynamoDB Local from Maven Central."""
    files = [os.path.join(ROOT, 'dev', 'setup', 'dynamodb_local', name)
             for name in ('pom.xml', 'LoopbackDynamoDB.java')]
    stamp = _stamp_of(*files)
    if _is_up_to_date('dynamodb-local', stamp):
        return
    if not _try_set_up(toolchain.require_java_and_maven, 'DynamoDB Local'):
        return
    echo('.local/dynamodb-local: fetching it with Maven')
    shutil.rmtree(_path('dynamodb-local'), ignore_errors=True)
    jars = _path('dynamodb-local', 'lib')
    run(['mvn', '--batch-mode', '--file', files[0], 'dependency:copy-dependencies',
         '-DincludeScope=runtime', '-DoutputDirectory=' + jars], 'bootstrap-dynamodb-local.log')
    run(['javac', '-cp', os.path.join(jars, '*'), '-d', _path('dynamodb-local'), files[1]],
        'bootstrap-dynamodb-local.log')
    _write_stamp('dynamodb-local', stamp)


def clients():
    """Set up the registry, nginx, skopeo and podman as Debian packages, a Docker daemon in
    .local/dockerd, and crane, built with Go."""
    _try_set_up(lambda: debian_packages.install(debian_packages.PROGRAMS),
                'The registry or a client of it')
    if not _is_up_to_date('dockerd', *debian_packages.DAEMON) and _try_set_up(
            lambda: debian_packages.unpack_daemon(_path('dockerd')), 'The Docker daemon'):
        _write_stamp('dockerd', *debian_packages.DAEMON)
    crane = 'github.com/google/go-containerregistry/cmd/crane@v0.20.2'
    _try_set_up(lambda: _build_with_go('crane', crane), 'crane')


def base_images_of_debian():
    """Set up the base images of the Dockerfiles, for `make test-images` only."""
    stamp = _stamp_of(base_images.__file__)
    if not _is_up_to_date('base-images', stamp) and _try_set_up(
            lambda: base_images.make_all(_path('base-images')), 'A base image'):
        _write_stamp('base-images', stamp)


def promtool():
    """Set up Prometheus's promtool, which checks config/alarms.yml."""
    if not _is_up_to_date('promtool', *debian_packages.PROMTOOL) and _try_set_up(
            lambda: debian_packages.unpack(_path('promtool'), debian_packages.PROMTOOL),
            'promtool'):
        _write_stamp('promtool', *debian_packages.PROMTOOL)


def browser():
    """Set up Chromium, for the tests of the search page and for its screenshots."""
    _try_set_up(toolchain.require_chromium, 'Chromium')


def lock():
    """Set up the tools of `make lock`."""
    _python3_environment('lock', 'lock.txt')


def distribution_v3():
    """Set up the registry of version 3, built with Go, for `make test-v3` only."""
    _build_with_go('distribution-v3', _REGISTRY_V3 + '@v3.0.0')


def distribution_v3_1():
    """Set up the last release of version 3, in addition."""
    _build_with_go('distribution-v3.1', _REGISTRY_V3 + '@v3.1.1')


def actionlint():
    """Set up actionlint, which checks .github/workflows, built with Go."""
    _try_set_up(lambda: _build_with_go(
        'actionlint', 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12'), 'actionlint')


def docker_compose():
    """Set up Docker Compose, built with Go, for `make test-images` only."""
    debian_packages.install(public_images.PROGRAMS)
    _build_with_go('docker-compose', 'github.com/docker/compose/v2/cmd@v2.40.3')


def _build_with_go(component, package):
    """Build PATH@VERSION of a program as .local/COMPONENT/COMPONENT, or under the last name in its
    path, unless this name is cmd."""
    if _is_up_to_date(component, package):
        return
    toolchain.require_go()
    echo('.local/%s: building %s with Go, which takes minutes' % (component, package))
    name = os.path.basename(package.partition('@')[0])
    program = _path(component, component if name == 'cmd' else name)
    # In a module of its own: `go install` refuses modules that exclude versions of others.
    with tempfile.TemporaryDirectory() as module:
        for command in (['mod', 'init', 'build'], ['get', package],
                        ['build', '-o', program, package.partition('@')[0]]):
            run(['go', '-C', module] + command, 'bootstrap-%s.log' % component,
                GOFLAGS='-mod=mod')
    _write_stamp(component, package)


def _try_set_up(action, what):
    """Run the action, and return True. If it fails, print that its tests are skipped and return
    False; in CI, raise the error."""
    try:
        action()
        return True
    except SetupError as error:
        if os.environ.get('CI'):
            raise
        echo('%s is missing, and its tests are skipped: %s' % (what, error))
        return False


COMPONENTS = {'py27': py27, 'aws': aws, 'py3': py3, 'dynamodb-local': dynamodb_local,
              'clients': clients, 'browser': browser, 'templates': templates,
              'actionlint': actionlint, 'promtool': promtool}
#: The components that only some targets of make need.
OPTIONAL = {'base-images': base_images_of_debian, 'lock': lock,
            'distribution-v3': distribution_v3, 'distribution-v3.1': distribution_v3_1,
            'docker-compose': docker_compose}


def main(arguments):
    parser = argparse.ArgumentParser(prog='dev/bootstrap',
                                     description='Set up what this project needs under .local/.')
    every = dict(COMPONENTS, **OPTIONAL)
    parser.add_argument('components', metavar='COMPONENT', nargs='*',
                        help='one of %s; by default, all but %s' % (
                            ', '.join(every), ', '.join(OPTIONAL)))
    chosen = parser.parse_args(arguments).components
    missing = [component for component in chosen if component not in every]
    if missing:
        parser.error('there is no component %s; components: %s' % (', '.join(missing),
                                                                   ', '.join(every)))
    os.makedirs(_path('logs'), exist_ok=True)
    with open(_path('lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one set-up at a time
        for component in chosen or COMPONENTS:
            every[component]()
    echo('ready: %s' % ', '.join(chosen or COMPONENTS))


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except SetupError as problem:
        sys.exit('dev/bootstrap: %s' % problem)
    except KeyboardInterrupt:
        sys.exit(130)
