"""Measures the requests and seconds of the whole catalog and of the first load.

The real registry of version 2 uses ministack's S3, and the service uses DynamoDB Local, each
through a proxy that counts requests. The repositories are written directly into the bucket. The
seconds depend on the machine, and include about half a millisecond a request for the proxy. The
requests are the same on any machine. Python 3.
"""
import contextlib
import re
import subprocess
import sys
import time

from benchmarks.walks import MeasuredService, first_load, walk
from dev.servers.aws import DynamoDBLocal, Ministack
from dev.servers.programs import program
from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from dev.storage.v2_repositories import RegistryBucket, names

#: The names on a page: the default of a registry.
SIZE = 100
#: The walks of which the cheapest counts, because the service also makes requests by itself.
WALKS = 5


def echo(text):
    print('%s  %s' % (time.strftime('%H:%M:%S'), text), file=sys.stderr, flush=True)


class Measurement:
    """Measures the catalog and the load, with servers that are running.

    registries: a dictionary of name to the path of a registry's program, None for Debian's. tags:
    the tags of each repository. minutes: the longest walk over a registry's catalog.
    """

    def __init__(self, aws, dynamodb, s3, load_s3, registries, tags=1, minutes=5.0):
        self.aws, self.dynamodb, self.s3, self.load_s3 = aws, dynamodb, s3, load_s3
        self.registries, self.tags, self.minutes = registries, tags, minutes
        self.catalog, self.load = [], []

    def measure(self, count, with_catalog_load):
        """Measure catalog and load with `count` repositories.

        with_catalog_load: True to measure a first load from the registry's catalog, too.
        """
        wanted = names(count)
        echo('%d repositories are put into a bucket' % count)
        bucket = RegistryBucket(self.aws.url, self.tags).fill(wanted)
        for name, path in self.registries.items():
            with Distribution(bucket.storage(self.s3.url), program=path) as registry:
                self._walk_registry(name, registry, wanted)
        with Distribution(bucket.storage(self.s3.url)) as registry:
            self._load_from_bucket(bucket, registry, wanted)
            if with_catalog_load:
                self._load_from_catalog(registry, wanted)

    def _walk_registry(self, name, registry, wanted):
        for size in (SIZE, 1000):
            echo('%s: its catalog of %d, n=%d' % (name, len(wanted), size))
            self.s3.clear()
            done = walk(registry.url, size, 60 * self.minutes)
            requests = self.s3.total
            if done.is_whole and done.names != wanted:
                raise RuntimeError('%s lists %d names in place of %d'
                                   % (name, len(done.names), len(wanted)))
            cut = '' if done.is_whole else ', cut after %d pages' % done.pages
            self.catalog.append([name, '%d%s' % (size, cut), requests, None, done.seconds])

    def _load_from_bucket(self, bucket, registry, wanted):
        echo('the first load of %d from the bucket' % len(wanted))
        self.s3.clear()
        self.load_s3.clear()
        storage = bucket.source(self.load_s3.url)
        with MeasuredService(registry.url, self.dynamodb.url, **storage) as measured:
            load, requests = first_load(measured, wanted), self.load_s3.total
            measured.wait_until_described()
            self._note_load('the bucket', load, requests, self.s3.total)
            self._walk_service(measured, wanted)

    def _walk_service(self, measured, wanted):
        for size in (SIZE, 1000):
            done = []
            for _ in range(WALKS):
                for proxy in (self.s3, self.load_s3, self.dynamodb):
                    proxy.clear()
                walked = walk(measured.service.url, size)
                if walked.names != wanted:
                    raise RuntimeError('the service lists %d names in place of %d'
                                       % (len(walked.names), len(wanted)))
                done.append((self.dynamodb.total, walked.seconds))
                if self.s3.total + self.load_s3.total:
                    raise RuntimeError('the catalog of the service asked S3: %r'
                                       % (self.s3.counts + self.load_s3.counts))
            self.catalog.append(['the service', str(size), 0, min(done)[0],
                                 min(each for _, each in done)])

    def _load_from_catalog(self, registry, wanted):
        echo("the first load of %d from the registry's catalog" % len(wanted))
        self.s3.clear()
        with MeasuredService(registry.url, self.dynamodb.url) as measured:
            load, counts = first_load(measured, wanted), self.s3.counts
            if counts['GET']:  # lists need none
                echo('descriptions were read meanwhile: the requests hold some for these')
            measured.wait_until_described()
            requests = sum(counts.values())
            self._note_load("the registry's catalog", load, requests,
                            self.s3.total - requests)

    def _note_load(self, source, load, requests, for_descriptions):
        echo('ready after %.1f s, all found after %.1f s' % load)
        self.load.append([source, requests, load.ready, for_descriptions])


def version_of(path):
    """Return the name and version of a registry, such as Distribution 2.8.2."""
    output = subprocess.run([path, '--version'], stdout=subprocess.PIPE, universal_newlines=True,
                            check=True).stdout
    return 'Distribution ' + re.search(r'\bv?([0-9]+\.[0-9]+\.[0-9]+)', output)[1]


def measured(count, programs, minutes):
    """Return the rows of the catalog and of the first load, with so many repositories.

    programs: paths of further builds of the registry. minutes: see Measurement.
    """
    registries = dict((version_of(path or program('docker-registry')), path)
                      for path in [None] + programs)
    with contextlib.ExitStack() as running:
        aws, dynamodb = running.enter_context(Ministack()), running.enter_context(DynamoDBLocal())
        s3, load_s3, counted = [running.enter_context(Proxy(each.url))
                                for each in (aws, aws, dynamodb)]
        measurement = Measurement(aws, counted, s3, load_s3, registries, minutes=minutes)
        measurement.measure(count, count <= 300)
        return {'catalog': measurement.catalog, 'load': measurement.load}
