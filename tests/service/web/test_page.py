"""The search page as HTML: what it shows, its links, its headers, and who may read it."""
import html.parser

import pytest

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
    assert read(filled, '/?in=none').status() == 'There is no repository in none/.'
