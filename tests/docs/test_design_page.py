"""The tables of docs/design.md are those of the engine."""
import os

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
