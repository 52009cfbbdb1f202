"""What the command line prints, and how far it is."""
import json
import re
import sys

import click

__all__ = ['Bar', 'as_json', 'safe', 'say']

# Characters that would do something to a terminal, or turn its text around.
_UNSAFE = re.compile(u'[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]')


def safe(text):
    """``text`` with a question mark for what a terminal would obey."""
    return _UNSAFE.sub(u'?', text)


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
