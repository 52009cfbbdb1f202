"""How the parameters of a request are read."""
from urllib.parse import parse_qsl, quote_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_registry_index.service.web.responses import first_value, whole_number


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from('qn'), st.text())), escaped=st.booleans())
def test_a_query_is_read_as_a_form(pairs, escaped):
    content = '&'.join('%s=%s' % (
        name, quote_from_bytes(value.encode('utf-8', 'replace')) if escaped else value)
        for name, value in pairs).encode('utf-8', 'replace')
    wanted = [value for name, value in parse_qsl(content.decode(), keep_blank_values=True)
              if name == 'q']
    assert first_value(content, b'q') == (wanted or [''])[0]


@pytest.mark.parametrize('query, value, in_go', [
    (b'n=1;a&n=2', '1;a', '2'), (b'n=%zz&n=2', '%zz', '2'), (b'n=2%&n=3', '2%', '3'),
    (b'n=1%2', '1%2', ''), (b'%6e=1+2', '1 2', '1 2'), (b'n', '', ''), (b'n=%C3%A9', 'é', 'é')])
def test_go_leaves_out_pairs_that_it_cannot_decode(query, value, in_go):
    assert (first_value(query, b'n'), first_value(query, b'n', in_go=True)) == (value, in_go)


@pytest.mark.parametrize('text, number', [
    ('1', 1), ('007', 7), ('9' * 9, 10 ** 9 - 1), ('9' * 9999, 10 ** 9), ('0' * 9999 + '5', 5),
    ('0', None), ('', None), ('-1', None), ('٣', None), ('0' * 10, None), ('1.0', None)])
def test_a_whole_number_is_positive_and_limited(text, number):
    assert whole_number(text) == number
