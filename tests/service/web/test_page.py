"""The search page as HTML: what it shows, its links, its headers, and who may read it."""
import html
import html.parser
import re
from unittest.mock import Mock
from urllib.parse import unquote

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docker_registry_index.engine import Results, errors
from docker_registry_index.service.web import page
from docker_registry_index.service.web.page import marked
from tests.end_to_end.service.clients import basic
from tests.helpers.scripted_server import page as answer_of
from tests.helpers.waiting import Hanging, in_threads, wait_until

REPOSITORIES = ['team/web', 'team/web-api', 'team/db', 'team/tools/lint', 'library', 'web']


class Parsed(html.parser.HTMLParser):
    """What a browser reads: the text of each element, its attributes, and all links.

    :ivar texts: a list of (tag, attributes, text)."""

    def __init__(self, answer):
        super().__init__()
        self.texts, self._open = [], []
        self.feed(answer.text)

    def handle_starttag(self, tag, attributes):
        self.texts.append([tag, dict(attributes), ''])
        if tag not in ('meta', 'link', 'input'):
            self._open.append(self.texts[-1])

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        for each in self._open:
            each[2] += data

    def of(self, wanted, **attributes):
        return [(' '.join(text.split()), having) for tag, having, text in self.texts
                if tag == wanted and attributes.items() <= having.items()]

    def links(self):
        """Return the text of each link to its address, without the home link."""
        return {text: having['href'] for text, having in self.of('a') if 'class' not in having
                or having['class'] != 'home'}

    def status(self):
        [(text, _)] = self.of('p', id='status')
        return text


def read(service, path, status=200, **more):
    answer = service.get(path, **more)
    assert answer.status_code == status, answer.text
    assert answer.headers['Content-Type'] == 'text/html; charset=utf-8'
    return Parsed(answer)


@pytest.fixture(scope='module')
def filled(start):
    with start(dict.fromkeys(REPOSITORIES), AUTH='none') as made:
        made.index.add('team/web', 'The "web" front <end>')
        yield made


def test_a_search_shows_names_and_descriptions_best_first_with_marks(filled):
    found = read(filled, '/?q=WEB')
    assert found.links() == {'web': './-/r/web', 'team/web': './-/r/team/web',
                             'team/web-api': './-/r/team/web-api'}
    assert list(found.links())[:2] == ['web', 'team/web'] and found.status() == '3 repositories'
    assert [text for text, _ in found.of('mark')] == ['web', 'web', 'web', 'web']
    assert found.of('p', dir='auto') == [('The "web" front <end>', {'dir': 'auto'})]
    assert found.of('input')[0][1]['value'] == 'WEB'
    assert found.of('title')[0][0] == 'WEB – localhost'


def test_an_empty_search_lists_namespaces(filled):
    for path in '/', '/?q=', '/?q=%20', '/?x=1':
        assert read(filled, path).links() == {
            'library': './-/r/library', 'team/': './?in=team/', 'web': './-/r/web'}
    for path in '/?in=team', '/?in=team/', '/?in=team//':
        assert read(filled, path).links() == {
            'All': './', 'db': './-/r/team/db', 'tools/': './?in=team/tools/',
            'web': './-/r/team/web', 'web-api': './-/r/team/web-api'}
    found = read(filled, '/?in=team/tools/')
    assert found.links() == {'All': './', 'team': './?in=team/', 'lint': './-/r/team/tools/lint'}
    assert found.of('b') == [('tools', {'aria-current': 'page'})]
    assert read(filled, '/?in=none').status() == 'No repositories'


@pytest.mark.parametrize('query, first, last', [
    ('', 1, 25), ('&page=1', 1, 25), ('&page=2', 26, 50), ('&page=3', 51, 60), ('&page=0', 1, 25),
    ('&page=x', 1, 25), ('&page=-1', 1, 25), ('&page=%00', 1, 25)])
def test_pages_follow_each_other(many, query, first, last):
    found = read(many, '/?q=app' + query)
    names = [text for text, having in found.of('a') if '-/r/' in having['href']]
    assert names == ['app-%02d' % number for number in range(first, last + 1)]
    assert found.status() == 'Repositories %d to %d' % (first, last)
    links, page = found.links(), (first + 24) // 25
    assert links.get('Next') == ('./?q=app&page=%d' % (page + 1) if last < 60 else None)
    assert links.get('Previous') == ('./?q=app&page=%d' % (page - 1) if page > 1 else None)
    assert found.of('ol', start=str(first))


@pytest.fixture(scope='module')
def many(start):
    with start({'app-%02d' % number: None for number in range(1, 61)}, AUTH='none') as made:
        yield made


def test_the_last_page_and_incomplete_results_are_explained(many, monkeypatch):
    notes = [read(many, '/?q=app').of('p', **{'class': 'note'})]
    monkeypatch.setattr(page, '_LAST', 2)
    notes.append(read(many, '/?q=app&page=2').of('p', **{'class': 'note'}))
    assert 'Next' not in read(many, '/?q=app&page=9').links()
    before = many.counted('incomplete_searches_total')
    search = many.service.index.search
    monkeypatch.setattr(many.service.index, 'search', lambda *arguments: Results(
        search(*arguments), True))
    notes.append(read(many, '/?q=app').of('p', **{'class': 'note'}))
    assert [len(each) for each in notes] == [0, 1, 1]
    assert 'Further matches are not shown' in notes[1][0][0]
    assert 'Others may match' in notes[2][0][0]
    assert many.counted('incomplete_searches_total') == before + 1


def test_a_page_after_the_last_one_denies_no_match(many):
    found = read(many, '/?q=app&page=4')
    assert found.status() == 'There are no further matches.'
    assert found.links() == {'Previous': './?q=app&page=3'}


def test_a_namespace_longer_than_any_name_is_cut(filled):
    answer = filled.get('/', params={'in': 'a/' * 4000})
    assert Parsed(answer).status() == 'No repositories' and len(answer.text) < 40_000


def test_a_long_namespace_has_a_next_page(many, monkeypatch):
    browse = many.service.index.browse
    monkeypatch.setattr(many.service.index, 'browse', lambda inside, after: browse(
        inside, after, limit=40))
    found = read(many, '/')
    assert found.status() == '40 repositories, and more'
    assert found.links()['Next'] == './?in=&after=app-40' and 'First page' not in found.links()
    found = read(many, '/?after=app-40')
    assert found.links()['First page'] == './' and 'Next' not in found.links()
    assert len(found.links()) == 21


def test_a_tag_in_a_term_is_ignored_and_its_name_is_marked(filled):
    found = read(filled, '/?q=team/web:1.0@sha256:00')
    assert list(found.links()) == ['team/web', 'team/web-api']
    assert [text for text, _ in found.of('mark')] == ['team/web'] * 2
    assert read(filled, '/?q=:1.0').status() == 'No repository matches :1.0.'


EVIL = ['<script>alert(1)</script>', '"><img src=x onerror=alert(2)>', "' onfocus='alert(3)",
        '{{ 7 * 7 }}', '&lt;b&gt;', '\u202etxt', 'a\x1bb', '%00', '?q=&in=#x', 'é\u2028', '\ud800']


@pytest.mark.parametrize('text', EVIL)
def test_hostile_text_adds_no_element_and_no_attribute(filled, text):
    harmless = read(filled, '/?q=nothing')
    for parameter in 'q', 'in', 'after', 'page':
        found = read(filled, '/', params={parameter: text.encode('utf-8', 'replace')})
        if parameter == 'q':
            assert [(tag, set(having)) for tag, having, _ in found.texts] == [
                (tag, set(having)) for tag, having, _ in harmless.texts]
        assert not {'script', 'img', 'b'} & {
            tag for tag, having, _ in found.texts if having.get('src', '')[:4] != './-/'
            and 'aria-current' not in having}
        shown = ' '.join(text for _, _, text in found.texts)
        assert not re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]', shown)


def test_hostile_hosts_and_names_are_only_text(start):
    names = [name for name in EVIL if '\x1b' not in name and '\ud800' not in name]
    with start(AUTH='none') as service:
        for name in names:
            service.index.add('x/' + name, name)
        for path in '/?q=x', '/?in=x':
            found = read(service, path, headers={'Host': '"><img src=x>'})
            links = [having for _, having in found.of('a') if 'class' not in having]
            assert all(set(having) == {'href'} for having in links) and not found.of('img')
        found = read(service, '/?q=x')
        for name in names:
            shown = errors.safe('x/' + name)
            assert unquote(found.links()[' '.join(shown.split())]) == './-/r/x/' + name


@pytest.mark.parametrize('words, text, starts_only, expected', [
    (['a'], 'banana', False, 'b<a>n<a>n<a>'), (['an', 'na'], 'banana', False, 'b<an><an>a'),
    (['a', 'ana'], 'banana', False, 'b<ana>n<a>'), ([], 'web', False, 'web'),
    (['WEB'], 'web', False, 'web'), (['web'], 'My Web', True, 'My <Web>'),
    (['web'], 'cobweb web-web', True, 'cobweb <web>-<web>'), (['.'], 'a.b', False, 'a<.>b'),
    (['i'], 'İi', False, '<İ><i>'), (['&'], '<&>', False, '&lt;<&amp;>&gt;'),
    (['b'], 'a\x1bb', False, 'a?<b>')])
def test_marks_show_what_matches(words, text, starts_only, expected):
    shown = str(marked(text, words, starts_only))
    assert shown.replace('<mark>', '<').replace('</mark>', '>') == expected


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_marks_change_no_character(text, words):
    shown = re.sub('</?mark>', '', str(marked(text, words)))
    assert html.unescape(shown) == errors.safe(text)


def test_each_answer_has_a_strict_policy(filled):
    for path in '/', '/?q=web', '/-/static/page.css', '/-/static/none.css':
        headers = filled.get(path).headers
        policy = dict(each.split(' ', 1) for each in headers['Content-Security-Policy'].split('; '))
        assert policy.pop('default-src') == policy.pop('base-uri') == "'none'"
        assert policy.pop('frame-ancestors') == "'none'"
        assert set(policy.values()) == {"'self'"}
        assert headers['X-Content-Type-Options'] == 'nosniff'
        assert headers['Referrer-Policy'] == 'same-origin'
    assert filled.get('/').headers['Cache-Control'] == 'private, no-cache'
    for path in '/', '/?q=web':
        text = filled.get(path).text
        assert 'style=' not in text and '<style' not in text and not re.search(r'\son\w+=', text)
        assert not re.search('(src|href|action)="(?!./)', text), 'another host'


def test_static_files_may_be_kept_if_their_address_has_their_version(filled):
    found = read(filled, '/')
    [(_, script)] = found.of('script')
    addresses = [having['href'] for _, having in found.of('link')] + [script['src']]
    assert len(addresses) == 3
    for address in addresses:
        answer = filled.get(address[1:])
        assert answer.status_code == 200
        assert answer.headers['Cache-Control'] == 'public, immutable, max-age=31536000'
        etag = answer.headers['ETag']
        assert filled.get(address[1:], headers={'If-None-Match': etag}).status_code == 304
        for other in address[1:-1], address[1:].partition('?')[0]:
            assert filled.get(other).headers['Cache-Control'] == 'no-cache', 'another version'
    for path in '/-/static/', '/-/static/../page.py', '/-/static/%2e%2e/page.py', '/-/static/x':
        assert filled.get(path).status_code == 404


def test_errors_are_pages_with_their_status(start, caplog):
    with start({'team/web': None}, AUTH='none', THREADS='2') as service:
        index = service.service.index
        with Hanging(index.search) as search:
            index.search = search
            first = in_threads([lambda: service.get('/?q=web')])
            wait_until(lambda: search.calls)
            answer = service.get('/?q=web')
            assert answer.status_code == 429 and answer.headers['Retry-After'] == '1'
            assert 'Too many requests' in Parsed(answer).status()
            assert service.get('/-/static/page.js').status_code == 200
        assert first()[0].status_code == 200
        index.search = Mock(side_effect=errors.RequestFailed(
            'Query', ['table'], 'Timeout', 'it does not answer', True))
        answer = service.get('/?q=web')
        assert answer.status_code == 503 and answer.headers['Retry-After'] == '1'
        found = Parsed(answer)
        assert 'not available now' in found.status() and found.of('div', id='results')
        assert found.of('input')[0][1]['value'] == 'web', 'the term is still there'
        index.search = Mock(side_effect=ZeroDivisionError)
        assert 'has failed' in read(service, '/?q=web', 500).status()
        caplog.clear()
        answer = service.request('POST', '/')
        assert answer.status_code == 405 and 'GET' in answer.headers['Allow']
        assert service.service.gate.close(0) and 'not available' in read(service, '/', 503).status()
        [(_, script)] = found.of('script')
        answer = service.get(script['src'][1:])
        assert answer.status_code == 503 and answer.headers.get('Cache-Control') is None


def test_a_browser_is_asked_for_a_password_and_static_files_need_none(start, tmp_path):
    users = tmp_path / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with start({'team/web': None}, AUTH='htpasswd', HTPASSWD=str(users)) as service:
        rules = [rule.rule for rule in service.app.url_map.iter_rules()
                 if rule.endpoint.startswith('page.') and not rule.endpoint.endswith('.static')]
        assert '/' in rules
        for rule in rules:
            path = re.sub('<.+?>', 'team/web', rule)
            for headers in {}, {'Authorization': basic('alice', 'wrong')}:
                answer = service.get(path, headers=headers)
                assert answer.status_code == 401 and 'team' not in answer.text, path
                assert answer.headers.getlist('WWW-Authenticate') == ['Basic realm="registry"']
                assert 'requires a user and a password' in Parsed(answer).status()
        assert service.get('/-/static/page.css').status_code == 200
        found = read(service, '/?q=web', headers={'Authorization': basic('alice', 'right')})
        assert list(found.links()) == ['team/web']


@pytest.mark.parametrize('challenge', [
    'Bearer realm="https://auth.example.com/token",service="registry"', 'Basic realm="its own"'])
def test_a_registry_with_tokens_asks_browsers_for_a_password_too(start, challenge):
    with start({'team/web': None}) as service:
        service.registry.answers['/v2/'] = service.registry.answers['/v2/_catalog?n=0'] = (
            answer_of('', 401, WWW_Authenticate=challenge))
        for path in '/', '/?q=web':
            answer = service.get(path)
            assert answer.status_code == 401 and 'team' not in answer.text
            found = answer.headers.getlist('WWW-Authenticate')
            assert found[0] == challenge
            assert found[1:] == ['Basic realm="registry"'] * ('Bearer' in challenge)
        # Programs are asked as the registry asks.
        assert len(service.get('/v1/search').headers.getlist('WWW-Authenticate')) == 1


def test_without_the_page_its_addresses_do_not_exist(start):
    with start({'team/web': None}, AUTH='none', PAGE='false') as service:
        for path in '/', '/?q=web', '/-/static/page.css', '/-/r/team/web':
            answer = service.get(path)
            assert answer.status_code == 404 and answer.json() == {
                'error': 'this address does not exist'}
        assert service.found('web') == ['team/web']


def test_the_page_is_also_below_the_prefix_of_the_registry(start, tmp_path):
    with start(REGISTRY_URL='http://127.0.0.1:9/images/', AUTH='none', STORAGE=str(tmp_path)) as (
            service):
        service.index.add('team/web', '')
        for base in '/', '/images/':
            found = read(service, base + '?q=web')
            assert found.links() == {'team/web': './-/r/team/web'}
            [(_, script)] = found.of('script')
            assert service.get(base + script['src'][2:]).status_code == 200
        assert service.get('/other/').status_code == 404
