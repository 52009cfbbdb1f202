"""Which folder may import which, and how large the modules are: read from their sources."""
import ast
import collections
import pathlib

import pytest

import docker_registry_index

PACKAGE = pathlib.Path(docker_registry_index.__file__).parent
#: Folders and single modules, the lowest first. A module imports only modules of its own layer and
#: of the layers below it.
LAYERS = [
    ['__init__'], ['engine/_compat'], ['engine/errors'], ['engine/concurrency'],
    ['engine/settings'], ['engine/store'], ['engine/search'], ['engine/write'], ['engine/sync'],
    ['engine/lifecycle'], ['engine/verify'], ['engine/index'], ['engine/__init__'],
    ['configuration'], ['plugin'], ['service/__init__', 'service/settings'], ['service/registry'],
    ['service/sources'], ['service/sync'], ['service/web'], ['service/server'], ['cli'],
    ['dynamodb', '__main__']]
#: What the modules without input and output need of the standard library.
HARMLESS = {'__future__', 'collections', 'difflib', 'hashlib', 'json', 'numbers', 're'}
PURE = {'engine/errors', 'engine/settings/checks', 'engine/settings/options',
        'engine/settings/resolution', 'engine/store/postings', 'engine/store/records',
        'engine/store/text', 'engine/search/ranking', 'engine/sync/source', 'engine/write/plan'}
STANDARD = HARMLESS | {'functools', 'logging', 'marshal', 'os', 'Queue', 'queue',
                       'random', 'sqlite3', 'sys', 'tempfile', 'threading', 'time', 'uuid'}
AWS = {'boto3', 'botocore'}
#: Lines of the package, of the service and of the longest module; modules of the package and of the
#: largest folder.
ALL_LINES, OF_SERVICE, LONGEST, ALL_MODULES, LARGEST = 13000, 4180, 450, 66, 10

SOURCES = {str(path.relative_to(PACKAGE).with_suffix('')): path.read_bytes()
           for path in sorted(PACKAGE.rglob('*.py'))}
NODES = {module: list(ast.walk(ast.parse(source))) for module, source in SOURCES.items()}
LINES = {module: len(source.splitlines()) for module, source in SOURCES.items()}
ENGINE = [module for module in SOURCES if module.startswith('engine/')]


def outside(module):
    """Return the packages from outside that a module imports."""
    found = set()
    for node in NODES[module]:
        if isinstance(node, ast.Import):
            found.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split('.')[0])
        elif isinstance(node, ast.Name):
            assert node.id not in ('__import__', 'importlib'), module
    return found


def inside(module):
    """Yield the modules of this package that a module imports."""
    for node in NODES[module]:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module.split('/')[:-node.level] + (node.module or '').split('.')
            base = [name for name in base if name]
            for alias in node.names:
                paths = ['/'.join(path) for path in (
                    base + [alias.name], base, base + ['__init__'])]
                yield next(path for path in paths if path in SOURCES)


def layer(module):
    """Return the number of a module's only layer."""
    [found] = [number for number, names in enumerate(LAYERS) for name in names
               if module == name or module.startswith(name + '/')]
    return found


@pytest.mark.parametrize('module', SOURCES)
def test_a_module_imports_only_from_its_own_layer_and_those_below(module):
    for imported in inside(module):
        assert layer(imported) <= layer(module), '%s imports %s' % (module, imported)


def test_every_layer_and_pure_module_exists():
    assert {layer(module) for module in SOURCES} == set(range(len(LAYERS)))
    assert PURE <= set(SOURCES)


def test_the_engine_imports_only_the_standard_library_and_boto3_in_two_modules():
    assert set().union(*map(outside, ENGINE)) == STANDARD | AWS
    assert [module for module in ENGINE if outside(module) & AWS] == [
        'engine/store/client', 'engine/store/connection']


@pytest.mark.parametrize('module', sorted(PURE))
def test_a_pure_module_does_no_input_or_output(module):
    assert outside(module) <= HARMLESS
    called = {node.func.id for node in NODES[module]
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not {'open', 'print', 'input', 'eval', 'exec'} & called
    assert set(inside(module)) <= PURE | {'engine/_compat', 'engine/__init__'}


def test_few_modules_import_docker_registry_or_yaml_and_the_package_itself_nothing():
    users = [module for module in SOURCES if 'docker_registry' in outside(module)]
    assert set(users) <= {'cli/settings', 'dynamodb', 'plugin/storage'}
    assert len([module for module in SOURCES if 'yaml' in outside(module)]) == 1
    assert not outside('__init__') and not list(inside('__init__'))


def test_the_package_its_folders_and_its_modules_stay_small():
    assert sum(LINES.values()) <= ALL_LINES
    of_service = [LINES[module] for module in SOURCES if module.startswith('service/')]
    assert sum(of_service) <= OF_SERVICE
    assert {module: lines for module, lines in LINES.items() if lines > LONGEST} == {}
    folders = collections.Counter(module.rpartition('/')[0] for module in SOURCES
                                  if not module.endswith('__init__'))
    assert sum(folders.values()) <= ALL_MODULES and max(folders.values()) <= LARGEST, folders
