"""The demonstration `make run-service`: a real registry v2 and the service that searches it.

Both are behind nginx, and the images are in a local S3. PORT and AWS_PORT choose the ports of nginx
(8080) and of the local AWS (any free one). It runs until Ctrl-C or SIGTERM. Python 3.
"""
import os
import secrets
import signal
import sys
import time

from dev.demo.common import (
    Stopped, chosen_port, echo, search, show_load, stop_on, table, wait_until_stopped)
from dev.servers.aws import Ministack
from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK, ServerError
from dev.servers.programs import program
from dev.servers.registry_v2 import ConfiguredRegistry, s3_variables
from dev.servers.service import Service, s3_source, two_free_ports
from dev.storage import oci_images
from dev.storage.s3 import Bucket, S3Error

BUCKET = 'images'
TERM = 'nginx'
COMMAND = 'make run-service'
FOUND_WITHIN = 15.0
PROGRAMS = {'docker-registry': 'docker-registry', 'skopeo': 'skopeo', 'nginx': 'nginx-light'}


def push_all(address, images):
    """Push images and print their names."""
    for image in images:
        oci_images.push(address, **image)
        description = (image['labels'] or {}).get(oci_images.DESCRIPTION)
        shown = '   "%s"' % description if description else ''
        echo('    %s:%s%s' % (image['name'], image['tag'], shown))


def expected_results(images):
    """Return the (name, description) pairs that a search must find for images."""
    return set((image['name'], (image['labels'] or {}).get(oci_images.DESCRIPTION) or '')
               for image in images)


def wait_until_found(url, expected, service):
    """Wait until a search finds these (name, description) pairs; raise ServerError if it does not
    in time."""
    deadline = time.time() + FOUND_WITHIN
    while True:
        results = search(url, '')['results']
        missing = expected - set((result['name'], result['description'] or '')
                                 for result in results)
        if not missing:
            return
        if time.time() > deadline:
            raise ServerError('a search does not find %s; see %s'
                              % (', '.join(sorted(name for name, _ in missing)), service.log_path))
        time.sleep(0.02)


def show_search(url, started, total):
    echo('\nThe answer to GET /v1/search?q=%s&n=25, as docker search prints it:\n\n%s\n'
         % (TERM, table(search(url, TERM)['results'])))
    echo('(of %d repositories; %.0f seconds since the start)' % (total, time.time() - started))


def show_commands(port, registry, service, aws):
    echo("""
Try next, in another terminal:
  # search; an empty q finds everything; docker needs its daemon on this machine
    curl 'http://127.0.0.1:%(port)d/v1/search?q=%(term)s'
    docker search 127.0.0.1:%(port)d/%(term)s
    podman search --tls-verify=false 127.0.0.1:%(port)d/%(term)s
  # list names from the index, in the form of the registry
    curl 'http://127.0.0.1:%(port)d/v2/_catalog?n=3'
  # push an image; a search finds it at once
    skopeo copy --src-tls-verify=false --dest-tls-verify=false \\
        docker://127.0.0.1:%(port)d/library/nginx:1.27 docker://127.0.0.1:%(port)d/me/nginx-test
  # delete its last tag; a search no longer finds it
    skopeo delete --tls-verify=false docker://127.0.0.1:%(port)d/me/nginx-test
Behind nginx, the registry is %(registry)s, and the service is %(service)s (/readyz, /metrics).
The local AWS (S3 and DynamoDB) is %(aws)s; it accepts any keys. Ctrl-C stops everything.""" % {
        'port': port, 'term': TERM, 'registry': registry.url, 'service': service.url,
        'aws': aws.url})


def demonstrate(port, aws_port):
    """Start the servers, show a search, and wait until stopped. Raise ServerError if a server does
    not start, or ends by itself."""
    started = time.time()
    secret, (registry_port, service_port) = secrets.token_hex(32), two_free_ports()
    before, after = oci_images.demonstration()
    with Ministack(aws_port) as aws:
        echo('Local AWS (ministack) on %s' % aws.url)
        Bucket(aws.url, BUCKET)
        with ConfiguredRegistry(service_port, secret, s3_variables(aws.url, BUCKET),
                                port=registry_port) as registry:
            echo('Registry v2 with config/distribution.yml on %s; it stores images in s3://%s. '
                 'Pushed to it:' % (registry.url, BUCKET))
            push_all('%s:%d' % (LOOPBACK, registry.port), before)
            service = Service(dict(s3_source(aws.url, BUCKET), DYNAMODB_ENDPOINT_URL=aws.url,
                                   REGISTRY_URL=registry.url, EVENTS_SECRET=secret), service_port)
            with service, Nginx(registry.port, service.port, port) as nginx:
                echo('The service on %s. Its log (%s) reports about the index:'
                     % (service.url, os.path.relpath(service.log_path)))
                show_load(service.log_text())
                echo('nginx with config/nginx.conf on %s, in front of both. Pushed through it:'
                     % nginx.url)
                push_all('%s:%d' % (LOOPBACK, port), after)
                show_and_wait(nginx, registry, service, aws, expected_results(before + after),
                              started)


def show_and_wait(nginx, registry, service, aws, expected, started):
    """Show that a search finds all images, and wait until stopped."""
    pushed = time.time()
    wait_until_found(nginx.url, expected, service)
    echo('%.1f seconds after the last push, searches find all images with their descriptions.'
         % (time.time() - pushed))
    show_search(nginx.url, started, len(expected))
    show_commands(nginx.port, registry, service, aws)
    wait_until_stopped([aws, registry, service, nginx])


def main():
    stop_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        for name in sorted(PROGRAMS):
            program(name, PROGRAMS[name])
        demonstrate(chosen_port('PORT', '8080', COMMAND), chosen_port('AWS_PORT', None, COMMAND))
    except Stopped:
        echo('\nStopped: nginx, the service, the registry and the local AWS have ended, and their '
             'data is deleted.')
    except (ServerError, S3Error, oci_images.PushError, EnvironmentError) as error:
        return '%s: %s' % (COMMAND, error)


if __name__ == '__main__':
    sys.exit(main())
