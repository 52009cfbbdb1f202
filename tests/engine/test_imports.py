"""Who may import what, read from the source of every module."""

from __future__ import unicode_literals

import ast
import io
import os

import pytest

import docker_registry_index

PACKAGE = os.path.dirname(os.path.abspath(docker_registry_index.__file__))
ENGINE = os.path.join(PACKAGE, 'engine')

#: What the modules without input and output need of the standard library.
HARMLESS = {'__future__', 'collections', 'difflib', 'hashlib', 'json',
            'numbers', 're'}
DOES_IO = {'_compat', 'access', 'credentials', 'threads', 'background', 'backlog', 'changes', 'check', 'client', 'evidence',
           'index', 'lease', 'ledger', 'lister', 'loader', 'outage', 'patience',
           'progress', 'scratch', 'search', 'startup', 'status', 'survey', 'tables',
           'tally', 'upkeep', 'undescribed', 'waiting', 'writer', 'removal'}
STANDARD = HARMLESS | {'contextlib', 'logging', 'marshal', 'os', 'Queue', 'queue',
                       'random', 'sqlite3', 'sys', 'threading', 'time',
                       'uuid'}
AWS = {'boto3', 'botocore'}


def modules(folder):
    return sorted(name[:-3] for name in os.listdir(folder)
                  if name.endswith('.py'))


def imports(path):
    """(level, module, names) of every import, also inside functions."""
    with io.open(path, 'rb') as source:
        tree = ast.parse(source.read())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            yield (node.level, node.module or '',
                   [alias.name for alias in node.names])
        elif isinstance(node, ast.Name):
            assert node.id not in ('__import__', 'importlib'), path


def roots(path):
    """The packages from outside that a module imports."""
    return set(module.split('.')[0] for level, module, _ in imports(path)
               if level == 0)


def engine(name):
    return os.path.join(ENGINE, name + '.py')


def test_the_engine_imports_the_standard_library_and_boto3_only():
    found = set().union(*[roots(engine(name)) for name in modules(ENGINE)])
    assert found == STANDARD | AWS


def test_one_module_imports_boto3_and_botocore():
    assert [name for name in modules(ENGINE)
            if roots(engine(name)) & AWS] == ['client']


@pytest.mark.parametrize('name', [
    name for name in modules(ENGINE) if name not in DOES_IO | {'__init__'}])
def test_a_pure_module_imports_nothing_that_does_input_or_output(name):
    assert roots(engine(name)) <= HARMLESS
    with io.open(engine(name), 'rb') as source:
        called = [node.func.id for node in ast.walk(ast.parse(source.read()))
                  if isinstance(node, ast.Call)
                  and isinstance(node.func, ast.Name)]
    assert not {'open', 'print', 'input', 'eval', 'exec'} & set(called)


@pytest.mark.parametrize('name', [
    name for name in modules(ENGINE) if name not in DOES_IO | {'__init__'}])
def test_a_pure_module_imports_pure_modules_only(name):
    for level, module, names in imports(engine(name)):
        if level:
            assert level == 1
            used = {module} if module else set(names)
            assert not used & (DOES_IO - {'_compat'})


def test_those_that_do_input_and_output_are_all_there():
    assert DOES_IO <= set(modules(ENGINE))


def test_the_engine_knows_nothing_above_it():
    for name in modules(ENGINE):
        for level, module, _ in imports(engine(name)):
            assert level <= 1, name
            assert not module.startswith('docker_registry_index'), name


def test_the_host_s_modules_import_docker_registry():
    found = {}
    for name in modules(PACKAGE):
        outside = roots(os.path.join(PACKAGE, name + '.py'))
        for package in {'docker_registry', 'yaml'} | AWS:
            if package in outside:
                found.setdefault(package, []).append(name)
    assert found.pop('docker_registry') == [
        'cli_settings', 'dynamodb', 'storage']
    assert sorted(found) == ['yaml'] and len(found['yaml']) == 1


def test_the_package_itself_imports_nothing():
    assert list(imports(os.path.join(PACKAGE, '__init__.py'))) == []


@pytest.mark.parametrize('folder', [PACKAGE, ENGINE])
def test_modules_stay_small(folder):
    for name in modules(folder):
        with io.open(os.path.join(folder, name + '.py'), 'rb') as source:
            assert len(source.read().splitlines()) <= 250, name
