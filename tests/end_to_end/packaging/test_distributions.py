"""The source package and the two wheels: built from this checkout, installed into empty
environments without any index."""
import email
import glob
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
import setuptools

from dev.servers.process import LOCAL, ROOT
from dev.setup import toolchain
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.docs import pages

PYTHON27 = os.path.join(LOCAL, 'py27', 'bin', 'python')
NAME = 'docker-registry-index-dynamodb'
SERVICE = 'docker_registry_index/service/'
OFFLINE = ['--disable-pip-version-check', '--no-index', '--no-deps']
LOCKS = {'2.7': 'registry-py27.txt', '3.9': 'test-py3.txt', '3.13': 'test-py3.txt'}
NO_WARNING = {'PIP_NO_PYTHON_VERSION_WARNING': '1'}
#: Where the packages are that the command needs and the empty environments lack.
DEPENDENCIES = {'2': os.path.join(LOCAL, 'py27', 'lib', 'python2.7', 'site-packages'),
                '3': os.path.dirname(os.path.dirname(pytest.__file__))}
#: What builds the package in these environments.
BUILDING = {'2': NO_WARNING,
            '3': {'PYTHONPATH': os.path.dirname(os.path.dirname(setuptools.__file__))}}


def outcome(*command, **environment):
    """Run a command and return its status and its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=dict(os.environ, **environment), cwd=os.path.sep)
    return done.returncode, done.stdout


def run(*command, **environment):
    """Run a command and return its output; its output is the failure's text."""
    status, output = outcome(*command, **environment)
    assert status == 0, '%s\n%s' % (' '.join(command), output)
    return output.strip()


VERSION = re.search("__version__ = '(.+)'", pages.read('docker_registry_index/__init__.py'))[1]


def files_below(package):
    """Return the paths of all files of a package but compiled modules, from its own folder on."""
    found = []
    for folder, _, files in os.walk(package):
        found += [os.path.relpath(os.path.join(folder, name), os.path.dirname(package))
                  for name in files if not name.endswith(('.pyc', '.pyo'))]
    return sorted(found)


def files(major='3'):
    """Return the paths of all files of the package in this checkout that are for one Python."""
    found = files_below(os.path.join(ROOT, 'docker_registry_index'))
    return [path for path in found if major == '3' or not path.startswith(SERVICE)]


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Build as `make dist` does, in a copy of the checkout; return the folder of what came out."""
    left_out = shutil.ignore_patterns('.git', '.local', 'build', 'dist', '*.egg-info',
                                      '__pycache__', '*.pyc')
    checkout = shutil.copytree(ROOT, str(tmp_path_factory.mktemp('built') / 'checkout'),
                               ignore=left_out)
    os.symlink(LOCAL, os.path.join(checkout, '.local'))
    # --assume-old: the set-up is not run, for all of it is there.
    run('make', '--directory', checkout, '--assume-old', 'setup-dist', 'dist', **NO_WARNING)
    return tmp_path_factory.getbasetemp().joinpath(checkout, 'dist')


@pytest.fixture(scope='module')
def wheels(built):
    """The wheels, by the major version of their Python."""
    return {re.search('-py([^-]+)-none-any[.]whl$', path.name)[1]: path
            for path in built.glob('*.whl')}


@pytest.fixture(scope='module')
def sdist(built):
    [path] = built.glob('*.tar.gz')
    return path


@pytest.fixture(scope='module')
def metadata(wheels):
    """The metadata of both wheels, by the major version of their Python."""
    return {major: metadata_of(wheel) for major, wheel in wheels.items()}


def metadata_of(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return email.message_from_string(archive.read(name).decode('utf-8'))


@pytest.fixture(scope='module', params=['2', '3'])
def environment(request, tmp_path_factory):
    """The major version and the Python of an environment without any of the project's
    dependencies."""
    folder = tmp_path_factory.mktemp('environment')
    python = str(folder / 'bin' / 'python')
    if request.param == '2':  # comes with the setuptools and wheel of its time
        run(os.path.join(LOCAL, 'tools', 'bin', 'virtualenv'), '--python', PYTHON27, str(folder))
    else:
        run(sys.executable, '-m', 'venv', str(folder))
    return request.param, python


def assert_installed(major, python):
    """Assert that an environment has the package for its Python; return the package's folder."""
    version, package = run(
        python, '-c', 'import os, docker_registry_index as it; print(it.__version__); '
        'print(os.path.dirname(it.__file__))', PYTHONPATH='').splitlines()
    assert version == VERSION
    assert files_below(package) == files(major)
    return package


@pytest.mark.parametrize('major', ['2', '3'])
def test_a_wheel_holds_every_file_for_its_python_and_the_license(wheels, major):
    assert sorted(wheels) == ['2', '3']
    assert wheels[major].name == '%s-%s-py%s-none-any.whl' % (
        NAME.replace('-', '_'), VERSION, major)
    own = set(files('3')) - set(files('2'))
    assert {os.path.splitext(path)[1] for path in own} >= {'.py', '.html', '.css', '.js'}
    with zipfile.ZipFile(str(wheels[major])) as archive:
        names = archive.namelist()
    assert sorted(name for name in names if '.dist-info/' not in name) == files(major)
    assert any(os.path.basename(name) == 'LICENSE' for name in names)


def test_the_source_package_holds_all_it_builds_from_and_all_that_its_pages_link_to(sdist):
    with tarfile.open(str(sdist)) as archive:
        texts = {os.path.relpath(member.name, sdist.name[:-len('.tar.gz')]):
                 archive.extractfile(member).read() for member in archive if member.isfile()}
    assert set(texts) >= set(files() + [
        'setup.py', 'setup.cfg', 'README.md', 'LICENSE', 'CHANGELOG.md', 'docs/settings.md',
        'config/config_dynamo.yml', 'requirements/registry-py27.txt'])
    assert b'Apache License' in texts['LICENSE']
    for page in sorted(name for name in texts if name.endswith('.md')):
        for target in re.findall(r'\]\(([^)#]+)', texts[page].decode()):
            path = os.path.normpath(os.path.join(os.path.dirname(page), target))
            assert '://' in target or path in texts or any(
                name.startswith(path + '/') for name in texts), '%s in %s' % (target, page)


def test_the_metadata_has_what_a_package_index_shows(metadata):
    for each in metadata.values():
        assert (each['Name'], each['Version']) == (NAME, VERSION)
        assert each['Description-Content-Type'] == 'text/markdown'
        text = each.get_payload() or each['Description']
        assert pages.read('README.md').splitlines()[0] in text


@pytest.mark.parametrize('python, major', [
    ('2.6.9', None), ('2.7.18', '2'), ('3.0', None), ('3.8.18', None), ('3.9.0', '3'),
    ('3.13.1', '3')])
def test_each_python_it_runs_on_has_one_wheel_that_installs_on_it(metadata, python, major):
    suited = [each for each in sorted(metadata) if Requirement(
        'python' + metadata[each]['Requires-Python']).specifier.contains(python)]
    assert suited == [major] * bool(major)


def requirements(metadata, **environment):
    """Return the requirements of a wheel that hold in an environment of markers, by name."""
    found = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    return {each.name: each for each in found if each.marker is None
            or each.marker.evaluate(dict({'extra': ''}, **environment))}


def locked(name):
    """Return the versions in a file of requirements/, by normalized name of the package."""
    return {canonicalize_name(package): version for package, version in re.findall(
        r'(?m)^([^#=\s]+)==([^;\s]+)', pages.read('requirements/' + name))}


def assert_tested(wanted, versions):
    """Assert that the versions that the tests install are among those that are wanted."""
    assert all(each.specifier.contains(versions[canonicalize_name(name)])
               for name, each in wanted.items())


@pytest.mark.parametrize('python', sorted(LOCKS))
def test_it_requires_three_packages_in_versions_that_are_tested(metadata, python):
    wanted = requirements(metadata[python[0]], python_version=python)
    assert list(wanted) == ['boto3', 'click', 'PyYAML']
    assert_tested(wanted, locked(LOCKS[python]))


def test_the_extra_of_the_service_requires_versions_that_are_tested(metadata):
    assert metadata['3'].get_all('Provides-Extra') == ['service']
    assert metadata['2'].get_all('Provides-Extra') is None
    for python, name in ('3.9', 'test-py3.txt'), ('3.13', 'service-py3.txt'):
        wanted = requirements(metadata['3'], python_version=python, extra='service')
        assert {'boto3', 'click', 'Flask', 'waitress'} < set(wanted)
        assert_tested(wanted, locked(name))


def test_the_wheel_for_its_python_installs_and_its_command_runs(wheels, environment):
    major, python = environment
    [other] = set(wheels) - {major}
    status, output = outcome(python, '-m', 'pip', 'install', *OFFLINE + [str(wheels[other])])
    assert status != 0 and 'is not a supported wheel' in output
    run(python, '-m', 'pip', 'install', *OFFLINE + [str(wheels[major])])
    run(python, '-m', 'compileall', '-q', '-f', assert_installed(major, python))
    command = os.path.join(os.path.dirname(python), 'docker-registry-index')
    variables = {'PYTHONPATH': DEPENDENCIES[major]}
    assert 'serve' in run(command, '--help', **variables)
    status, output = outcome(command, 'serve', **variables)
    assert status == 2
    if major == '2':
        assert output.splitlines()[-1].startswith(
            'Error: the service needs Python 3.9 or later and more packages (')
    else:
        assert 'registry_url' in output.lower()


def interpreter(version):
    """Return the path of the Python of a version, from the PATH or pyenv; without it, skip the
    test, or fail it in CI."""
    name = 'python' + version
    pyenv = sorted(glob.glob(os.path.join(toolchain.PYENV, version + '.*', 'bin', name)))
    for path in [PYTHON27] if version == '2.7' else pyenv + [shutil.which(name)]:
        if path and outcome(path, '--version')[0] == 0:
            return path
    (pytest.fail if os.environ.get('CI') else pytest.skip)(
        'Python %s is missing: put %s on the PATH, or run pyenv install %s' % (
            version, name, version))


@pytest.mark.parametrize('version', ['2.7', '3.9', '3.13'])
def test_both_packages_install_with_their_dependencies_into_an_empty_environment(
        wheels, sdist, tmp_path, version):
    python, major = str(tmp_path / 'bin' / 'python'), version[0]
    creator = ([os.path.join(LOCAL, 'tools', 'bin', 'virtualenv'), '--python']
               if major == '2' else [])
    chosen = interpreter(version)
    run(*creator + [chosen] + ['-m', 'venv'] * (major == '3') + [str(tmp_path)])
    extra = '[service]' * (major == '3')
    pip = [python, '-m', 'pip', '--disable-pip-version-check', 'install']
    for package in wheels[major], sdist:
        run(*pip + [str(package) + extra], **NO_WARNING)
        run(python, '-m', 'pip', 'check', **NO_WARNING)
        package_folder = assert_installed(major, python)
        status, output = outcome(str(tmp_path / 'bin' / 'docker-registry-index'), 'serve',
                                 PYTHONPATH='')
        assert status == 2 and ('REGISTRY_URL' in output) == (major == '3'), output
        assert package_folder.startswith(str(tmp_path))
        run(python, '-m', 'pip', 'uninstall', '--yes', NAME, **NO_WARNING)


def test_a_package_index_accepts_the_packages(wheels, sdist):
    output = run(sys.executable, '-m', 'twine', '--no-color', 'check', '--strict',
                 *map(str, [sdist, *wheels.values()]))
    assert output.count(': PASSED') == 3, output


def test_the_source_package_installs_what_is_for_its_python(sdist, environment):
    major, python = environment
    run(python, '-m', 'pip', 'install', '--no-build-isolation', '--force-reinstall',
        *OFFLINE + [str(sdist)], **BUILDING[major])
    assert_installed(major, python)
