# -*- coding: utf-8 -*-
"""Errors of other libraries are quoted in one line, without secrets."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine._compat import PY2

KEY_ID = 'AKIAIOSFODNN7EXAMPLE'


@pytest.mark.parametrize('message, expected', [
    ('', ''), ('one\ntwo', 'one'), ('no key %s here' % KEY_ID, 'no key AKIA... here'),
    ('of Ceph: 0555B35654AD1656D804.', 'of Ceph: 0555....'),
    ('<AWSAccessKeyId>minioadmin</AWSAccessKeyId>', '<AWSAccessKeyId>mini...</AWSAccessKeyId>'),
    ('AccessKeyId=lowercase', 'AccessKeyId=lowe...'),
    ('GET http://host/bucket?AWSAccessKeyId=x&Signature=y failed',
     'GET http://host/bucket?... failed'),
    # Names of tables and operations, and numbers of accounts, are not keys.
    ('docker-registry-repository in 123456789012 UPPERCASE',
     'docker-registry-repository in 123456789012 UPPERCASE'),
    ('\u00fc', '\\xfc'), ('\u00fc' * 9999, '\\xfc' * 75)], ids=lambda value: None)
def test_the_first_line_of_an_error_is_quoted_without_secrets(message, expected):
    assert errors.first_line(ValueError(message)) == expected


def test_the_class_of_an_error_is_named_once():
    class Refused(Exception):
        error_code = None

    error = Refused('Refused: 403 Forbidden\n<page>')
    assert errors.summary(error) == 'Refused: 403 Forbidden'
    error.error_code = 'AccessDenied'
    assert errors.summary(error) == 'Refused: 403 Forbidden (AccessDenied)'
    error.error_code = '<%s>' % KEY_ID
    assert errors.summary(error) == 'Refused: 403 Forbidden'
    assert errors.summary(Refused()) == 'Refused'
    assert errors.summary(Refused('why')) == 'Refused: why'


if PY2:
    def test_an_error_of_bytes_is_quoted_too():
        error = IOError(13, b'no rights', b'caf\xc3\xa9')
        assert errors.first_line(error).startswith('[Errno 13] no rights')


def test_an_unreadable_storage_is_an_error_of_one_line_without_the_key():
    message = '%s' % errors.StorageUnreadable('its namespaces', IOError('refused\n%s' % KEY_ID))
    assert message == (
        'the storage of the registry failed to report its namespaces: %s: refused; check the '
        'storage and its settings' % IOError.__name__)


def test_a_character_that_controls_a_terminal_is_replaced():
    assert errors.safe('a\x1b[2J\u202eb\nc\u2028d é') == 'a?[2J?b?c?d é'
