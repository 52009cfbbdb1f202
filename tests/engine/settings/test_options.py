"""The engine's settings: their defaults, and the values that stop the start.

test_resolution.py tests what every table of options has in common."""
from __future__ import unicode_literals

import functools
import re

import botocore.session
import botocore.utils
import pytest

from docker_registry_index.engine.errors import SettingError
from docker_registry_index.engine.settings.options import Settings
from docker_registry_index.engine.settings.resolution import Layer, resolve as resolve_any

resolve = functools.partial(resolve_any, Settings)
KEY, SECRET = 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY'


def refusal(**values):
    """Return the error of one layer, after the checks that every such error passes."""
    origins = dict((name, 'line %s of x.yml' % name) for name in values)
    with pytest.raises(SettingError) as caught:
        resolve([Layer('x.yml', values, origins)])
    error, message = caught.value, str(caught.value)
    assert message.startswith('setting %s ' % error.setting)
    assert error.problem in message and error.source in message
    assert message.endswith('; ' + error.way_out) and error.way_out
    assert re.match(r'[ -~]+\Z', message), 'one line of ASCII'
    return error


def settings_of(**values):
    return resolve([Layer('x.yml', values)])[0]


def test_every_option_has_a_default():
    settings, warnings = resolve([])
    assert vars(settings) == {
        'database': 'docker-registry', 'repository_table': 'docker-registry-repository',
        'version_table': 'docker-registry-version', 'search_table': 'docker-registry-search-4',
        'region': 'us-east-1', 'access_key': None, 'secret_access_key': None,
        'endpoint_url': None, 'startup_wait': 30, 'push_wait': 5, 'sync_interval': 86400,
        'max_results': 10000, 'warm_throughput': None, 'connect_timeout': 1, 'read_timeout': 3,
        'attempts': 3}
    assert warnings == []


@pytest.mark.parametrize('name, accepted, refused', [
    ('startup_wait', [0, '0', '3600', 0.5, '1.25'],
     ['-1', '3601', 'soon', '1e3', '5s', u'\u0665', 'inf', 'nan', '1,5']),
    ('push_wait', ['0', 3600], ['-0.1', '4000']),
    ('sync_interval', ['0', '60', 31536000], ['1', '59.9', '1d', '-60']),
    ('max_results', ['1', 1000000], ['0', '-1', '1000001', '2.5', 'all']),
    ('warm_throughput', ['4000', 10000000], ['0', '3999', '10000001', '1e6']),
    ('connect_timeout', ['0.1', '60'], ['0', '0.05', '61']),
    ('read_timeout', ['0.1', '60'], ['0', '61', 'none']),
    ('attempts', ['1', '10', 3], ['0', '11', '2.5', '-1', 'three'])])
def test_a_number_is_refused_outside_its_bounds(name, accepted, refused):
    for value in accepted:
        assert getattr(settings_of(**{str(name): value}), name) == float(value)
    for value in refused:
        assert refusal(**{str(name): value}).setting == name


def test_repr_shows_the_first_four_characters_of_the_key_and_a_temporary_one_is_warned_about():
    shown = repr(Settings(access_key=KEY, secret_access_key=SECRET, database='x'))
    assert "access_key='AKIA...'" in shown and "database='x'" in shown
    assert KEY not in shown and SECRET not in shown
    assert 'hush' not in repr(Settings(access_key='hush', secret_access_key='hush'))
    _, [warning] = resolve([Layer('x', {
        'access_key': 'ASIAIOSFODNN7EXAMPLE', 'secret_access_key': SECRET})])
    assert 'AWS_SESSION_TOKEN' in warning and SECRET not in warning


INVALID_TABLES = ['a', 'ab', 'x' * 256, 'a b c', 'a/b/c', 'na\u00efve', 'abc\ndef', 'a%20b',
                  'abc\x00', '\u0660\u0661\u0662\u0663', '-repository;', '${TABLE}']
LOCAL = {'endpoint_url': 'http://localhost:8000'}


@pytest.mark.parametrize('name, more, hint, values', [
    ('repository_table', {}, 'table name', INVALID_TABLES),
    ('version_table', {}, 'table name', INVALID_TABLES),
    ('search_table', {}, 'table name', INVALID_TABLES),
    ('database', {}, 'table name', ['x' * 245, 'a b', 'a/b', '\u00e9', 'a\nb']),
    ('access_key', {'secret_access_key': SECRET}, 'copy it again', ['hUsH hUsH']),
    ('secret_access_key', {'access_key': KEY}, 'copy it again', ['hUsH hUsH']),
    ('endpoint_url', {}, 'settings of their own', ['https://user:hUsH@h', 'https://h/?hUsH']),
    ('endpoint_url', {}, 'which botocore refuses', ['http://dynamodb_local:8000']),
    # No region of AWS, and with an endpoint, none that botocore accepts.
    ('region', {}, 'us-east-1', [
        'local', 'EU', 'US-EAST-1', 'us-east', 'us_east_1', 'useast1', 'us-east-1-', 'us-east-123',
        'aws-global', 'default', '1', 'no', 'us-east-1.amazonaws.com']),
    ('region', LOCAL, 'region', ['us east 1', '-local', 'local-', '12', 'x' * 64, 'lo_cal', 'a.b',
                                 'a/b', 'r\u00e9gion', 'a\nb'])], ids=lambda value: None)
def test_an_invalid_value_is_refused(name, more, hint, values):
    for value in values:
        error = refusal(**dict(more, **{str(name): value}))
        assert error.setting == name and hint in '%s; %s' % (error.problem, error.way_out), value
        assert 'hUsH' not in str(error) + repr(error)


@pytest.mark.parametrize('name, more, values', [
    ('search_table', {}, ['abc', 'x' * 255, 'A-b_c.9', '...', '---']),
    # Regions that an old botocore does not know.
    ('region', {}, ['us-iso-east-1', 'us-isob-west-1', 'us-gov-west-1', 'cn-north-1',
                    'eusc-de-east-1', 'mx-central-1', 'xx-somewhere-12']),
    ('region', LOCAL, ['local', 'ddblocal', 'EU', 'garage', 'r1']),
    ('endpoint_url', {}, [
        'http://localhost:8000', 'http://127.0.0.1:4566', 'HTTPS://Example.COM',
        'https://dynamodb.eu-west-1.amazonaws.com', 'http://h', 'http://h:1', 'http://h:65535/',
        'https://vpce-1a2b.dynamodb.us-east-1.vpce.amazonaws.com/', 'https://proxy/dynamo/db',
        'http://xn--bcher-kva.example:8000'])])
def test_a_valid_value_is_accepted_here_and_by_botocore(name, more, values):
    for value in values:
        settings = settings_of(**dict(more, **{str(name): value}))
        assert getattr(settings, name) == value
        botocore.utils.validate_region_name(settings.region)
        assert settings.endpoint_url is None or botocore.utils.is_valid_endpoint_url(
            settings.endpoint_url)


def test_every_region_of_botocore_is_accepted():
    data = botocore.session.get_session().get_data('endpoints')
    regions = [name for partition in data['partitions'] for name in partition['regions']]
    assert len(regions) > 20
    assert [settings_of(region=name).region for name in regions] == regions
    # An availability zone is none.
    assert refusal(region='eu-west-1b').way_out == 'write its region, eu-west-1'


def test_tables_are_named_after_the_database():
    for value in 'x', 'x' * 244, '.', 'a.b_c-9', 2014, 1.5:
        # Options are resolved one by one.
        settings, _ = resolve([Layer('a', {'database': '', 'search_table': 'own'}),
                               Layer('b', {'database': value, 'search_table': 'x'})])
        assert [settings.repository_table, settings.version_table, settings.search_table] == [
            '%s-repository' % value, '%s-version' % value, 'own']


@pytest.mark.parametrize('given, setting, other', [
    ({'repository_table': 'one', 'version_table': 'one'}, 'version_table', 'repository_table'),
    ({'repository_table': 'one', 'search_table': 'one'}, 'search_table', 'repository_table'),
    ({'version_table': 'one', 'search_table': 'one'}, 'search_table', 'version_table'),
    # The default of another one.
    ({'repository_table': 'docker-registry-search-4'}, 'search_table', 'repository_table'),
    ({'version_table': 'docker-registry-repository'}, 'version_table', 'repository_table'),
    ({'search_table': 'docker-registry-version'}, 'search_table', 'version_table')])
def test_two_tables_with_one_name_are_refused(given, setting, other):
    error = refusal(**given)
    assert error.setting == setting and ', as is %s (from ' % other in error.problem
    for name in given:
        assert 'line %s of x.yml' % name in str(error)
    settings_of(**dict(given, **{str(setting): 'One'}))
