"""The page of a repository in a real Chromium: filtering, opening tags, copying, hostile labels."""
import re
import urllib.parse

import pytest
from playwright.sync_api import expect

from docker_registry_index.service.web import repository
from tests.helpers.scripted_server import error_page, page, reset
from tests.helpers.waiting import Hanging
from tests.service.registry.test_details import A, B, PREFIX, child, image
from tests.service.registry.test_image import SIGNATURE
from tests.service.web.test_repository_page import DIGEST, NAME, PATH, of_registry

TAGS = ['latest', *('%d.%d' % (number // 50, number % 50) for number in range(5000)),
        SIGNATURE + '.sig']
CONFIG = {'os': 'linux', 'architecture': 'amd64', 'created': '2026-05-06T07:08:09Z', 'config': {
    'Labels': {PREFIX + 'description': 'The web front end', PREFIX + 'source':
               'https://git.example.com/team/web', 'maintainer': 'team@example.com'}}}
INDEX = {'manifests': [child(A, 'linux', 'amd64'), child(B, 'linux', 'arm64', 'v8')]}
MANIFESTS = {'latest': INDEX, A: image(30_000_000, config=DIGEST), B: image(28_500_000),
             '99.49': image(1, config=DIGEST)}


def answers(**more):
    return of_registry(MANIFESTS, TAGS, CONFIG, **more)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """On a busy machine, a read may take longer than a page waits."""
    monkeypatch.setattr(repository, '_WAIT', 20)


@pytest.fixture(scope='module')
def service(start):
    with start({}) as made:
        made.registry.answers.update(answers())
        yield made


def url(service, query=''):
    return service.url.rstrip('/') + PATH + query


def tags(page):
    return page.locator('.tags a')


def filter_of(page):
    return page.get_by_role('searchbox', name='Filter tags')


def test_typing_filters_thousands_of_tags_and_the_address_can_be_shared(service, visit):
    page = visit(url(service))
    expect(tags(page)).to_have_count(50)
    expect(tags(page).first).to_have_text('latest')
    expect(tags(page).nth(1)).to_have_text('99.49')
    expect(page.locator('#count')).to_have_text('5001 tags, page 1 of 101')
    filter_of(page).press_sequentially('7.4')
    expect(page.locator('#count')).to_have_text('110 tags with 7.4, page 1 of 3')
    expect(page).to_have_url(url(service, '?filter=7.4'))
    page.get_by_role('link', name='Next').click()
    expect(page.locator('#count')).to_have_text('110 tags with 7.4, page 2 of 3')
    shared = visit(page.url)
    assert tags(shared).all_text_contents() == tags(page).all_text_contents()
    expect(filter_of(shared)).to_have_value('7.4')
    filter_of(page).fill('no such')
    expect(page.locator('#count')).to_have_text('No tag contains no such.')
    expect(tags(page)).to_have_count(0)
    page.go_back()
    expect(page.locator('#count')).to_have_text('110 tags with 7.4, page 1 of 3')


def test_a_tag_is_opened_and_back_and_forward_return(service, visit):
    page = visit(url(service))
    expect(page.get_by_role('heading', name='latest')).to_be_visible()
    expect(page.locator('tbody tr')).to_have_text(
        [re.compile('linux/amd64.*30.0 MB'), re.compile('linux/arm64/v8.*28.5 MB')])
    filter_of(page).fill('99.49')
    expect(tags(page)).to_have_text(['99.49'])
    tags(page).first.click()
    expect(page).to_have_url(url(service, '?tag=99.49&filter=99.49'))
    expect(page.get_by_role('heading', name='99.49')).to_be_visible()
    expect(page.locator('.facts')).to_contain_text('2026-05-06 07:08 UTC')
    expect(page.locator('.tags [aria-current=true]')).to_have_text('99.49')
    page.get_by_text('Labels (3)').click()
    expect(page.get_by_role('link', name='https://git.example.com/team/web')).to_be_visible()
    page.go_back()
    expect(page.get_by_role('heading', name='latest')).to_be_visible()
    page.go_forward()
    expect(page.get_by_role('heading', name='99.49')).to_be_visible()
    filter_of(page).fill('98.4')
    expect(page).to_have_url(url(service, '?tag=99.49&filter=98.4'))


def test_a_platform_is_opened_by_its_digest(service, visit):
    page = visit(url(service))
    page.get_by_role('link', name='Image for linux/amd64').click()
    expect(page.get_by_role('heading', name=A)).to_be_visible()
    expect(page.locator('.facts')).to_contain_text('30.0 MB')
    expect(page.locator('.command code')).to_have_text(
        [re.compile('^%s pull .*/%s@%s' % (tool, NAME, A)) for tool in (
            'docker', 'podman', 'crane')])


@pytest.mark.parametrize('is_secure', [True, False])
def test_a_command_is_copied_and_announced(service, visit, chromium, is_secure):
    page = visit(url(service), permissions=['clipboard-read', 'clipboard-write'])
    if not is_secure:
        # As in a page without https.
        page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    address = urllib.parse.urlsplit(service.url).netloc
    page.get_by_role('button', name='Copy: podman pull').first.click()
    command = 'podman pull %s/%s:latest' % (address, NAME)
    expect(page.locator('#copied')).to_have_text('Copied: ' + command)
    expect(page.get_by_role('button', name='Copy: podman pull').first).to_have_text('Copied')
    assert page.evaluate('document.getSelection().toString()') == ('' if is_secure else command)
    if is_secure:
        assert page.evaluate('navigator.clipboard.readText()') == command
    page.get_by_text('Pinned by digest').click()
    page.locator('details .command button').last.press('Enter')
    expect(page.locator('#copied')).to_have_text(re.compile('Copied: crane pull .*@sha256:'))


def test_a_command_that_cannot_be_copied_is_selected(service, visit):
    page = visit(url(service))
    page.evaluate("""Object.defineProperty(navigator, 'clipboard', {value: undefined});
                     document.execCommand = () => false""")
    page.get_by_role('button', name='Copy: docker pull').first.click()
    expect(page.locator('#copied')).to_have_text(re.compile('^Selected: docker pull'))
    assert page.evaluate('document.getSelection().toString()').startswith('docker pull')


def test_the_keyboard_alone_suffices(service, visit):
    page = visit(url(service))
    filter_of(page).focus()
    page.keyboard.type('99.4')
    expect(page.locator('#count')).to_have_text('11 tags with 99.4')
    for key, place in ('ArrowDown', 0), ('ArrowDown', 1), ('ArrowUp', 0):
        page.keyboard.press(key)
        expect(tags(page).nth(place)).to_be_focused()
    page.keyboard.press('ArrowUp')
    expect(filter_of(page)).to_be_focused()
    page.keyboard.press('ArrowDown')
    page.keyboard.press('Enter')
    expect(page.get_by_role('heading', name='99.49')).to_be_visible()
    page.keyboard.press('/')
    page.keyboard.type('nothing')
    page.keyboard.press('Enter')
    expect(page).to_have_url(service.url + '?q=nothing')


def test_without_javascript_it_is_a_plain_form(service, visit):
    page = visit(url(service, '?tag=99.49'), java_script_enabled=False)
    filter_of(page).fill('99.4')
    page.get_by_role('button', name='Filter').click()
    page.wait_for_url(re.compile('filter=99.4'))
    expect(page.locator('#count')).to_have_text('11 tags with 99.4')
    expect(page.get_by_role('heading', name='99.49')).to_be_visible()
    expect(page.get_by_role('button', name='Copy')).to_have_count(0)
    page.get_by_text('Pinned by digest').click()
    expect(page.get_by_text(re.compile('docker pull .*@sha256'))).to_be_visible()


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('path', ['', '?tag=99.49', '?tag=0.0', '?filter=none', '?page=3&all=1'])
def test_axe_reports_nothing_on_wide_and_narrow_screens(service, visit, axe, path, scheme):
    page = visit(url(service, path), color_scheme=scheme, fails='0.0' in path,
                 viewport={'width': 320 if scheme == 'dark' else 1000, 'height': 640})
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    axe(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= page.viewport_size['width']


EVIL = {'<script>alert(1)</script>': '"><img src=x onerror=alert(2)>',
        PREFIX + 'url': 'javascript:alert(3)', PREFIX + 'source': 'data:text/html,<script>',
        PREFIX + 'documentation': 'https://example.com/"onmouseover="alert(4)',
        '\u202egnp.exe': '\u2066txet\u202e', 'w' * 3000: 'w' * 3000,
        PREFIX + 'description': "<b onclick=alert(5)>{{ 7 * 7 }}'\u202e"}


@pytest.mark.parametrize('javascript', [True, False])
def test_hostile_labels_and_tags_are_only_text(start, visit, axe, javascript):
    many = {'l%05d' % number: '<i>' for number in range(10000)}
    with start({}) as service:
        service.registry.answers.update(of_registry(
            {'1': image(1, config=DIGEST, annotations=EVIL)},
            ['1', '<script>alert(6)</script>', '"onfocus=alert(7)', '; reboot', '\u202e'],
            {'os': '<b>', 'architecture': '\u202e"', 'config': {'Labels': {**EVIL, **many}}}))
        page = visit(url(service), java_script_enabled=javascript,
                     viewport={'width': 320, 'height': 640})
        for summary in page.locator('summary').all():
            summary.click()
        expect(tags(page)).to_have_text(['1'])
        shown = page.locator('.pairs dd').all_text_contents()
        assert EVIL['<script>alert(1)</script>'] in shown and 'javascript:alert(3)' in shown
        assert page.locator('main script, main img, main b, main i, [onclick], [onmouseover]'
                            ).count() == 0
        links = page.locator('main .pairs a')
        assert {link.get_attribute('href') for link in links.all()} == {
            EVIL[PREFIX + 'documentation']}
        assert '\u202e' not in page.content() and '7 * 7' in page.content()
        expect(page.get_by_text(re.compile('[0-9]+ others are not shown'))).to_be_visible()
        assert page.evaluate('document.documentElement.scrollWidth') <= 320
        if javascript:
            axe(page)


class TestProblems:
    def shown(self, start, visit, axe, answer, path='?tag=99.49'):
        """Return what the page shows if the registry answers requests for tags so."""
        with start({}) as service:
            service.registry.answers.update(answers())
            service.registry.answers['/v2/%s/tags/list' % NAME] = answer
            page = visit(url(service, path), fails=True)
            axe(page)
            return page.locator('main').text_content()

    @pytest.mark.parametrize('answer', [reset, page('', 500)])
    def test_a_registry_that_does_not_answer(self, start, visit, axe, answer):
        text = self.shown(start, visit, axe, answer)
        assert 'does not answer now' in text and '2026-05-06' in text
        assert 'does not answer now' in self.shown(start, visit, axe, answer, '')

    def test_a_slow_registry(self, start, visit, axe, monkeypatch):
        monkeypatch.setattr(repository, '_WAIT', 2)
        with Hanging(page({'tags': []})) as hanging:
            text = self.shown(start, visit, axe, hanging)
            assert 'has not answered yet' in text and '2026-05-06' in text
            assert 'has not answered yet' in self.shown(start, visit, axe, hanging, '')

    def test_a_repository_that_does_not_exist_or_is_not_for_the_visitor(self, start, visit, axe):
        assert 'no such repository' in self.shown(
            start, visit, axe, error_page('NAME_UNKNOWN'), '?tag=none')
        assert 'does not let you read' in self.shown(start, visit, axe, page('', 403))
