"""The search page of an index of 100 000 repositories, on DynamoDB Local."""
import concurrent.futures
import os
import time

import pytest
from playwright.sync_api import expect

from dev.servers.aws import dynamodb_local_is_installed
from docker_registry_index.engine.store import postings
from tests.end_to_end.page.test_page import field, follow, names
from tests.end_to_end.service.place import ServiceProcess

pytestmark = pytest.mark.skipif(
    not dynamodb_local_is_installed() and not os.environ.get('CI'),
    reason='DynamoDB Local is not installed: dev/bootstrap dynamodb-local')

#: A tenth of the names contain "app".
GROUPS, IN_EACH = 50, 2000
NAMES = ['group-%02d/%s-%04d' % (group, 'job' if number % 10 else 'app', number)
         for group in range(GROUPS) for number in range(IN_EACH)]
#: Seconds for a page on a busy machine.
PATIENCE = 2


@pytest.fixture(scope='module')
def service(dynamodb_local):
    """A service of 100 000 repositories. Only the postings that these tests read are written: those
    that list the names, and those of the words that start with an "a"."""
    with ServiceProcess(dynamodb_local.url, AUTH='none') as running:
        store, table = running.index.store, running.index.settings.search_table
        items = [postings.to_item(each) for name in NAMES for each in postings.postings(
            name, is_wanted=lambda gram: gram == 'sa') + [postings.witness(name)]]
        parts = [items[start:start + 250] for start in range(0, len(items), 250)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda part: store.batch_write(
                table, [{'PutRequest': {'Item': item}} for item in part]), parts))
        yield running


def queries_of(service, action):
    """Return how many Queries an action needs. The service makes one every ten seconds, too."""
    before = service.dynamodb_requests('Query')
    began = time.monotonic()
    action()
    seconds = time.monotonic() - began
    assert seconds < PATIENCE, seconds
    return service.dynamodb_requests('Query') - before


def test_typing_needs_few_queries_and_shows_the_best_names_first(service, visit):
    page = visit(service.url + '/')

    def type_app():
        field(page).fill('app-1')
        expect(names(page).first).to_have_text('group-00/app-1000')
    assert 1 <= queries_of(service, type_app) <= 3
    expect(names(page)).to_have_count(25)
    expect(page.get_by_role('status')).to_have_text('Repositories 1 to 25')
    assert len(page.content()) < 20000

    def type_two():
        field(page).fill('app-1990 group-49')
        expect(names(page)).to_have_text(['group-49/app-1990'])
    assert 1 <= queries_of(service, type_two) <= 4


def test_the_last_page_of_a_common_word_says_that_others_follow(service, visit):
    page = visit(service.url + '/?q=app&page=20')
    expect(page.get_by_role('status')).to_have_text('Repositories 476 to 500')
    expect(page.locator('.note')).to_be_visible()
    expect(page.get_by_role('link', name='Next')).to_have_count(0)


def test_all_namespaces_are_reached_with_at_most_eight_queries_a_page(service, visit):
    page, found = visit(service.url + '/'), []
    while True:
        found += names(page).all_text_contents()
        if not page.get_by_role('link', name='Next').count():
            break
        assert queries_of(service, lambda: follow(page, 'Next')) <= 8 + 1
    assert found == ['group-%02d/' % number for number in range(GROUPS)]
    page.get_by_role('link', name='group-49/').click()
    expect(names(page)).to_have_count(100)
    expect(page.get_by_role('status')).to_have_text('100 repositories, and more')
    page.get_by_role('link', name='Next').click()
    expect(names(page).first).to_have_text('app-1000')
