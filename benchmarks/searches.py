"""Measures each kind of search beside other ways to search. Python 2.7 and 3.

usage: python -m benchmarks.searches < INPUT > RESULT, both in JSON, by benchmarks.run

The other ways are the Scan of release 0.1.0, docker-registry's own SQLAlchemyIndex on sqlite (on
Python 2.7 only), and one bare GetItem. All are called in turns."""
from __future__ import unicode_literals

import json
import shutil
import sys
import tempfile

import boto3

from benchmarks.meter import Meter, in_turns, index_settings, percentile
from docker_registry_index.engine import SearchIndex
from tests.helpers.release_0_1_0 import Release010

#: The kinds of searches, and a term of each for the names of benchmarks.names.
KINDS = [
    ('exact name', 'synaptic/python3-escript'), ('last part', 'luakit'),
    ('common word', 'python3'), ('word inside a name', 'ython'), ('rare word', 'escript'),
    ('nothing', 'elasticsearch-exporter'), ('one letter', 'e'),
    ('two words of one name', 'synaptic escript'), ('two common words', 'acme dev'),
    ('four words', 'acme python3 doc server')]
#: The results that `docker search` requests.
LIMIT = 25
OURS, SCAN, SQLITE, GET_ITEM = 'this index', 'Scan of 0.1.0', 'sqlite', 'one GetItem'


class OldPlace(object):
    """The tables of release 0.1.0 in a local DynamoDB."""

    def __init__(self, endpoint, database):
        self.dynamodb, self._database = bare_client(endpoint), database

    def table(self, kind):
        """Return the name of a table."""
        return '%s-%s' % (self._database, kind)


def bare_client(endpoint):
    """Return a boto3 client without any settings of ours."""
    return boto3.client('dynamodb', endpoint_url=endpoint, region_name='us-east-1',
                        aws_access_key_id='AKIADUMMY', aws_secret_access_key='dummy')


def sqlite_index(folder, names):
    """Return docker-registry's own index on sqlite, which contains these names."""
    import sqlalchemy
    from docker_registry.lib.index import db
    database = 'sqlite:///%s/index.db' % folder
    engine = sqlalchemy.create_engine(database)
    db.Base.metadata.create_all(engine)
    engine.execute(db.Version.__table__.insert(), [{'id': 1}])
    engine.execute(db.Repository.__table__.insert(), [{'name': name} for name in names])
    return db.SQLAlchemyIndex(database)


def ways(given, folder):
    """Return a dictionary of each way to search, to a function of a term."""
    index = SearchIndex(index_settings(given['endpoint'], given['database']))
    old, plain = Release010(OldPlace(given['endpoint'], given['old'])), bare_client(
        given['endpoint'])
    key = {'name': {'S': KINDS[0][1]}}
    found = {
        OURS: lambda term: index.search(term, LIMIT), SCAN: old.search,
        GET_ITEM: lambda _: plain.get_item(TableName=index.settings.repository_table, Key=key)}
    if sys.version_info[0] == 2:
        found[SQLITE] = sqlite_index(folder, given['names']).results
    return found


def times(given, folder):
    """Return, for each kind, a dictionary of each way to its median milliseconds."""
    found, all_ways = {}, ways(given, folder)
    for kind, term in KINDS:
        measured = in_turns(dict((name, lambda term=term, way=way: way(term))
                                 for name, way in all_ways.items()), given['seconds'])
        found[kind] = dict((name, percentile(values, 0.5)) for name, values in measured.items())
    return found


def exact(given):
    """Return, for each kind, the counts of each way that uses DynamoDB; see Meter."""
    index = SearchIndex(index_settings(given['endpoint'], given['database']))
    place = OldPlace(given['endpoint'], given['old'])
    meters = {OURS: Meter(index.client.dynamodb), SCAN: Meter(place.dynamodb)}
    calls = {OURS: lambda term: index.search(term, LIMIT), SCAN: Release010(place).search}
    found = {}
    for kind, term in KINDS:
        found[kind] = {}
        for way, meter in meters.items():
            meter.clear()
            results = calls[way](term)
            found[kind][way] = dict(meter.counts, found=len(results), is_incomplete=getattr(
                results, 'is_incomplete', False))
    return found


def main():
    given, folder = json.load(sys.stdin), tempfile.mkdtemp()
    try:
        json.dump(exact(given) if given['is_exact'] else times(given, folder), sys.stdout)
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
