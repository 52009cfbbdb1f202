"""The figures and tables of docs/design.md are those of the code."""
import ast
import os
import re

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import postings, text
from docker_registry_index.engine.store.tables import tables
from tests.docs import pages

PAGE = 'docs/design.md'
FIGURES = pages.read(PAGE).split('## Four paths')[1].split('## Tables')[0].split('```')[1::2]
MODULES = {os.path.relpath(path, os.path.join(pages.ROOT, 'docker_registry_index')): tree
           for path, tree in pages.modules()}


def spelled(posting):
    """Return a posting as the page writes it: the mark by its number, separators as themselves."""
    rest, mark, before = re.match('([^\x01\x02\x07\x7f]+)(.)(.*)', posting.suffix).groups()
    shown = rest.translate(str.maketrans('\x03\x04\x05\x06', text.SEPARATORS))
    return [posting.gram, '`%s` U+%04X' % (shown, ord(mark)) + (' `%s`' % before if before else '')]


def test_the_postings_of_the_example_are_those_that_are_made():
    rows = [[pages.code(row[0])[0], row[1]] for row in pages.table(PAGE, '`gram`')]
    made = postings.postings('acme/web') + [postings.witness('acme/web')]
    assert rows == [spelled(posting) for posting in made]
    # The example of postings that are left out.
    suffixes = {spelled(posting)[1].split('`')[1] for posting in postings.postings(
        'library/banana')}
    assert suffixes == {'library/banana'[place:] for place in range(14)} - {'ana', 'na', 'a'}


def test_what_follows_a_term_is_sorted_as_the_page_lists_it():
    names = ['web', 'a/web', 'a/a-web', 'a/web/a', 'a/web-a', 'a/web_a', 'a/web.a', 'a/aweb',
             'a/weba']
    keys = [posting.suffix for name in names for posting in postings.postings(name)
            if posting.suffix.startswith('web')]
    keys += [posting.suffix for posting in postings.postings('a/b', 'web')
             if posting.suffix.startswith('web')]
    assert keys == sorted(keys) and len(keys) == len(names) + 1
    marks = [key[3] for key in keys]
    assert sorted(set(marks)) == list('\x01\x02\x03\x04\x05\x06\x07a\x7f')
    assert [row[0] for row in pages.table(PAGE, 'Follows')] == [
        'U+0001', 'U+0002', 'U+0003 to U+0006', 'U+0007', 'another character', 'U+007F']
    assert '`%s`, `%s`, `%s` or `%s`' % tuple(text.SEPARATORS) in pages.prose(PAGE)


def test_the_names_and_keys_of_the_tables_are_those_that_are_created():
    assert [[pages.code(cell) for cell in row[:2]] for row in pages.table(PAGE, 'Table')] == [
        [[table.name.replace('DATABASE', '<database>')],
         [key[0] for key in (table.hash_key, table.range_key) if key]]
        for table in tables(Settings(database='DATABASE')).values()]


def boxes():
    """Return the boxes of the figure of the package, each a list of lines."""
    figure = pages.section(PAGE, 'The package').split('```')[1]
    found = {}
    for line in figure.splitlines():
        cells = [cell for cell in line.split('│')[1:-1] if re.search(r'\w', cell)]
        columns = [match.start() for match in re.finditer('│', line)]
        for cell in cells:
            found.setdefault((len(columns) > 2, columns[line.split('│').index(cell) - 1]),
                             []).append(cell)
    return list(found.values())


def drawn():
    """Yield the path of each module in the figure. A folder with one space before it is in the
    package, one with three spaces is below it; a word with .py is beside the folders below."""
    for lines in boxes():
        above = folder = ''
        for line in lines:
            indent = len(line) - len(line.lstrip())
            for word in line.split():
                if word.endswith('/'):
                    above, folder = (word, word) if indent == 1 else (above, above + word)
                else:
                    yield above + word if word.endswith('.py') else '%s%s.py' % (folder, word)


def test_the_figure_has_every_module_in_its_folder_and_no_other():
    assert len(boxes()) == 4
    assert sorted(drawn()) == sorted(
        path for path in MODULES if not os.path.basename(path).startswith('_'))


CONTRIBUTING = 'CONTRIBUTING.md'


def test_the_table_of_where_to_change_what_names_what_exists():
    rows = pages.table(CONTRIBUTING, 'To change')
    assert len(rows) > 12
    for what, code, tests in rows:
        assert pages.code(code) and pages.code(tests), what
        for name in pages.code(code) + pages.code(tests):
            assert any(pages.exists(folder + name) for folder in (
                '', 'docker_registry_index/', 'docker_registry_index/engine/')), name


def test_each_folder_of_the_package_is_in_that_table():
    named = [name for row in pages.table(CONTRIBUTING, 'To change') for name in pages.code(row[1])]
    folders = {os.path.dirname(path).replace('engine/', '') for path in MODULES}
    assert {folder for folder in folders - {'', 'engine', 'service'}
            if not any(name.startswith(folder + '/') for name in named)} == set()


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
