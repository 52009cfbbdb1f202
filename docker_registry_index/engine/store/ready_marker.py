"""The mark that an index is ready: what it says, and how it is kept. Pure.

It stands in the search table beside the postings it speaks of, so it cannot
outlive them. It is written together with the end of the lease, and taken
away before a missing table is created anew beside it: so no crash leaves it
standing over an index that is not whole.
"""

from __future__ import unicode_literals

import collections
import json

from . import schema

__all__ = ['KEY', 'Mark']

#: Its key.
KEY = {'gram': {'S': schema.MARKS}, 'suffix': {'S': schema.READY}}

#: How often the pause after a load that was not complete is doubled.
_DOUBLED = 20
_DAY = 86400
#: Unreadable namespaces that are kept in it.
_SHOWN = 20


class Mark(collections.namedtuple(
        'Mark', 'format number synced tried report in_vain')):
    """A mark.

    :param format: of the postings that searches read: an int.
    :param number: a random text that tells it from every other mark.
    :param synced: when the last complete load ended, in Unix seconds; None
        when none was complete.
    :param tried: when the last load ended, likewise.
    :param report: what the last load did, as a dictionary; None of releases
        that did not keep it.
    :param in_vain: how many loads in a row were not complete, the last one
        being among them.
    """

    __slots__ = ()

    def __new__(cls, format, number, synced, tried, report, in_vain=0):
        return super(Mark, cls).__new__(cls, format, number, synced, tried,
                                        report, in_vain)

    @classmethod
    def of(cls, item):
        """The Mark of an item of the search table; None where it is none."""
        if 'N' not in (item or {}).get('format', {}):
            return None
        return cls(int(item['format']['N']), item['number']['S'],
                   _number(item, 'synced'), _number(item, 'tried'),
                   _report(item), _number(item, 'in_vain') or 0)

    def put(self, table):
        """The action of a transaction that writes it."""
        item = dict(KEY, format={'N': str(self.format)},
                    number={'S': self.number})
        for name in 'synced', 'tried', 'in_vain':
            number = getattr(self, name)
            if number is not None:
                item[name] = {'N': str(number)}
        if self.report is not None:
            item['report'] = {'S': json.dumps(self.report, sort_keys=True)}
        return {'Put': {'TableName': table, 'Item': item}}

    @classmethod
    def none(cls):
        """Of an index that was never loaded."""
        return cls(None, None, None, None, None)

    def after(self, report, format, number, now):
        """The mark after a load.

        :param report: a LoadReport.
        """
        kept = dict(report._asdict(),
                    unreadable=list(report.unreadable[:_SHOWN]))
        synced = now if report.complete else self.synced
        if self.format not in (None, format):
            # Soon another sync, for what workers of the older release, which
            # know nothing of this format, still change.
            synced = None
        in_vain = 0 if report.complete else self.in_vain + 1
        return Mark(format, number, synced, now, kept, in_vain)

    def due(self, interval, retry):
        """When the next sync is due, in Unix seconds.

        :param interval: seconds after a complete load.
        :param retry: seconds after one that was not complete; twice as many
            after each further one in a row, up to the interval or a day.
        """
        if self.tried is None:
            return 0
        if self.synced == self.tried:
            return self.synced + interval
        doubled = min(max(self.in_vain - 1, 0), _DOUBLED)
        return self.tried + min(retry * 2 ** doubled, interval, _DAY)


def _number(item, name):
    found = item.get(name, {}).get('N')
    return None if found is None else int(float(found))


def _report(item):
    try:
        return json.loads(item['report']['S'])
    except (KeyError, ValueError):
        return None
