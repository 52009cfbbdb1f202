"""No line of the project's files is longer than 100 characters."""
import fnmatch
import os
import re

from tests.docs import pages

WIDTH = 100
#: What is not the project's: git's own folder, and what .gitignore names.
IGNORED = ['.git'] + [pattern.strip('/') for pattern in pages.read('.gitignore').split()]
#: A URL or a link on a line of its own, perhaps after a comment sign.
UNBREAKABLE = re.compile(r'\W*\S*(://|\]\()\S*')


def kept(names):
    """Return the names that are not ignored."""
    return [name for name in names
            if not any(fnmatch.fnmatch(name, pattern) for pattern in IGNORED)]


def files():
    """Return the paths of the project's files, found without git."""
    found = []
    for folder, folders, names in os.walk(pages.ROOT):
        folders[:] = kept(folders)
        found += [os.path.relpath(os.path.join(folder, name), pages.ROOT) for name in kept(names)]
    return found


def long_lines(path):
    """Return file:line for each line of a file that is too long."""
    return ['%s:%d' % (path, number) for number, line in enumerate(pages.read(path).split('\n'), 1)
            if len(line) > WIDTH and not UNBREAKABLE.fullmatch(line)
            and not (path.endswith('.md') and line.startswith('|'))]


def test_no_line_is_too_long():
    paths = files()
    assert {'README.md', 'Makefile', 'setup.py', '.ci/run', 'docs/openapi.yml'} <= set(paths)
    found = [place for path in paths for place in long_lines(path)]
    assert not found, 'longer than %d characters:\n%s' % (WIDTH, '\n'.join(found))
