"""Processes that load one index, and what is right when they have ended."""
import subprocess
import sys

from dev.servers.process import ROOT
from tests.helpers.waiting import wait_until

__all__ = ['Processes', 'assert_right', 'repositories']

# Each line of the notes is a kind of event and the process that noted it.
PROGRAM = '''
import logging, os, random, time
from docker_registry_index.engine.lifecycle import lease
from tests.helpers.engine import EngineIndex

def note(kind):
    with open({notes!r}, 'a') as notes:
        notes.write('%s %d\\n' % (kind, os.getpid()))

class Notes(logging.Handler):
    def emit(self, record):
        for kind in 'loading', 'loaded':
            if record.getMessage().startswith(kind + ' the search index'):
                note(kind)

logging.getLogger().addHandler(Notes())
logging.getLogger().setLevel(logging.INFO)

def listed():
    note('begun')
    return [tuple(pair) for pair in {stored!r}]

def noted(kind):
    return open({notes!r}).read().count(kind)

index = EngineIndex({url!r}, {database!r}, **{settings!r})
'''


def repositories(count):
    return [('team-%d/application-%03d' % (number % 9, number), 'words of %d' % number
             if number % 5 == 0 else None) for number in range(count)]


class Processes(object):
    """Processes of a program, on the database of an index; killed at the end of a `with`.

    :param notes: the path of a file for their notes.
    :param program: what each does with its own `index` and with `listed`, its storage.
    :param settings: of their indexes."""

    def __init__(self, index, notes, program, **settings):
        self._index, self._program, self._settings = index, PROGRAM + program, settings
        self.notes, self.running = notes, []

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for process in self.running:
            process.kill()
            process.communicate()

    def start(self, stored):
        """Start a process whose storage has these repositories; return it."""
        program = self._program.format(
            stored=stored, notes=str(self.notes), settings=self._settings,
            url=self._index.settings.endpoint_url, database=self._index.settings.database)
        self.running.append(subprocess.Popen([sys.executable, '-c', program], cwd=ROOT,
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
        return self.running[-1]

    def noted(self, kind):
        """Return the processes that noted this, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [int(line.split()[1]) for line in lines if line.startswith(kind + ' ')]

    def loading(self):
        """Return the process that loads, once one does; None when the load has ended."""
        loading = []

        def is_known():
            begun = self.noted('begun')[-1:]
            loading[:] = [process for process in self.running if process.pid in begun]
            return loading or self.noted('loaded')

        wait_until(is_known, 'no process loads', 60)
        return None if self.noted('loaded') else loading[0]

    def end(self):
        """Wait for all processes, which must end well."""
        for process in self.running:
            _, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr.decode()[-2000:]


def assert_right(index, stored):
    """Assert that the index contains exactly these repositories."""
    index.assert_whole()
    assert list(index.engine.checker(lambda: stored).check()) == []
    assert dict(index.search('')) == {name: description or '' for name, description in stored}
