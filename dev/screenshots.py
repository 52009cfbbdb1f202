"""Make the pictures of the search page in docs/screenshots/: `make screenshots`.

A real registry, the service and nginx run beside each other, and Chromium opens the page under the
name registry.example.com. Python 3.
"""
import contextlib
import os
import secrets
import sys

from playwright.sync_api import sync_playwright

from dev.demo.common import echo
from dev.demo.run_service import expected_results, wait_until_found
from dev.servers.aws import Ministack
from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK, ROOT, ServerError
from dev.servers.programs import program
from dev.servers.registry_v2 import ConfiguredRegistry
from dev.servers.service import Service, two_free_ports
from dev.storage.oci_images import DESCRIPTION, push

HOST = 'registry.example.com'
FOLDER = os.path.join(ROOT, 'docs', 'screenshots')
#: The most bytes of a picture.
LARGEST = 150000
#: Names, their tags, and their descriptions.
IMAGES = [
    ('library/nginx', ['1.27'], 'The web server, with our modules'),
    ('library/postgres', ['17.2'], 'PostgreSQL with the extensions that we use'),
    ('platform/ingress/nginx-ingress', ['1.11'], 'Routes requests of all clusters'),
    ('platform/monitoring/nginx-exporter', ['1.3'], 'Metrics of nginx for Prometheus'),
    ('shop/checkout', ['5.1'], 'Payment and delivery, behind nginx'),
    ('shop/nginx-static', ['2.4'], 'Images, styles and scripts of the web shop'),
    ('shop/webshop', ['3.0.0', '3.1.0', '3.2.0-rc1', '3.2.0', 'main', 'latest'],
     'The web shop: everything behind the buy button'),
    ('tools/lint', ['8'], 'All linters that our pipelines run'),
    ('toolbox', ['2026.11'], 'A shell with curl, jq and dig'),
]
#: Of each picture: the address, the width and the height, and the colours.
PICTURES = {
    'search': ('/?q=nginx', 1000, 560, 'light'),
    'namespaces': ('/', 1000, 460, 'dark'),
    'repository': ('/-/r/shop/webshop', 1000, 900, 'light'),
    'narrow': ('/?q=nginx', 360, 640, 'light'),
}


def take(browser, address, path, picture):
    """Take the picture `picture` of an address and write it as a PNG file."""
    _, width, height, colours = picture
    page = browser.new_page(viewport={'width': width, 'height': height}, color_scheme=colours)
    page.goto(address)
    page.screenshot(path=path)
    page.close()
    size = os.path.getsize(path)
    echo('%s: %d bytes' % (os.path.relpath(path, ROOT), size))
    if size > LARGEST:
        raise ServerError('%s has more than %d bytes' % (path, LARGEST))


@contextlib.contextmanager
def running():
    """Run all servers, push the images, and yield the port of nginx."""
    secret, (registry_port, service_port) = secrets.token_hex(32), two_free_ports()
    with Ministack() as aws, ConfiguredRegistry(service_port, secret, port=registry_port) as (
            registry), Service({
                'DYNAMODB_ENDPOINT_URL': aws.url, 'DYNAMODB_REGION': 'us-east-1',
                'DYNAMODB_ACCESS_KEY': 'local', 'DYNAMODB_SECRET_ACCESS_KEY': 'local-secret',
                'REGISTRY_URL': registry.url, 'EVENTS_SECRET': secret, 'EVENTS_WAIT': '20'},
                service_port) as service, Nginx(registry_port, service_port) as nginx:
        images = [{'name': name, 'tag': tag, 'files': {'srv/VERSION': tag},
                   'labels': {DESCRIPTION: description}}
                  for name, tags, description in IMAGES for tag in tags]
        for image in images:
            push('%s:%d' % (LOOPBACK, nginx.port), **image)
        wait_until_found(nginx.url, expected_results(images), service)
        yield nginx.port


def main():
    os.makedirs(FOLDER, exist_ok=True)
    with running() as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program('chromium'), args=[
                '--no-sandbox', '--disable-background-networking', '--disable-component-update',
                '--host-resolver-rules=MAP %s:80 %s:%d' % (HOST, LOOPBACK, port)])
        for name, picture in PICTURES.items():
            take(browser, 'http://%s%s' % (HOST, picture[0]), os.path.join(FOLDER, name + '.png'),
                 picture)
        browser.close()


if __name__ == '__main__':
    sys.exit(main())
