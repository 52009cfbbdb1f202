"""The figures and tables of docs/design.md are those of the code."""
import ast
import os
import re

import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.tables import tables
from tests.docs import pages

NAME = 'acme/web'


def spelled(posting):
    """Return a posting as the page writes it: END as a word, separators as themselves."""
    rest, _, before = posting.suffix.partition('\x01')
    shown = postings.name_of({'gram': {'S': 's' + rest[0]}, 'suffix': {'S': rest + '\x01'}})
    return [posting.gram, '`%s` END' % shown + (' `%s`' % before if before else '')]


def test_the_postings_of_the_example_are_those_that_are_made():
    rows = [[pages.code(row[0])[0], row[1]] for row in pages.table('docs/design.md', '`gram`')]
    made = postings.postings(NAME) + [postings.witness(NAME)]
    assert rows == [spelled(posting) for posting in made]


def test_the_example_of_a_posting_left_out_is_left_out():
    suffixes = [posting.suffix.partition('\x01')[0] for posting in postings.postings('library/a-a')]
    assert 'a' not in suffixes and len(suffixes) == len('library/a-a') - 1


def test_the_keys_of_the_tables_are_those_that_are_created():
    keys = [pages.code(row[1]) for row in pages.table('docs/design.md', 'Table')]
    assert keys == [[key[0] for key in (table.hash_key, table.range_key) if key]
                    for table in tables(Settings()).values()]
    named = [pages.code(row[0])[0] for row in pages.table('docs/design.md', 'Table')]
    assert named == [table.name.replace('DATABASE', '<database>')
                     for table in tables(Settings(database='DATABASE')).values()]


def test_every_module_has_its_place_among_the_layers():
    layers = pages.read('docs/design.md').split('```')[1]
    words = set(layers.replace('.py', '').split())
    for _, _, names in os.walk(os.path.join(pages.ROOT, 'docker_registry_index')):
        for name in names:
            if name.endswith('.py') and not name.startswith('_'):
                assert name[:-3] in words, name


FIGURES = pages.read('docs/design.md').split('## Four paths')[1].split('## Tables')[0].split('```')


def steps():
    """Return (module, function) of each line of the four paths."""
    lines = [line.strip(' │├└') for figure in FIGURES[1::2] for line in figure.splitlines()
             if '.py ' in line]
    found = []
    for module, functions in (re.match(r'(\S+\.py) +(.+)', line).groups() for line in lines):
        for name in re.split(r', ', re.split(r'  ', functions)[0]):
            # ".add" belongs to the class of the function before it.
            owner = found[-1][1].rpartition('.')[0] if name.startswith('.') else ''
            found.append((module, owner + name))
    return found


def defined(module):
    """Return the functions that a module of the package defines, as Class.function or function."""
    tree = ast.parse(pages.read(os.path.join('docker_registry_index', module)))
    return {prefix + node.name for prefix, body in [('', tree.body)] + [
        (node.name + '.', node.body) for node in tree.body if isinstance(node, ast.ClassDef)]
            for node in body if isinstance(node, ast.FunctionDef)}


def test_there_are_four_paths():
    assert len(FIGURES[1::2]) == 4 and len(steps()) > 40


@pytest.mark.parametrize('module, function', steps())
def test_a_step_of_a_path_is_a_function_of_its_module(module, function):
    assert function in defined(module)


@pytest.mark.parametrize('module', sorted(set(re.findall(r'`([\w/]+(?:\.py|/))`', pages.read(
    'docs/design.md').split('## Tables')[0]))))
def test_a_module_that_the_page_names_is_there(module):
    folders = ['docker_registry_index', 'docker_registry_index/engine',
               'docker_registry_index/engine/store']
    assert [folder for folder in folders
            if os.path.exists(os.path.join(pages.ROOT, folder, module))]
