"""The checks of addresses and keys: each fault is named with its way out, and no secret is shown.

test_options.py tests those of names and numbers, which have the bounds of their options."""
from __future__ import unicode_literals

import re

import pytest

from docker_registry_index.engine.settings.checks import (
    Refused, as_text, endpoint, printable, secret)


def refusal(check, value):
    """Return the error of a value, which is one line of ASCII."""
    with pytest.raises(Refused) as caught:
        check(as_text(value))
    error = caught.value
    assert str(error) == '%s; %s' % (error.problem, error.way_out) and error.way_out
    assert re.match(r'[ -~]+\Z', str(error))
    return error


@pytest.mark.parametrize('problem, way_out, values', [
    ('neither http:// nor https://', 'http://127.0.0.1', [
        'localhost:8000', 'ftp://h', '127.0.0.1', '//h', 'dynamodb', 'http:/h', 'javascript:x']),
    ('an underscore', 'another name', ['http://dynamodb_local:8000', 'https://a.b_c/x']),
    ('an IPv6 address', 'a host name', [
        'http://[::1]:8000', 'http://::1:8000', 'http://[::1', 'http://[]', 'http://[x]:80']),
    ('not a number from 1 to 65535', 'write the port', [
        'http://h:65536', 'http://h:123456', 'http://h:x/y', 'http://h:', 'http://h:-1',
        'http://h:0']),
    ('not a host name', 'write a name', [
        'http://', 'http://a b:80', 'http:///x', 'http://:8000', 'http://-h', 'http://h-',
        'http://h..x', 'http://b\u00fccher.example', 'http://h\\x', 'http://h\nx',
        'http://%s' % ('x' * 64)]),
    ('whose path', 'leave the path out', ['http://h/a b', 'http://h/\x00'])])
def test_each_fault_of_an_endpoint_is_named_with_its_way_out(problem, way_out, values):
    for value in values:
        error = refusal(endpoint, value)
        assert error.problem.startswith("is '%s', wh" % printable(value))
        assert problem in error.problem and way_out in error.way_out


def test_a_secret_in_the_endpoint_is_refused_and_not_shown():
    for value in (
            'https://user:hUsH@dynamodb.example', 'https://hUsH@h', 'h://a:hUsH@b',
            'https://h/?X-Amz-Signature=hUsH', 'https://h?hUsH', 'https://h/#hUsH', 'user:hUsH@h',
            'https://u:hUsH@h:99999', 'https://u:hUsH\n@h'):
        error = refusal(endpoint, value)
        assert 'settings of their own' in error.way_out
        assert 'hUsH' not in str(error) + repr(error)


def test_a_badly_copied_key_is_refused_and_not_shown():
    for value in ('hUsH hUsH', 'hUsH\nhUsH', 'hUsH\thUsH', 'hUsH\x00', 'hUsH\x7f', 'hUsH\u00e9',
                  'hUsH\u200b', 'hUsH\U0001f600', 'hUsH\u00e9'.encode('utf-8'), b'hUsH\xff'):
        error = refusal(secret(), value)
        assert 'copy it again' in error.way_out and 'hUsH' not in repr(error) + str(error)
