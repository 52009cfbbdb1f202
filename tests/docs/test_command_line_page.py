"""docs/command-line.md has the commands, options and exit statuses that exist; tests/cli compares
the help."""
import ast
import re

import pytest

from docker_registry_index.cli import output
from docker_registry_index.cli.commands import main
from tests.docs import pages

PAGE = 'docs/command-line.md'
STATUSES = {row[0] for row in pages.table(PAGE, 'Status')}


@pytest.mark.parametrize('page', pages.ALL)
def test_the_commands_and_options_that_are_named_exist(page):
    examples = '\n'.join(pages.code(pages.prose(page)) + pages.blocks(page, 'sh'))
    for words in re.findall(r'docker-registry-index((?: +[\w-]+)+)', examples):
        name, *more = words.split()
        options = {each for option in main.commands[name].params for each in option.opts}
        assert {word for word in more if word.startswith('--')} <= options | {'--help'}, words


def test_the_page_lists_the_exit_statuses_that_exist():
    numbers = {str(value) for name, value in vars(output).items()
               if name.isupper() and isinstance(value, int) and name != 'THREADS_END'}
    assert STATUSES == numbers | {
        str(node.args[0].value) for _, tree in pages.modules('cli') for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'exit' and node.args
        and isinstance(node.args[0], ast.Constant)}


@pytest.mark.parametrize('page', pages.ALL)
def test_an_exit_status_that_is_named_exists(page):
    # From 200 on, they are those of HTTP.
    assert {status for status in re.findall(r'status (\d+)', pages.prose(page))
            if int(status) < 200} <= STATUSES
