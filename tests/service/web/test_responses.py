"""How the parameters of a request are read."""
import pytest

from docker_registry_index.service.web.responses import first_value, whole_number


@pytest.mark.parametrize('query, value', [
    (b'n=1;a&n=2', '1;a'), (b'n=%zz&n=2', '%zz'), (b'n=2%&n=3', '2%'), (b'n=1%2', '1%2'),
    (b'%6e=1+2', '1 2'), (b'n', ''), (b'n=&n=3', ''), (b'q=%FF&n=%C3%A9', 'é'),
    (b'n=\xe9', '\ufffd'), (b'n=a%E2%82b', 'a\ufffdb'), (b'', ''), (b'&=&N=1', '')])
def test_a_query_is_read_as_a_form(query, value):
    assert first_value(query, 'n') == value


@pytest.mark.parametrize('text, number', [
    ('1', 1), ('007', 7), ('9' * 9, 10 ** 9 - 1), ('9' * 9999, 10 ** 9 - 1), ('0' * 9999 + '5', 5),
    ('0', None), ('', None), ('-1', None), ('٣', None), ('0' * 10, None), ('1.0', None)])
def test_a_whole_number_is_positive_and_limited(text, number):
    assert whole_number(text) == number
