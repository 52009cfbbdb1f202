"""What the command line prints, and how far it is."""
import json
import sys

import click

from ..engine.redaction import safe

__all__ = ['Bar', 'as_json', 'safe', 'say']


def say(line, err=False):
    """Print a line, whatever the terminal can show of it."""
    click.echo(line, err=err)


def as_json(document):
    """Print the one document of a command, in ASCII."""
    say(json.dumps(document, indent=2, sort_keys=True))


class Bar(object):
    """A progress bar on the standard error, if that is a terminal.

    :param label: what is going on.
    """

    def __init__(self, label):
        self._label = label
        self._bar = None
        self._done = 0

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self._bar:
            self._bar.__exit__(*failure)

    def reach(self, done, total):
        """Show that so many of all are done."""
        if not total or not sys.stderr.isatty():
            return
        if self._bar is None:
            self._bar = click.progressbar(length=total, label=self._label,
                                          file=sys.stderr, show_pos=True)
            self._bar.__enter__()
        self._bar.update(done - self._done)
        self._done = done
