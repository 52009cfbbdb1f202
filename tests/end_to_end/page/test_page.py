"""The search page in a real Chromium: typing, paging, history, keyboard, hostile names, errors."""
import re

import pytest
from playwright.sync_api import expect

from tests.helpers.waiting import Hanging, wait_until

#: More than one page of results, in namespaces.
REPOSITORIES = {'team-%d/app-%02d' % (number % 3, number): 'The application number %d' % number
                for number in range(60)}
REPOSITORIES.update({'library/nginx': 'Web server', 'team-1/tools/lint': 'Finds mistakes',
                     'nginx': 'Official build of nginx', 'proxy': 'nginx with our settings'})
FIRST_NGINX = ['nginx', 'library/nginx', 'proxy']


@pytest.fixture(scope='module')
def service(start):
    with start(REPOSITORIES) as made:
        yield made


def names(page):
    return page.locator('.repositories a')


def follow(page, link):
    """Click a link, and wait until the page behind it is there."""
    with page.expect_navigation():
        page.get_by_role('link', name=link).click()


def field(page):
    return page.get_by_role('searchbox', name='Search repositories')


def test_typing_searches_and_the_address_can_be_shared(service, visit):
    page = visit(service.url)
    expect(field(page)).to_be_focused()
    field(page).press_sequentially('nginx')
    expect(names(page)).to_have_text(FIRST_NGINX)
    expect(page).to_have_url(service.url + '?q=nginx')
    expect(page).to_have_title('nginx – ' + service.url[7:-1])
    expect(page.get_by_role('status')).to_have_text('3 repositories')
    expect(page.locator('mark')).to_have_text(['nginx'] * 4)
    shared = visit(page.url)
    expect(names(shared)).to_have_text(FIRST_NGINX)
    expect(field(shared)).to_have_value('nginx')
    assert field(shared).evaluate('field => document.activeElement === field')


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(service, visit, monkeypatch):
    search, page = service.service.index.search, visit(service.url)
    with Hanging(search) as hanging:
        monkeypatch.setattr(service.service.index, 'search', lambda term, *more: (
            search if term == 'proxy' else hanging)(term, *more))
        field(page).fill('ngin')
        expect(page.locator('#results')).to_have_attribute('aria-busy', 'true')
        field(page).fill('nginx')
        expect(page).to_have_url(service.url + '?q=nginx')
        wait_until(lambda: len(hanging.calls) == 2)
        # The cancelled request changes nothing.
        expect(page.locator('#results')).to_have_attribute('aria-busy', 'true')
        assert names(page).count() == 6
        field(page).fill('proxy')
        expect(names(page)).to_have_text(['proxy'])
        hanging.go_on.set()
    page.wait_for_load_state('networkidle')
    expect(names(page)).to_have_text(['proxy'])
    assert hanging.calls


def test_back_and_forward_return_to_each_search(service, visit):
    page = visit(service.url)
    field(page).press_sequentially('ngi')
    expect(page).to_have_url(service.url + '?q=ngi')
    # The same term goes on, so it has one entry of the history.
    field(page).press_sequentially('nx')
    expect(page).to_have_url(service.url + '?q=nginx')
    expect(names(page)).to_have_text(FIRST_NGINX)
    field(page).press('Enter')
    field(page).fill('app')
    expect(page).to_have_url(service.url + '?q=app')
    page.get_by_role('link', name='Next').click()
    expect(page).to_have_url(service.url + '?q=app&page=2')
    for term, url in ('app', '?q=app'), ('nginx', '?q=nginx'), ('', ''):
        page.go_back()
        expect(page).to_have_url(service.url + url)
        expect(field(page)).to_have_value(term)
    expect(names(page)).to_have_text(['library/', 'nginx', 'proxy', 'team-0/', 'team-1/',
                                      'team-2/'])
    page.go_forward()
    expect(names(page)).to_have_text(FIRST_NGINX)
    expect(field(page)).to_have_value('nginx')


def test_pages_show_each_result_once(service, visit):
    page, found = visit(service.url + '?q=app'), []
    while True:
        found += names(page).all_text_contents()
        if not page.get_by_role('link', name='Next').count():
            break
        follow(page, 'Next')
    expect(page.get_by_role('status')).to_have_text('Repositories 51 to 60')
    assert len(found) == 60 and set(found) == {name for name in REPOSITORIES if 'app' in name}
    page.get_by_role('link', name='Previous').click()
    expect(page.get_by_role('status')).to_have_text('Repositories 26 to 50')


def test_namespaces_lead_to_their_repositories_and_back(service, visit):
    page = visit(service.url)
    page.get_by_role('link', name='team-1/').click()
    expect(names(page)).to_have_count(21)
    page.get_by_role('link', name='tools/').click()
    expect(names(page)).to_have_text(['lint'])
    expect(page.locator('.repositories p')).to_have_text('Finds mistakes')
    expect(names(page)).to_have_attribute('href', re.compile('-/r/team-1/tools/lint$'))
    page.get_by_role('navigation').get_by_role('link', name='team-1').click()
    expect(names(page)).to_have_count(21)
    page.get_by_role('link', name='All').click()
    expect(names(page)).to_have_count(6)


def test_the_keyboard_alone_suffices(service, visit):
    page = visit(service.url + '?in=team-1/')
    page.keyboard.press('/')
    expect(field(page)).to_be_focused()
    page.keyboard.type('nginx')
    expect(names(page)).to_have_text(FIRST_NGINX)
    for key, place in ('ArrowDown', 0), ('ArrowDown', 1), ('ArrowDown', 2), ('ArrowDown', 2), (
            'ArrowUp', 1), ('ArrowUp', 0):
        page.keyboard.press(key)
        expect(names(page).nth(place)).to_be_focused()
    page.keyboard.press('ArrowUp')
    expect(field(page)).to_be_focused()
    page.keyboard.press('ArrowDown')
    page.keyboard.press('Escape')
    expect(field(page)).to_be_focused()
    page.keyboard.press('Escape')
    expect(field(page)).to_have_value('')
    expect(page).to_have_url(service.url)
    page.keyboard.type('a/b')
    expect(field(page)).to_have_value('a/b')


def test_without_javascript_it_is_a_plain_form(service, visit):
    page = visit(service.url, java_script_enabled=False)
    field(page).fill('nginx')
    field(page).press('Enter')
    page.wait_for_url(service.url + '?q=nginx')
    expect(names(page)).to_have_text(FIRST_NGINX)
    field(page).fill('app')
    page.get_by_role('button', name='Search').click()
    page.get_by_role('link', name='Next').click()
    expect(page.get_by_role('status')).to_have_text('Repositories 26 to 50')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('path', ['', '?q=nginx', '?q=app&page=2', '?in=team-1/', '?q=nothing',
                                  '?in=none'])
def test_axe_reports_nothing_in_light_and_dark(service, visit, axe, path, scheme):
    page = visit(service.url + path, color_scheme=scheme)
    axe(page)
    luminance = page.evaluate('getComputedStyle(document.body).backgroundColor').strip('rgb()')
    assert (sum(map(int, luminance.split(','))) > 380) == (scheme == 'light')


@pytest.mark.parametrize('path', ['', '?q=app', '?in=team-1/', '?q=' + 'long-' * 40])
def test_a_narrow_screen_shows_everything_without_scrolling_sideways(service, visit, axe, path):
    page = visit(service.url + path, viewport={'width': 320, 'height': 640})
    assert page.evaluate('document.documentElement.scrollWidth') <= 320
    axe(page)


EVIL = {
    'evil/script': '<script>alert(1)</script><img src=x onerror=alert(2)>',
    'evil/quotes': '"><b onmouseover="alert(3)">\' &lt;b&gt; {{ 7 * 7 }} {% raw %}',
    'evil/bidi': '\u202e\u2066dlrow\u2069 olleh \u200f',
    'evil/arabic': 'خادم الويب',
    'evil/"onfocus=alert(4) x="': 'a name that no registry accepts',
    'evil/<script>alert(5)</script>': 'another one',
    'evil/?q=#fragment%2F&amp;': 'and another',
    'evil/' + 'a' * 250: 'w' * 100,
}


@pytest.mark.parametrize('javascript', [True, False])
def test_hostile_names_and_descriptions_are_only_text(start, visit, axe, javascript):
    with start(EVIL) as service:
        page = visit(service.url, java_script_enabled=javascript,
                     viewport={'width': 320, 'height': 640})
        field(page).fill('evil')
        field(page).press('Enter')
        expect(names(page)).to_have_text(sorted(EVIL), use_inner_text=True)
        shown = page.locator('.repositories p').all_text_contents()
        assert EVIL['evil/script'] in shown and EVIL['evil/quotes'] in shown
        assert '??dlrow? olleh ?' in shown and EVIL['evil/arabic'] in shown
        assert page.locator('main script, main img, main b, [onfocus], [onmouseover]').count() == 0
        assert page.evaluate('document.documentElement.scrollWidth') <= 320
        if javascript:
            axe(page)
        for name in EVIL:
            [link] = [each for each in names(page).all() if each.text_content() == name]
            path = link.evaluate('link => decodeURIComponent(link.pathname)')
            assert path == '/-/r/' + name
        page.goto(service.url + '?in=evil/')
        assert names(page).count() >= len(EVIL) - 1


@pytest.mark.parametrize('term', ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>',
                                  '{{ 7 * 7 }}', "' onfocus=alert(3) '", '&quot;', '\u202etxt'])
def test_a_hostile_term_is_only_text(service, visit, term):
    page = visit(service.url)
    field(page).fill(term)
    expect(page.get_by_role('status')).to_contain_text('No repository matches')
    expect(page.locator('#status')).to_contain_text(term.replace('\u202e', '?').strip())
    page.reload()
    expect(page.locator('#status')).to_contain_text(term.replace('\u202e', '?').strip())
