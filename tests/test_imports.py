"""Which folder may import which, and how large the modules are: read from their sources."""

from __future__ import unicode_literals

import ast
import io
import os
import sys

import pytest

import docker_registry_index

PACKAGE = os.path.dirname(os.path.abspath(docker_registry_index.__file__))

#: Folders and single modules, the lowest first. A module imports only modules of its own layer and
#: of the layers below it.
LAYERS = [
    ['__init__'],
    ['engine/_compat'],
    ['engine/errors'],
    ['engine/concurrency'],
    ['engine/settings'],
    ['engine/store'],
    ['engine/search'],
    ['engine/write'],
    ['engine/sync'],
    ['engine/lifecycle'],
    ['engine/verify'],
    ['engine/index'],
    ['engine/__init__'],
    ['configuration'],
    ['plugin'],
    ['service/__init__', 'service/settings'],
    ['service/registry'],
    ['service/sources'],
    ['service/sync'],
    ['service/web'],
    ['service/server'],
    ['cli'],
    ['dynamodb', '__main__'],
]
#: What the modules without input and output need of the standard library.
HARMLESS = {'__future__', 'collections', 'difflib', 'hashlib', 'json', 'numbers', 're'}
PURE = {
    'engine/errors', 'engine/settings/checks', 'engine/settings/options',
    'engine/settings/resolution', 'engine/store/postings', 'engine/store/records',
    'engine/store/text', 'engine/search/ranking', 'engine/sync/source', 'engine/write/plan',
}
STANDARD = HARMLESS | {'contextlib', 'functools', 'logging', 'marshal', 'os', 'Queue', 'queue',
                       'random', 'sqlite3', 'sys', 'threading', 'time', 'uuid'}
AWS = {'boto3', 'botocore'}
#: Lines of the longest module, and modules of the largest folder.
LONGEST, LARGEST = 450, 10


def all_modules():
    """Return the paths of all modules, without .py, relative to the package."""
    found = []
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith('.py'):
                path = os.path.join(folder, name[:-3])
                found.append(os.path.relpath(path, PACKAGE).replace(os.sep, '/'))
    return sorted(found)


MODULES = all_modules()
ENGINE = [name for name in MODULES if name.startswith('engine/')]
#: Python 2.7 cannot parse the service, which has type hints.
PARSED = [name for name in MODULES if sys.version_info[0] > 2 or not name.startswith('service/')]


def source_of(module):
    with io.open(os.path.join(PACKAGE, module + '.py'), 'rb') as source:
        return source.read()


def parsed(module):
    return ast.parse(source_of(module))


def outside(module):
    """Return the packages from outside that a module imports."""
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split('.')[0])
        elif isinstance(node, ast.Name):
            assert node.id not in ('__import__', 'importlib'), module
    return found


def inside(module):
    """Yield the modules of this package that a module imports."""
    for node in ast.walk(parsed(module)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = module.split('/')[:-node.level] + (node.module.split('.') if node.module else [])
        for alias in node.names:
            for path in (base + [alias.name], base, base + ['__init__']):
                if '/'.join(path) in MODULES:
                    yield '/'.join(path)
                    break
            else:
                raise AssertionError('%s imports %s' % (module, base))


def layer(module):
    """Return the number of a module's layer; None if it has none."""
    for number, layered in enumerate(LAYERS):
        for name in layered:
            if module == name or module.startswith(name + '/'):
                return number
    return None


@pytest.mark.parametrize('module', PARSED)
def test_a_module_imports_only_from_its_own_layer_and_those_below(module):
    assert layer(module) is not None, 'no layer'
    for imported in inside(module):
        assert layer(imported) <= layer(module), '%s imports %s' % (module, imported)


def test_every_layer_is_there():
    for name in sum(LAYERS, []):
        assert [module for module in MODULES
                if module == name or module.startswith(name + '/')], name
    assert PURE <= set(MODULES)


def test_the_engine_imports_the_standard_library_and_boto3_only():
    found = set().union(*[outside(module) for module in ENGINE])
    assert found == STANDARD | AWS


def test_one_module_imports_boto3_and_botocore():
    assert [module for module in ENGINE if outside(module) & AWS] == ['engine/store/client']


@pytest.mark.parametrize('module', sorted(PURE))
def test_a_pure_module_does_no_input_or_output(module):
    assert outside(module) <= HARMLESS
    called = [node.func.id for node in ast.walk(parsed(module)) if isinstance(node, ast.Call)
              and isinstance(node.func, ast.Name)]
    assert not {'open', 'print', 'input', 'eval', 'exec'} & set(called)
    assert set(inside(module)) <= PURE | {'engine/_compat', 'engine/__init__'}


def test_few_modules_import_docker_registry_or_yaml():
    found = {}
    for module in PARSED:
        for package in outside(module) & {'docker_registry', 'yaml'}:
            found.setdefault(package, set()).add(module)
    assert found['docker_registry'] <= {'cli/settings', 'dynamodb', 'plugin/storage'}
    assert len(found['yaml']) == 1


def test_the_package_stays_small():
    assert len([name for name in MODULES if not name.endswith('__init__')]) <= 60
    assert sum(len(source_of(name).splitlines()) for name in MODULES) <= 10000


def test_the_package_itself_imports_nothing():
    assert not outside('__init__') and not list(inside('__init__'))


# Sizes

def test_no_folder_has_too_many_modules():
    folders = {}
    for module in MODULES:
        folder, _, name = module.rpartition('/')
        if name != '__init__':
            folders.setdefault(folder, []).append(name)
    assert {folder: names for folder, names in folders.items() if len(names) > LARGEST} == {}


@pytest.mark.parametrize('module', MODULES)
def test_no_module_is_too_long(module):
    assert len(source_of(module).splitlines()) <= LONGEST
