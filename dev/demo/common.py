"""Functions for both demonstrations: ports, searches, output and the end. Python 3."""
import json
import os
import re
import signal
import time
import urllib.parse
import urllib.request

from dev.servers.process import ServerError, is_taken

__all__ = ['Stopped', 'chosen_port', 'echo', 'search', 'show_load', 'stop_on', 'table',
           'wait_until_stopped']

# Matches the lines of a log that are about the index. Only these are shown.
_ABOUT_THE_INDEX = re.compile(r'^\S+ \S+ (INFO|WARNING|ERROR|CRITICAL): '
                              r'.*(dynamodb|index|repositor)', re.I)


class Stopped(Exception):
    """Raised when the user ends the demonstration."""


def echo(text=''):
    """Print a text without delay, even into a pipe."""
    print(text, flush=True)


def chosen_port(variable, default=None, command='make run'):
    """Return the port in an environment variable; raise ServerError if it is not a free port."""
    text = os.environ.get(variable) or default
    if text is None:
        return None
    if not re.match(r'[0-9]{1,5}$', text) or not 1 <= int(text) <= 65535:
        raise ServerError('%s=%s is not a port: set a number from 1 to 65535' % (variable, text))
    if is_taken(int(text)):
        raise ServerError('another program uses port %s of 127.0.0.1: stop it, or choose another '
                          'port: %s %s=NUMBER' % (text, command, variable))
    return int(text)


def search(url, term):
    """Search as docker search does, and return the JSON document of the answer."""
    with urllib.request.urlopen('%s/v1/search?%s'
                                % (url, urllib.parse.urlencode({'q': term, 'n': 25})),
                                timeout=10) as answer:
        return json.loads(answer.read().decode())


def table(results):
    """Return search results as the text that docker search prints."""
    width = max([len('NAME')] + [len(result['name']) for result in results]) + 3
    lines = ['NAME'.ljust(width) + 'DESCRIPTION']
    return '\n'.join(lines + [(result['name'].ljust(width) + (result['description'] or '')).rstrip()
                              for result in results])


def show_load(log_text):
    """Print the lines of a log that are about the index."""
    for line in log_text.splitlines():
        if _ABOUT_THE_INDEX.match(line):
            echo('    ' + line)


def wait_until_stopped(servers):
    """Wait until the user ends the demonstration; raise ServerError if a server ends by itself."""
    while all(server.running for server in servers):
        time.sleep(0.5)
    ended = next(server for server in servers if not server.running)
    raise ServerError('%s has ended unexpectedly; see %s' % (ended.name, ended.log_path))


def stop_on(*signals):
    """Make the first of these signals raise Stopped; ignore later ones, which would interrupt the
    stop."""
    def stop(number, frame):
        for every in signals:
            signal.signal(every, signal.SIG_IGN)
        raise Stopped
    for number in signals:
        signal.signal(number, stop)
