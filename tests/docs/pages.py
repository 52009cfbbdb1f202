"""Reads the documents for the tests that compare them with the code."""
import ast
import functools
import os
import re

from dev.servers.process import ROOT

ALL = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'] + sorted(
    'docs/' + name for name in os.listdir(os.path.join(ROOT, 'docs')) if name.endswith('.md'))
#: Those that describe this release only.
CURRENT = [page for page in ALL if page != 'CHANGELOG.md']


@functools.lru_cache(None)
def read(path):
    """Return the text of a file of the checkout."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as source:
        return source.read()


def exists(path):
    """Return True if the checkout has this file or folder."""
    return os.path.exists(os.path.join(ROOT, path))


def prose(path):
    """Return the text of a page with its lines joined, to search for sentences."""
    return ' '.join(read(path).split())


def table(path, first_header):
    """Return the rows, lists of cells, of the tables of a page whose first header is this; without
    header and ruler."""
    found = re.findall(r'^\| %s \|.*\n\|[-| :]+\|\n((?:\|.*\n)+)' % re.escape(first_header),
                       read(path), re.MULTILINE)
    assert found, '%s has no table beginning with %s' % (path, first_header)
    return [[cell.strip() for cell in line.strip('|').split(' | ')]
            for lines in found for line in lines.splitlines()]


def code(text):
    """Return the texts in backquotes."""
    return re.findall(r'`([^`]+)`', text)


def section(path, heading):
    """Return the text of a page from a heading up to the next one."""
    found = re.search(r'^#+ %s\n(.*?)(?=^#{1,6} |\Z)' % re.escape(heading), read(path),
                      re.MULTILINE | re.DOTALL)
    assert found, '%s has no heading %s' % (path, heading)
    return found.group(1)


def blocks(path, language, heading=None):
    """Return the fenced examples of a page, or of the part below a heading, in this language."""
    return re.findall(r'^```%s\n(.*?)^```' % language,
                      section(path, heading) if heading else read(path), re.MULTILINE | re.DOTALL)


def commands(path, program, heading=None):
    """Return the commands of a page's shell examples that begin with `program`, continuation lines
    joined."""
    examples = re.sub(r'\\\n\s*', '', '\n'.join(blocks(path, 'sh', heading)))
    return [line for line in examples.splitlines() if line.startswith(program + ' ')]


def anchors(path):
    """Return the anchors that GitHub makes of the headings of a page, examples left out."""
    text = re.sub(r'```.*?```', '', read(path), flags=re.DOTALL)
    return [re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
            for heading in re.findall(r'^#+ (.+)$', text, re.MULTILINE)]


@functools.lru_cache(None)
def modules(folder=''):
    """Return (path, syntax tree) of each module below a folder of the package."""
    paths = [os.path.join(directory, name) for directory, _, names in os.walk(os.path.join(
        ROOT, 'docker_registry_index', folder)) for name in names if name.endswith('.py')]
    return [(path, ast.parse(read(path))) for path in sorted(paths)]
