"""Scratch: a database in a temporary file, for more than memory should hold.

The one importer of sqlite3. A load of a million repositories, or a check of
their postings, needs as much memory as one of a thousand.
"""

from __future__ import unicode_literals

import sqlite3

__all__ = ['Binary', 'Error', 'scratch_database']

#: What a full or missing disk raises.
Error = sqlite3.Error
#: What bytes are wrapped in to be kept.
Binary = sqlite3.Binary

#: Kilobytes kept in memory; the rest goes to the file.
_CACHE = 4096


def scratch_database():
    """A connection to an empty database of its own, gone when it is closed.

    Its file, without a name, is where SQLite puts temporary files: the
    environment variable SQLITE_TMPDIR or TMPDIR, else /var/tmp, /usr/tmp
    or /tmp. One thread at a time may use it, any thread.
    https://www.sqlite.org/inmemorydb.html#temp_db
    """
    connection = sqlite3.connect('', check_same_thread=False)
    connection.isolation_level = None
    for pragma in ('cache_size = -%d' % _CACHE, 'journal_mode = OFF',
                   'synchronous = OFF'):
        connection.execute('PRAGMA ' + pragma).fetchall()
    return connection
