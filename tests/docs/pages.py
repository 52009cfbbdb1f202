"""Reads the documentation for the tests that keep it true."""
import io
import os
import re

from dev.servers.process import ROOT

ALL = ['README.md', 'CHANGELOG.md'] + sorted('docs/' + name
                                             for name in os.listdir(os.path.join(ROOT, 'docs'))
                                             if name.endswith('.md'))


def read(path):
    """Return the text of a file of the checkout."""
    with io.open(os.path.join(ROOT, path), encoding='utf-8') as source:
        return source.read()


def prose(path):
    """Return the text of a page with its lines joined, to search for sentences."""
    return ' '.join(read(path).split())


def table(path, first_header):
    """Return the rows, lists of cells, of the one table of a page whose first header is this; its
    header and ruler left out."""
    found = re.findall(r'^\| %s \|.*\n\|[-| :]+\|\n((?:\|.*\n)+)' % re.escape(first_header),
                       read(path), re.MULTILINE)
    assert len(found) == 1, '%s has %d tables beginning with %s' % (path, len(found), first_header)
    return [[cell.strip() for cell in line.strip('|').split(' | ')]
            for line in found[0].splitlines()]


def code(cell):
    """Return what stands in backquotes."""
    return re.findall(r'`([^`]+)`', cell)


def commands(path, program):
    """Return the commands of a page's shell examples that begin with `program`, continuation lines
    joined."""
    blocks = re.findall(r'^```sh\n(.*?)^```', read(path), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r'\\\n\s*', '', block).splitlines()]
    return [line for line in lines if line.startswith(program + ' ')]
