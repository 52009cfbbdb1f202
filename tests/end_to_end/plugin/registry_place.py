"""A place of its own for each registry under test: a bucket in S3 and a database in DynamoDB that
no other test uses."""
import contextlib
import json
import os
import re
import signal
import uuid

import boto3

from dev.servers.registry_v1 import Registry, s3_settings
from dev.storage import v1_images
from dev.storage.s3 import Bucket
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import in_threads, wait_until

BACKEND = 'docker_registry_index.dynamodb'
#: push_wait, and what the registry itself does, on a busy machine.
CHANGE_SECONDS = 5 + 3
#: The log lines of a load that has listed the storage, and of one that has ended.
LISTED = 'loading the search index: %d repositories in the storage'
LOADED = 'loaded the search index in'


def gunicorn(*options):
    """Return the setting GUNICORN_OPTS: these options, and an access log with the id of each
    worker's process, which shows a test that all have answered."""
    access_log = 'process %(p)s answers %(s)s to %(m)s %(U)s'
    return json.dumps(('--access-logformat', access_log) + options)


def image(content='anything'):
    """Return a small image with one layer on top of a base."""
    base = v1_images.Image({'etc/os-release': 'NAME="Base"\n'}, ['/bin/sh'])
    return v1_images.Image({'srv/content': content}, ['/srv/start'], base)


def seed_folder(folder, *names):
    """Put repositories into a folder, for a registry whose storage is local."""
    for name in names:
        for path, content in v1_images.repository_objects(name, {'latest': image(name)}):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


class Place(object):
    """The S3 bucket and the database of one registry, or of several that share them.

    s3_url: of the local S3. dynamodb_url: of the local DynamoDB. keys: a pair for DynamoDB."""

    storage_path = '/prod'
    #: What is in no log of a registry here.
    never_logged = 'Traceback'

    def __init__(self, s3_url, dynamodb_url, keys=('local', 'local-secret')):
        self.name = 'e2e-' + uuid.uuid4().hex[:12]
        self.s3_url = s3_url
        self.dynamodb_url = dynamodb_url
        self.bucket = Bucket(s3_url, self.name)
        self.dynamodb = boto3.client('dynamodb', endpoint_url=dynamodb_url, region_name='us-east-1',
                                     aws_access_key_id=keys[0], aws_secret_access_key=keys[1])

    def settings(self, **more):
        """Return the environment of a registry, with `more` on top; None removes a variable."""
        settings = s3_settings(self.s3_url, self.name, self.dynamodb_url)
        settings.update(DYNAMODB_DATABASE=self.name, GUNICORN_OPTS=gunicorn())
        return dict(settings, **more)

    def registry(self, **more):
        """Return a registry of this place, not started."""
        return Registry(self.settings(**more))

    @contextlib.contextmanager
    def launched(self, **more):
        """Launch a registry here; give a V1Client at once, with the registry as `registry`."""
        registry = self.registry(**more)
        registry.launch()
        try:
            yield V1Client(registry.url, registry)
            assert self.never_logged not in registry.log_text()
        finally:
            registry.stop()

    @contextlib.contextmanager
    def running(self, **more):
        """The same, with all its workers up, and stopped at once at the end."""
        with self.launched(**more) as client:
            client.registry.wait_until_ready()
            wait_for_workers(client.registry)
            yield client
            # gunicorn stops at once; after a SIGTERM it would sleep for up to a second first.
            os.kill(client.registry.pid, signal.SIGQUIT)
            wait_until(lambda: not client.registry.running, 'it does not end')

    def seed(self, *names):
        """Put repositories with images into S3, as a registry would have left them there."""
        for name in names:
            v1_images.put_repository(self.bucket, self.storage_path, name, {'latest': image(name)})

    def put(self, *names):
        """Put repositories without images into S3: one object each, which is all that is read."""
        for name in names:
            self.bucket.put(self.key(name), b'[]')

    def key(self, name):
        """Return the key in S3 of a repository's list of images."""
        return '%s/repositories/%s/_index_images' % (self.storage_path.strip('/'), name)

    def table(self, kind):
        """Return the name of a table: `kind` is repository, version or search."""
        return '%s-%s' % (self.name, 'search-4' if kind == 'search' else kind)

    def tables(self):
        """Return the kinds of those tables that are there."""
        pages = self.dynamodb.get_paginator('list_tables').paginate()
        there = [name for page in pages for name in page['TableNames']]
        return [kind for kind in ('repository', 'version', 'search') if self.table(kind) in there]

    def drop(self, *kinds):
        """Delete tables, and wait until they are gone."""
        for kind in kinds:
            self.dynamodb.delete_table(TableName=self.table(kind))
        for kind in kinds:
            self.dynamodb.get_waiter('table_not_exists').wait(
                TableName=self.table(kind), WaiterConfig={'Delay': 1, 'MaxAttempts': 20})

    def rows(self, kind='repository'):
        """Return all items of a table."""
        pages = self.dynamodb.get_paginator('scan').paginate(TableName=self.table(kind),
                                                             ConsistentRead=True)
        return [item for page in pages for item in page['Items']]

    def names(self):
        """Return the names in the repository table, sorted."""
        return sorted(row['name']['S'] for row in self.rows() if 'name' in row)


def wait_for_workers(registry, seconds=40):
    """Wait until each worker of a registry has answered: the log contains all starts then."""
    client = V1Client(registry.url)

    def answering():
        # Several at once: one alone would go to the same worker again and again.
        in_threads([lambda: client.request('GET', '/v1/_ping')] * 3)()
        return len(processes_of(registry)) >= registry.workers

    # 100 requests would make gunicorn rebuild the worker that is up.
    wait_until(answering, 'not all workers answer', seconds, registry, pause=0.1)


def wait_for_load(registry, seconds=240):
    """Wait until a worker has loaded the index, which may take longer than the start."""
    wait_until(lambda: LOADED in registry.log_text(), 'the index is not loaded', seconds, registry)


def workers_of(registry):
    """Return the ids of the processes of a registry's workers."""
    with open('/proc/%d/task/%d/children' % (registry.pid, registry.pid)) as children:
        return [int(pid) for pid in children.read().split()]


def processes_of(registry):
    """Return the ids of the processes that have answered a request."""
    return set(re.findall(r'^process <?(\d+)>? answers', registry.log_text(), re.MULTILINE))
