"""The wheel and the source package: built from this checkout, installed into empty environments of both Pythons without any index."""
import ast
import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest
from packaging.requirements import Requirement

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCAL = os.path.join(ROOT, '.local')
NAME = 'docker-registry-index-dynamodb'
OFFLINE = ['--disable-pip-version-check', '--no-index', '--no-deps']
LOCKS = {'2.7': 'registry-py27.txt', '3.9': 'test-py3.txt', '3.13': 'test-py3.txt'}


def run(*command, **environment):
    """Run a command and return its output; its output is the failure's text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, **environment), cwd=os.path.sep)
    assert done.returncode == 0, '%s\n%s' % (' '.join(command), done.stdout)
    return done.stdout


def stated_version():
    with open(os.path.join(ROOT, 'docker_registry_index', '__init__.py')) as source:
        return re.search("__version__ = '(.+)'", source.read()).group(1)


def modules():
    """Return the paths of all modules of the package in this checkout."""
    found = []
    for folder, _, files in os.walk(os.path.join(ROOT, 'docker_registry_index')):
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in files if name.endswith('.py')]
    return sorted(found)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """Build the source package from a copy of the checkout and the wheel from the source package; return the folder of both."""
    folder = tmp_path_factory.mktemp('built')
    left_out = shutil.ignore_patterns('.git', '.local', 'build', 'dist', '*.egg-info', '__pycache__', '*.pyc')
    checkout = shutil.copytree(ROOT, str(folder / 'checkout'), ignore=left_out)
    run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', str(folder / 'dist'), checkout)
    return folder / 'dist'


@pytest.fixture(scope='module')
def wheel(built):
    return next(built.glob('*.whl'))


@pytest.fixture(scope='module')
def sdist(built):
    return next(built.glob('*.tar.gz'))


@pytest.fixture(scope='module')
def metadata(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return email.message_from_string(archive.read(name).decode('utf-8'))


@pytest.fixture(params=['2.7', '3'])
def empty_environment(request, tmp_path):
    """Return the interpreter of a new environment, without any of the project's dependencies, and the variables for building in it."""
    if request.param == '2.7':  # comes with the setuptools and wheel of its time
        run(os.path.join(LOCAL, 'tools', 'bin', 'virtualenv'), '--python', os.path.join(LOCAL, 'py27', 'bin', 'python'), str(tmp_path / 'environment'))
        return str(tmp_path / 'environment' / 'bin' / 'python'), {'PIP_NO_PYTHON_VERSION_WARNING': '1'}
    run(sys.executable, '-m', 'venv', str(tmp_path / 'environment'))
    import setuptools
    return str(tmp_path / 'environment' / 'bin' / 'python'), {'PYTHONPATH': os.path.dirname(os.path.dirname(setuptools.__file__))}


def imported_version(python):
    return run(python, '-c', 'import docker_registry_index as it; print(it.__version__)', PYTHONPATH='').strip()


def test_the_wheel_is_universal(wheel):
    assert wheel.name == '%s-%s-py2.py3-none-any.whl' % (NAME.replace('-', '_'), stated_version())


def test_the_wheel_holds_every_module_and_nothing_else(wheel):
    with zipfile.ZipFile(str(wheel)) as archive:
        assert sorted(name for name in archive.namelist() if '.dist-info/' not in name) == modules()


def test_both_carry_the_license(wheel, sdist):
    with zipfile.ZipFile(str(wheel)) as archive:
        assert any(os.path.basename(name) == 'LICENSE' for name in archive.namelist())
    with tarfile.open(str(sdist)) as archive:
        assert 'Apache License' in archive.extractfile('%s/LICENSE' % sdist.name[:-len('.tar.gz')]).read().decode()


def test_the_source_package_holds_all_it_builds_from(sdist):
    folder = sdist.name[:-len('.tar.gz')]
    with tarfile.open(str(sdist)) as archive:
        names = set(os.path.relpath(name, folder) for name in archive.getnames())
    texts = ['README.md', 'LICENSE', 'CHANGELOG.md', 'config/config_dynamo.yml', 'requirements/registry-py27.txt']
    assert names >= set(modules() + ['setup.py', 'setup.cfg'] + texts)


def test_the_links_of_the_pages_lead_to_files_of_the_source_package(sdist):
    with tarfile.open(str(sdist)) as archive:
        names = set(archive.getnames())
        assert '%s/docs/settings.md' % sdist.name[:-len('.tar.gz')] in names
        for page in sorted(name for name in names if name.endswith('.md')):
            for target in re.findall(r'\]\(([^)#]+)', archive.extractfile(page).read().decode()):
                path = os.path.normpath(os.path.join(os.path.dirname(page), target))
                assert '://' in target or path in names, '%s in %s' % (target, page)


def test_the_metadata_has_what_an_index_shows(metadata):
    assert (metadata['Name'], metadata['Version']) == (NAME, stated_version())
    assert metadata['Description-Content-Type'] == 'text/markdown'
    with open(os.path.join(ROOT, 'README.md'), encoding='utf-8') as readme:
        assert readme.readline().strip() in metadata.get_payload()


@pytest.mark.parametrize('python, allowed', [('2.7.18', True), ('3.0', False), ('3.6.15', False), ('3.8.18', False), ('3.9.0', True), ('3.13.1', True)])
def test_it_installs_on_the_pythons_it_runs_on(metadata, python, allowed):
    assert Requirement('python' + metadata['Requires-Python']).specifier.contains(python) is allowed


@pytest.mark.parametrize('python', sorted(LOCKS))
def test_it_pulls_little_and_versions_that_are_tested(metadata, python):
    wanted = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    wanted = [requirement for requirement in wanted if requirement.marker.evaluate({'python_version': python})]
    assert [requirement.name for requirement in wanted] == ['boto3', 'click', 'PyYAML']
    assert all(requirement.specifier.contains(locked(LOCKS[python])[requirement.name]) for requirement in wanted)


def locked(name):
    """Return the versions in a file of requirements/, by package."""
    with open(os.path.join(ROOT, 'requirements', name)) as lock:
        return dict(re.findall('^([^#=]+)==([^;\n]+)', lock.read(), re.MULTILINE))


def test_the_extra_of_the_service_pulls_versions_that_are_tested(metadata):
    assert metadata.get_all('Provides-Extra') == ['service']
    wanted = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    wanted = [requirement for requirement in wanted if requirement.marker.evaluate({'python_version': '3.9', 'extra': 'service'})]
    assert {'boto3', 'click', 'Flask', 'waitress'} < set(requirement.name for requirement in wanted)
    versions = locked('service-py3.txt')
    assert all(requirement.specifier.contains(versions[requirement.name]) for requirement in wanted)
    others = locked('test-py3.txt')
    assert [name for name in versions if name in others and versions[name] != others[name]] == [], 'both are installed into one environment'


def test_the_wheel_installs(wheel, empty_environment):
    python, _ = empty_environment
    run(python, '-m', 'pip', 'install', *OFFLINE + [str(wheel)])
    assert imported_version(python) == stated_version()


def test_the_source_package_installs(sdist, empty_environment):
    python, for_building = empty_environment
    run(python, '-m', 'pip', 'install', '--no-build-isolation', *OFFLINE + [str(sdist)], **for_building)
    assert imported_version(python) == stated_version()


def test_setup_py_states_no_version_of_its_own():
    with open(os.path.join(ROOT, 'setup.py')) as source:
        texts = [node.value for node in ast.walk(ast.parse(source.read())) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert stated_version() not in texts
