"""A first load of a bucket from S3s that do not support all parameters of a request."""
import socket

import pytest

from benchmarks.walks import MeasuredService, first_load
from dev.servers.proxy import Proxy
from dev.storage.v2_repositories import RegistryBucket, names
from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex

NAMES = names(300)
#: The load needs none.
REGISTRY = 'http://127.0.0.1:1'


@pytest.fixture(scope='module')
def bucket(ministack):
    return RegistryBucket(ministack.url).fill(NAMES)


def test_a_first_load_without_start_after_finds_all_names_in_as_many_requests(
        ministack, dynamodb_local, bucket):
    with Proxy(ministack.url) as s3:
        with MeasuredService(REGISTRY, dynamodb_local.url, **bucket.source(s3.url)) as measured:
            first_load(measured, NAMES, 60)
        usual = s3.total
        s3.clear()
        with s3.dropping('start-after'), MeasuredService(
                REGISTRY, dynamodb_local.url, **bucket.source(s3.url)) as measured:
            first_load(measured, NAMES, 60)
            assert 'this S3 ignores start-after' in measured.service.log_text()
        # Each of eight threads may make one request for each of them to find out.
        assert usual < s3.total <= usual + 8


def test_a_load_from_an_s3_that_always_lists_the_first_page_ends_with_an_error(
        ministack, dynamodb_local, bucket, capsys, caplog):
    index = EngineIndex(dynamodb_local.url)
    with Proxy(ministack.url) as s3, s3.dropping('start-after', 'marker'):
        status, shown = CommandLine(index, capsys, **bucket.source(s3.url)).json('load')
        assert (status, shown['complete']) == (1, False) and s3.total < 40
        assert 'S3 lists keys after' in caplog.text and 'remove STORAGE' in caplog.text
    index.delete_tables()


def test_a_load_addresses_the_bucket_in_the_host_name(
        ministack, dynamodb_local, bucket, capsys, monkeypatch):
    index, getaddrinfo, hosts = EngineIndex(dynamodb_local.url), socket.getaddrinfo, set()

    def local(host, *arguments, **more):
        hosts.add(host)
        return getaddrinfo('127.0.0.1', *arguments, **more)
    monkeypatch.setattr(socket, 'getaddrinfo', local)
    settings = dict(bucket.source(ministack.url.replace('127.0.0.1', 's3.localhost')),
                    STORAGE_ADDRESSING='virtual')
    status, shown = CommandLine(index, capsys, **settings).json('load')
    assert (status, shown['found']) == (0, len(NAMES)) and index.names() == NAMES
    assert bucket.name + '.s3.localhost' in hosts and 's3.localhost' not in hosts
    index.delete_tables()
