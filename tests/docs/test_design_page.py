"""The figures and tables of docs/design.md are those of the code."""
import ast
import os
import re

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.tables import tables
from tests.docs import pages

PAGE = 'docs/design.md'
FIGURES = pages.read(PAGE).split('## Four paths')[1].split('## Tables')[0].split('```')[1::2]
MODULES = {os.path.relpath(path, os.path.join(pages.ROOT, 'docker_registry_index')): tree
           for path, tree in pages.modules()}


def spelled(posting):
    """Return a posting as the page writes it: END as a word, separators as themselves."""
    rest, _, before = posting.suffix.partition('\x01')
    shown = postings.name_of({'gram': {'S': 's' + rest[0]}, 'suffix': {'S': rest + '\x01'}})
    return [posting.gram, '`%s` END' % shown + (' `%s`' % before if before else '')]


def test_the_postings_of_the_example_are_those_that_are_made():
    rows = [[pages.code(row[0])[0], row[1]] for row in pages.table(PAGE, '`gram`')]
    made = postings.postings('acme/web') + [postings.witness('acme/web')]
    assert rows == [spelled(posting) for posting in made]
    # The example of a posting that is left out.
    suffixes = [posting.suffix.partition('\x01')[0] for posting in postings.postings('library/a-a')]
    assert 'a' not in suffixes and len(suffixes) == len('library/a-a') - 1


def test_the_names_and_keys_of_the_tables_are_those_that_are_created():
    assert [[pages.code(cell) for cell in row[:2]] for row in pages.table(PAGE, 'Table')] == [
        [[table.name.replace('DATABASE', '<database>')],
         [key[0] for key in (table.hash_key, table.range_key) if key]]
        for table in tables(Settings(database='DATABASE')).values()]


def test_every_module_has_its_place_among_the_layers():
    words = set(pages.read(PAGE).split('```')[1].replace('.py', '').split())
    names = {os.path.basename(path)[:-3] for path in MODULES}
    assert {name for name in names if not name.startswith('_')} <= words


def test_the_modules_that_are_named_exist():
    for name in re.findall(r'`([\w/]+(?:\.py|/))`', pages.read(PAGE).split('## Tables')[0]):
        assert any(pages.exists(os.path.join('docker_registry_index', folder, name))
                   for folder in ('', 'engine', 'engine/store')), name


def steps():
    """Yield (module, function) of each line of the four paths."""
    for line in '\n'.join(FIGURES).splitlines():
        found = re.match(r'[ │├└─]*(\S+\.py) +(.+?)(?:  |$)', line)
        owner = ''
        for name in found.group(2).split(', ') if found else ():
            # ".add" belongs to the class of the function before it.
            owner = owner if name.startswith('.') else name.rpartition('.')[0]
            yield found.group(1), owner + name if name.startswith('.') else name


def defined(tree):
    """Return the functions of a module, as Class.function or function."""
    return {prefix + node.name for prefix, body in [('', tree.body)] + [
        (node.name + '.', node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
            for node in body if isinstance(node, ast.FunctionDef)}


def test_each_step_of_the_four_paths_is_a_function_of_its_module():
    assert len(FIGURES) == 4 and len(list(steps())) > 40
    missing = [step for step in steps() if step[1] not in defined(MODULES[step[0]])]
    assert not missing
