"""The tables of docs/design.md are those of the engine."""
import os

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import formats, postings, schema
from tests.docs import pages

NAME = 'acme/web'


def spelled(posting):
    """Return a posting as the page writes it: END as a word, separators as themselves."""
    rest, _, before = posting.suffix.partition('\x01')
    shown = postings.name_of('s' + rest[0], rest + '\x01')
    return [posting.gram, '`%s` END' % shown + (' `%s`' % before if before else '')]


def test_the_postings_of_the_example_are_those_that_are_made():
    rows = [[pages.code(row[0])[0], row[1]] for row in pages.table('docs/design.md', '`gram`')]
    assert rows[:-1] == [spelled(posting) for posting in postings.postings(NAME)]
    assert rows[-1] == [postings.LISTED, '`%s`' % formats.SUFFIXES.witness(NAME).suffix]


def test_the_example_of_a_posting_left_out_is_left_out():
    suffixes = [posting.suffix.partition('\x01')[0] for posting in postings.postings('library/a-a')
                if posting.gram != postings.CATALOG]
    assert 'a' not in suffixes and len(suffixes) == len('library/a-a') - 1


def test_the_keys_of_the_tables_are_those_that_are_created():
    keys = [pages.code(row[1]) for row in pages.table('docs/design.md', 'Table')]
    tables = schema.tables(Settings()).values()
    assert keys == [[key[0] for key in (table.hash_key, table.range_key) if key]
                    for table in tables]


def test_every_module_has_its_place_among_the_layers():
    layers = pages.read('docs/design.md').split('```')[1]
    words = set(layers.replace('.py', '').split())
    for _, _, names in os.walk(os.path.join(pages.ROOT, 'docker_registry_index')):
        for name in names:
            if name.endswith('.py') and not name.startswith('_'):
                assert name[:-3] in words, name
