"""The demonstration `make run`: a real docker-registry that searches its images with DynamoDB.

The images are in the S3 of a local AWS. PORT and AWS_PORT choose the ports of the registry (5000)
and of the local AWS (any free one). It runs until Ctrl-C or SIGTERM. Python 3.
"""
import os
import signal
import sys
import time

from dev.demo.common import (
    Stopped, chosen_port, echo, search, show_load, stop_on, table, wait_until_stopped)
from dev.servers.aws import Ministack
from dev.servers.process import ServerError
from dev.servers.registry_v1 import Registry, s3_settings
from dev.storage import v1_images
from dev.storage.s3 import Bucket, S3Error

BUCKET = 'images'
STORAGE_PATH = '/registry'
TERM = 'nginx'


def show_commands(port, aws_port):
    echo("""
Try next, in another terminal:
  # search; an empty q finds everything
    curl 'http://127.0.0.1:%(port)d/v1/search?q=%(term)s'
    docker search 127.0.0.1:%(port)d/%(term)s
  # begin a push; a search finds the repository at once
    curl -X PUT -H 'Content-Type: application/json' -d '[]' \\
        http://127.0.0.1:%(port)d/v1/repositories/acme/nginx-test/
  # delete a repository; a search no longer finds it
    curl -X DELETE http://127.0.0.1:%(port)d/v1/repositories/acme/nginx-proxy/
  # list the tags of a repository in S3
    curl http://127.0.0.1:%(port)d/v1/repositories/library/nginx/tags
The local AWS (S3 and DynamoDB) is http://127.0.0.1:%(aws_port)d; it accepts any keys. \
Ctrl-C stops everything."""
         % {'port': port, 'aws_port': aws_port, 'term': TERM})


def demonstrate(port, aws_port):
    """Start the servers, show a search, and wait until stopped. Raise ServerError if a server does
    not start, or ends by itself."""
    started = time.time()
    with Ministack(aws_port) as aws:
        echo('Local AWS (ministack) on %s' % aws.url)
        bucket, repositories = Bucket(aws.url, BUCKET), v1_images.demonstration()
        for name in sorted(repositories):
            v1_images.put_repository(bucket, STORAGE_PATH, name, repositories[name])
        echo('%d repositories in s3://%s%s, as docker-registry stores them:\n    %s' % (
            len(repositories), BUCKET, STORAGE_PATH, '\n    '.join(sorted(repositories))))
        registry = Registry(dict(s3_settings(aws.url, BUCKET), STORAGE_PATH=STORAGE_PATH), port)
        echo('docker-registry 0.9.1 starts on %s. Its log (%s) reports about the index:'
             % (registry.url, os.path.relpath(registry.log_path)))
        with registry:
            answer = search(registry.url, TERM)
            show_load(registry.log_text())
            echo('\nThe answer to GET /v1/search?q=%s&n=25, as docker search prints it:\n\n%s\n'
                 % (TERM, table(answer['results'])))
            echo('(%d of %d repositories; %.0f seconds since the start)'
                 % (answer['num_results'], len(repositories), time.time() - started))
            show_commands(port, aws.port)
            wait_until_stopped([aws, registry])


def main():
    stop_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        demonstrate(chosen_port('PORT', '5000'), chosen_port('AWS_PORT'))
    except Stopped:
        echo('\nStopped: the registry and the local AWS have ended, and their data is deleted.')
    except (ServerError, S3Error, EnvironmentError) as error:
        return 'make run: %s' % error


if __name__ == '__main__':
    sys.exit(main())
