"""The examples of docs/search.md are what the oracle of the contract answers."""
from tests.contract import oracle
from tests.docs import pages


def test_the_examples_of_ranks_have_these_ranks():
    described = {'team/reports': 'SQL and charts'}
    examples = {name: int(row[0]) for row in pages.table('docs/search.md', 'Rank')
                for name in pages.code(row[2])}
    assert set(examples.values()) == {0, 1, 2, 3}
    for name, rank in examples.items():
        assert oracle.rank('sql', name, described.get(name, '')) == rank, name


def test_the_example_of_a_limit_is_in_the_group_of_names_with_the_term_inside():
    assert oracle.rank('sql', 'library/mysql', '') == 0
    assert oracle.group({}, 'sql', 'library/mysql') == 2


def test_the_examples_of_words_are_found_and_not_found():
    found = {word: oracle.answer({'team/web': 'The Node.js front end'}, word) != []
             for word in ('front', 'ront', 'node.j', 'node.js', 'js')}
    assert found == {'front': True, 'ront': False, 'node.j': True, 'node.js': True, 'js': True}
