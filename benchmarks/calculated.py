"""Calculates, for realistic names, what limits a large index, and what it costs. Pure.

The limits are those of on-demand tables:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html"""
import collections
import functools
import re

from benchmarks.names import names
from dev.figures import PAGE_BYTES, count, dollars, number
from docker_registry_index.engine.store import postings

__all__ = ['COSTS', 'LIMITS', 'costs', 'limits', 'shares']

#: Units a second of one partition, and the write units a second of a new table.
_PARTITION_READS, _PARTITION_WRITES, _NEW_TABLE_WRITES = 3000, 1000, 4000
#: The largest number of write units a second of a table, unless AWS raises it.
_MOST_WRITES = 40000
_SAMPLE = 600
#: The months' traffic in the table of costs.
SEARCHES, PUSHES, NEW = 100000, 10000, 1000
#: The write units of a witness, which its transaction writes.
_WITNESS_UNITS = 2
#: The bytes of a row of 0.1.0 beside the name.
_ROW_OF_0_1_0 = len('name')

LIMITS = ['What', 'Share', 'The most a second']
COSTS = ['Repositories', 'First load', 'Hours, new table', 'Hours, %s units a second'
         % number(_MOST_WRITES), 'Stored', 'Storage a month', 'Searches a month',
         'Pushes a month', 'Read units of a Scan', 'The searches as Scans']


@functools.lru_cache(None)
def shares():
    """Return the share of postings, and of the words of names, of each gram: two Counters."""
    written, words = collections.Counter(), collections.Counter()
    for name in names(_SAMPLE):
        written.update(posting.gram for posting in postings.postings(name))
        words.update(postings.range_of(word).gram for word in re.split('[/._-]+', name) if word)
    return [collections.Counter({gram: found / sum(counts.values())
                                 for gram, found in counts.items()}) for counts in (written, words)]


def limits(units, dear):
    """Return the rows of what limits an index, of LIMITS.

    units: the write units of a repository in a load. dear: the read units of the dearest search.
    """
    written, words = shares()
    (gram, most), (searched, of_words) = written.most_common(1)[0], words.most_common(1)[0]
    in_gram = most * (units - 2 * _WITNESS_UNITS)
    return [
        ['a load: all writes, in a new table', '100%',
         '%s repositories' % number(round(_NEW_TABLE_WRITES / units))],
        ['a load: the postings from `%s` on' % gram[1:], _percent(in_gram / units),
         '%s repositories' % number(round(_PARTITION_WRITES / in_gram))],
        ['a load: the list of names', _percent(_WITNESS_UNITS / units),
         '%s repositories' % number(_PARTITION_WRITES // _WITNESS_UNITS)],
        ['searches for words of names: those from `%s` on' % searched[1:], _percent(of_words),
         '%s searches' % number(round(2 * _PARTITION_READS / of_words, -2))],
        ['searches: all for the same word', '100%',
         '%s searches' % number(2 * _PARTITION_READS)],
        ['searches: all for the same two common words', '100%',
         '%s searches' % number(round(_PARTITION_READS / dear))]]


def costs(units, push_units):
    """Return the rows of COSTS.

    units: the write units of a repository in a load. push_units: the write units of a first push.
    """
    sample, rows = names(_SAMPLE), []
    stored = sum(count(name).stored for name in sample) / _SAMPLE
    row = sum(len(name) for name in sample) / _SAMPLE + _ROW_OF_0_1_0
    for size in (1000, 100000, 10000000):
        scan = max(0.5, size * row / PAGE_BYTES / 2)
        rows.append([
            number(size), dollars(writes=units * size),
            _hours(units * size / _NEW_TABLE_WRITES), _hours(units * size / _MOST_WRITES),
            '%.2g GB' % (stored * size / 1e9),
            dollars(byte_months=stored * size), dollars(reads=SEARCHES / 2),
            dollars(reads=2 * PUSHES, writes=NEW * push_units),
            number(round(scan, 1)), dollars(reads=SEARCHES * scan)])
    return rows


def _percent(share):
    return '%.0f%%' % (100 * share)


def _hours(seconds):
    return '%.2g' % (seconds / 3600)
