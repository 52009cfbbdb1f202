"""Which folder may import which, read from the source of every module."""

from __future__ import unicode_literals

import ast
import io
import os
import sys

import pytest

import docker_registry_index

PACKAGE = os.path.dirname(os.path.abspath(docker_registry_index.__file__))

#: Folders and single modules, the lowest first. A module imports only modules
#: of its own layer and of the layers below it.
LAYERS = [
    ['engine/_compat', 'engine/redaction'],
    ['engine/errors'],
    ['engine/concurrency', 'engine/waiting'],
    ['engine/settings'],
    ['engine/store'],
    ['engine/search'],
    ['engine/write'],
    ['engine/sync'],
    ['engine/lifecycle'],
    ['engine/verify'],
    ['engine/access', 'engine/index'],
    ['engine/__init__'],
    ['configuration'],
    ['plugin'],
    ['service/settings'],
    ['service/registry'],
    ['service/sources'],
    ['service/sync'],
    ['service/web'],
    ['service/connection', 'service/server', 'service/worker'],
    ['cli'],
    ['dynamodb', '__main__'],
]
#: What the modules without input and output need of the standard library.
HARMLESS = {'__future__', 'collections', 'difflib', 'hashlib', 'json',
            'numbers', 're'}
PURE = {
    'engine/errors', 'engine/redaction', 'engine/settings/checks',
    'engine/settings/options', 'engine/settings/resolution',
    'engine/store/formats', 'engine/store/postings',
    'engine/store/ready_marker', 'engine/store/repository_state',
    'engine/store/schema', 'engine/store/text', 'engine/search/ranking',
    'engine/search/reading', 'engine/write/actions', 'engine/write/plan',
    'engine/write/queue_entries', 'engine/write/transaction_batches',
    'engine/sync/report', 'engine/sync/storage',
}
STANDARD = HARMLESS | {'contextlib', 'logging', 'marshal', 'os', 'Queue',
                       'queue', 'random', 'sqlite3', 'sys', 'threading',
                       'time', 'uuid'}
AWS = {'boto3', 'botocore'}


def all_modules():
    """The paths of all modules, without .py, relative to the package."""
    found = []
    for folder, _, names in os.walk(PACKAGE):
        for name in names:
            if name.endswith('.py'):
                path = os.path.join(folder, name[:-3])
                found.append(os.path.relpath(path, PACKAGE))
    return sorted(found)


MODULES = all_modules()
ENGINE = [name for name in MODULES if name.startswith('engine/')]
#: Python 2.7 cannot parse the service, which has type hints.
PARSED = [name for name in MODULES if sys.version_info[0] > 2 or not name.startswith('service/')]


def parsed(module):
    with io.open(os.path.join(PACKAGE, module + '.py'), 'rb') as source:
        return ast.parse(source.read())


def outside(module):
    """The packages from outside that a module imports."""
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
    """The modules of this package that a module imports."""
    for node in ast.walk(parsed(module)):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = module.split('/')[:-node.level] + (
            node.module.split('.') if node.module else [])
        for alias in node.names:
            for path in (base + [alias.name], base, base + ['__init__']):
                if '/'.join(path) in MODULES:
                    yield '/'.join(path)
                    break
            else:
                raise AssertionError('%s imports %s' % (module, base))


def layer(module):
    """The number of a module's layer; None where it has none yet."""
    for number, layered in enumerate(LAYERS):
        for name in layered:
            if module == name or module.startswith(name + '/'):
                return number
    return None


@pytest.mark.parametrize('module', PARSED)
def test_a_module_imports_only_from_its_own_layer_and_those_below(module):
    own = layer(module)
    for imported in inside(module):
        below = layer(imported)
        if own is not None and below is not None:
            assert below <= own, '%s imports %s' % (module, imported)


def test_the_engine_imports_the_standard_library_and_boto3_only():
    found = set().union(*[outside(module) for module in ENGINE])
    assert found == STANDARD | AWS


def test_one_module_imports_boto3_and_botocore():
    assert [module.split('/')[-1] for module in ENGINE
            if outside(module) & AWS] == ['client']


@pytest.mark.parametrize('module', sorted(PURE & set(MODULES)))
def test_a_pure_module_does_no_input_or_output(module):
    assert outside(module) <= HARMLESS
    called = [node.func.id for node in ast.walk(parsed(module))
              if isinstance(node, ast.Call)
              and isinstance(node.func, ast.Name)]
    assert not {'open', 'print', 'input', 'eval', 'exec'} & set(called)
    assert set(inside(module)) <= PURE | {'engine/_compat', 'engine/__init__'}


def test_few_modules_import_docker_registry_or_yaml():
    found = {}
    for module in PARSED:
        for package in outside(module) & {'docker_registry', 'yaml'}:
            found.setdefault(package, set()).add(module.split('/')[-1])
    assert found['docker_registry'] <= {
        'settings', 'dynamodb', 'storage'}
    assert len(found['yaml']) == 1


def test_the_package_itself_imports_nothing():
    assert not outside('__init__') and not list(inside('__init__'))
