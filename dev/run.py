"""The demonstration, `make run`: a local AWS, images in its S3, and the real docker-registry that searches them through DynamoDB.

PORT and AWS_PORT choose the ports of the registry (5000) and of the local AWS (any free one). It stays until Ctrl-C or SIGTERM. Python 3.
"""
import json
import os
import re
import signal
import sys
import time
import urllib.parse
import urllib.request

from dev import seed
from dev.process import ServerError, is_taken
from dev.servers import Ministack, Registry, s3_settings

BUCKET = 'images'
STORAGE_PATH = '/registry'
TERM = 'nginx'

# Lines of the registry's log: its own and gunicorn's go by, those about the index are shown.
_ABOUT_THE_INDEX = re.compile(r'^\S+ \S+ (INFO|WARNING|ERROR|CRITICAL): .*(dynamodb|index|repositor)', re.I)


class Stopped(Exception):
    """Somebody wants the demonstration to end."""


def say(text=''):
    """Print at once, also into a pipe."""
    print(text, flush=True)


def chosen_port(variable, default=None):
    """Return the port that an environment variable names; ServerError when it is none."""
    text = os.environ.get(variable) or default
    if text is None:
        return None
    if not re.match(r'[0-9]{1,5}$', text) or not 1 <= int(text) <= 65535:
        raise ServerError('%s=%s is no port: give a number from 1 to 65535' % (variable, text))
    if is_taken(int(text)):
        raise ServerError('port %s of 127.0.0.1 is taken by another program: stop that one, or choose another port: make run %s=NUMBER' % (text, variable))
    return int(text)


def search(url, term):
    """Return what the registry answers to a search, as docker search asks it."""
    with urllib.request.urlopen('%s/v1/search?%s' % (url, urllib.parse.urlencode({'q': term, 'n': 25})), timeout=10) as answer:
        return json.loads(answer.read().decode())


def table(results):
    """Return search results the way docker search prints them."""
    width = max([len('NAME')] + [len(result['name']) for result in results]) + 3
    lines = ['NAME'.ljust(width) + 'DESCRIPTION']
    return '\n'.join(lines + [(result['name'].ljust(width) + (result['description'] or '')).rstrip() for result in results])


def show_load(log_text):
    """Print the lines of the registry's log that tell how the index was made."""
    for line in log_text.splitlines():
        if _ABOUT_THE_INDEX.match(line):
            say('    ' + line)


def show_what_to_try(port, aws_port):
    say("""
Try next, in another terminal:
  # a search; an empty q finds everything
    curl 'http://127.0.0.1:%(port)d/v1/search?q=%(term)s'
    docker search 127.0.0.1:%(port)d/%(term)s
  # the beginning of a push: found at once
    curl -X PUT -H 'Content-Type: application/json' -d '[]' http://127.0.0.1:%(port)d/v1/repositories/acme/nginx-test/
  # a delete: gone at once
    curl -X DELETE http://127.0.0.1:%(port)d/v1/repositories/acme/nginx-proxy/
  # the images themselves, in S3
    curl http://127.0.0.1:%(port)d/v1/repositories/library/nginx/tags
The local AWS, S3 and DynamoDB, is http://127.0.0.1:%(aws_port)d (any keys). Ctrl-C stops everything.""" % {'port': port, 'aws_port': aws_port, 'term': TERM})


def demonstrate(port, aws_port):
    """Start everything, show a search, and stay until stopped; ServerError when something does not start or ends by itself."""
    started = time.time()
    with Ministack(aws_port) as aws:
        say('Local AWS (ministack) on %s' % aws.url)
        bucket, repositories = seed.Bucket(aws.url, BUCKET), seed.demonstration()
        for name in sorted(repositories):
            bucket.put_repository(STORAGE_PATH, name, repositories[name])
        say('%d repositories in s3://%s%s, as docker-registry keeps them:\n    %s' % (
            len(repositories), BUCKET, STORAGE_PATH, '\n    '.join(sorted(repositories))))
        registry = Registry(dict(s3_settings(aws.url, BUCKET), STORAGE_PATH=STORAGE_PATH), port)
        say('docker-registry 0.9.1 starts on %s; its log (%s) about the index:' % (registry.url, os.path.relpath(registry.log_path)))
        with registry:
            answer = search(registry.url, TERM)
            show_load(registry.log_text())
            say('\nThe answer to GET /v1/search?q=%s&n=25, printed the way docker search prints it:\n\n%s\n' % (TERM, table(answer['results'])))
            say('(%d of %d repositories; %.0f seconds since the start)' % (answer['num_results'], len(repositories), time.time() - started))
            show_what_to_try(port, aws.port)
            wait_for_the_end_of([aws, registry])


def wait_for_the_end_of(servers):
    """Wait until somebody stops us; ServerError when a server ends by itself."""
    while all(server.running for server in servers):
        time.sleep(0.5)
    gone = next(server for server in servers if not server.running)
    raise ServerError('%s has ended by itself; see %s' % (gone.name, gone.log_path))


def stop_on(*signals):
    """Turn the first of these signals into Stopped, and ignore them from then on: stopping must not be interrupted."""
    def stop(number, frame):
        for every in signals:
            signal.signal(every, signal.SIG_IGN)
        raise Stopped
    for number in signals:
        signal.signal(number, stop)


def main():
    stop_on(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    try:
        demonstrate(chosen_port('PORT', '5000'), chosen_port('AWS_PORT'))
    except Stopped:
        say('\nStopped: the registry and the local AWS are gone, and with them their data.')
    except (ServerError, seed.SeedError, EnvironmentError) as error:
        return 'make run: %s' % error


if __name__ == '__main__':
    sys.exit(main())
