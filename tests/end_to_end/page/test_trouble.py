"""The search page while DynamoDB or the service is slow or unavailable, with passwords, and behind
nginx below a path."""
import bcrypt
import pytest
from playwright.sync_api import Error, expect

from dev.servers.nginx import Nginx
from dev.servers.process import free_port
from docker_registry_index.engine import errors
from tests.end_to_end.page.test_page import field, names
from tests.end_to_end.service.place import needs
from tests.helpers.waiting import Hanging, in_threads, wait_until

UNAVAILABLE = 'The search is not available now. Try again in a moment.'


@pytest.fixture(scope='module')
def service(start):
    with start({'team/web': 'The front end', 'team/db': None}, THREADS='2') as made:
        yield made


def failing(*_):
    raise errors.RequestFailed('Query', ['table'], 'Timeout', 'it does not answer', True)


def test_a_slow_dynamodb_leaves_the_page_usable(service, visit, monkeypatch):
    page = visit(service.url + '?q=web')
    with Hanging(service.service.index.search) as hanging:
        monkeypatch.setattr(service.service.index, 'search', hanging)
        field(page).fill('db')
        expect(page.locator('#results')).to_have_attribute('aria-busy', 'true')
        expect(names(page)).to_have_text(['team/web'])
        expect(field(page)).to_be_focused()
        hanging.go_on.set()
        expect(names(page)).to_have_text(['team/db'])
    expect(page.locator('#results')).to_have_attribute('aria-busy', 'false')


def test_an_unavailable_dynamodb_is_reported_and_searches_work_again_later(
        service, visit, axe, monkeypatch):
    page = visit(service.url + '?q=web', fails=True)
    with monkeypatch.context() as patched:
        patched.setattr(service.service.index, 'search', failing)
        field(page).fill('db')
        expect(page.get_by_role('status')).to_have_text(UNAVAILABLE)
        expect(names(page)).to_have_count(0)
        axe(page)
        assert page.reload().status == 503
        expect(page.get_by_role('status')).to_have_text(UNAVAILABLE)
        expect(field(page)).to_have_value('db')
        axe(page)
    field(page).fill('web')
    expect(names(page)).to_have_text(['team/web'])


def test_a_service_without_a_free_place_says_so(service, visit, monkeypatch):
    page = visit(service.url, fails=True)
    with Hanging(service.service.index.search) as hanging:
        monkeypatch.setattr(service.service.index, 'search', hanging)
        first = in_threads([lambda: service.get('/v1/search')])
        wait_until(lambda: hanging.calls)
        field(page).fill('web')
        expect(page.get_by_role('status')).to_contain_text('Too many requests are under way')
    first()


def test_a_lost_connection_and_the_error_page_of_a_proxy_are_reported(service, visit):
    page = visit(service.url + '?q=web', fails=True)
    page.context.set_offline(True)
    field(page).fill('db')
    expect(page.get_by_role('status')).to_have_text(UNAVAILABLE)
    page.context.set_offline(False)
    field(page).fill('we')
    expect(names(page)).to_have_text(['team/web'])
    page.route('**/?q=db', lambda route: route.fulfill(status=502, body='<h1>Bad Gateway</h1>'))
    field(page).fill('db')
    expect(page.get_by_role('status')).to_have_text(UNAVAILABLE)
    expect(names(page)).to_have_count(0)


def test_a_browser_asks_for_the_password_of_the_registry(start, visit, tmp_path):
    users = tmp_path / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with start({'team/web': None}, AUTH='htpasswd', HTPASSWD=str(users)) as service:
        page = visit(service.url, http_credentials={'username': 'alice', 'password': 'right'},
                     fails=True)
        field(page).fill('web')
        expect(names(page)).to_have_text(['team/web'])
        for options in {}, {'http_credentials': {'username': 'alice', 'password': 'wrong'}}:
            # Nobody is there to type a password. Chromium then reports this, or shows the page.
            try:
                page = visit(service.url, fails=True, **options)
            except Error as error:
                assert 'ERR_INVALID_AUTH_CREDENTIALS' in str(error)
            else:
                expect(page.get_by_role('status')).to_contain_text('requires a user and a password')
                expect(names(page)).to_have_count(0)


class BelowImages(Nginx):
    """nginx that serves the page below /images/, as docs/page.md describes."""

    def site(self):
        return '''server {
            listen 127.0.0.1:8080;
            location = /healthz { return 404; }
            location = /images/ { proxy_pass http://127.0.0.1:5080/; }
            location /images/-/ { proxy_pass http://127.0.0.1:5080/-/; }
        }'''


@needs('nginx')
@pytest.mark.parametrize('nginx_class, path', [(Nginx, '/'), (BelowImages, '/images/')])
def test_behind_nginx_all_links_stay_below_the_path_of_the_page(service, visit, nginx_class, path):
    port = int(service.url.split(':')[2].strip('/'))
    with nginx_class(free_port(), port) as nginx:
        page = visit(nginx.url + path)
        field(page).fill('web')
        expect(names(page)).to_have_text(['team/web'])
        expect(page).to_have_url(nginx.url + path + '?q=web')
        assert names(page).evaluate('link => link.pathname') == path + '-/r/team/web'
        page.get_by_role('banner').get_by_role('link').click()
        page.get_by_role('link', name='team/').click()
        expect(names(page)).to_have_text(['db', 'web'])
        expect(page).to_have_url(nginx.url + path + '?in=team/')
        assert page.evaluate('document.styleSheets[0].cssRules.length') > 10
