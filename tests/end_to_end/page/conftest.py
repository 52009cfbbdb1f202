"""A real Chromium, and the service in the test process, served by its own web server."""
import contextlib
import os
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from docker_registry_index.engine.concurrency import start_thread
from docker_registry_index.service.server import finish, listen, make_server
from tests.helpers.engine import EngineIndex
from tests.helpers.service import InProcessService

#: Without these options, Chromium itself connects to other hosts.
OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync']
#: Milliseconds, for a busy machine.
PATIENCE = 20000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope='session')
def chromium():
    """A running Chromium. Without one, the tests are skipped; in CI, they fail."""
    path = shutil.which('chromium')
    if path is None and not os.environ.get('CI'):
        pytest.skip('Chromium is not installed: dev/bootstrap browser')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Return a function that opens an address in a new window, with the options of Playwright's
    new_context. The test fails if a page has an error, an unused rule of its policy, or requests
    anything from another host."""
    with contextlib.ExitStack() as opened:
        def visit(url, fails=False, **options):
            context = chromium.new_context(**options)
            opened.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            problems = []
            opened.callback(lambda: problems and pytest.fail('\n'.join(problems)))
            page.on('pageerror', lambda error: problems.append(str(error)))
            # Chromium logs each answer with an error status here.
            page.on('console', lambda line: fails or problems.append(line.text))
            page.on('dialog', lambda dialog: problems.append('dialog: ' + dialog.message))
            origin = re.match('http://[^/]+/', url).group()
            page.on('request', lambda request: request.url.startswith(origin) or problems.append(
                'a request to another host: ' + request.url))
            page.goto(url)
            return page
        yield visit


@contextlib.contextmanager
def served(service):
    """Serve an InProcessService at its `url`, with the web server of the service."""
    listener = listen('listen', '127.0.0.1:0')
    server = make_server(service.app, listener, threads=8)
    service.url = 'http://127.0.0.1:%d/' % listener.getsockname()[1]
    thread = start_thread(server.run)
    try:
        yield service
    finally:
        finish(server, 1)
        server.close()
        thread.join(5)


@pytest.fixture(scope='session')
def start(in_process_dynamodb):
    """Return a context manager that runs a service of these repositories, names to descriptions."""
    @contextlib.contextmanager
    def start(repositories, **settings):
        with InProcessService(EngineIndex(in_process_dynamodb.url), repositories, **dict(
                {'AUTH': 'none'}, **settings)) as service, served(service):
            for name, description in repositories.items():
                service.index.add(name, description)
            yield service
    return start


@pytest.fixture(scope='session')
def axe():
    """Return a function that asserts that axe-core finds nothing in a page."""
    def check(page):
        found = Axe().run(page, options={'resultTypes': ['violations']})
        assert found.violations_count == 0, found.generate_report()
    return check
