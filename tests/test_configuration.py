# -*- coding: utf-8 -*-
"""The registry's configuration file and the environment become Settings."""

from __future__ import unicode_literals

import os
import sys

import pytest
from hypothesis import given, strategies as st

from docker_registry_index import configuration
from docker_registry_index.engine.errors import (MissingDependency, SettingError)
from docker_registry_index.engine.settings.options import KEY_PAIR, OPTIONS

KEY, SECRET = 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY'

#: The form that 0.1.0 documented, with the registry's flavours around it.
FILE = '''
common: &common
    search_backend: docker_registry_index.dynamodb
    s3_region: _env:AWS_REGION
    s3_access_key: _env:AWS_KEY
    s3_secret_key: _env:AWS_SECRET
dev:
    <<: *common
prod:
    <<: *common
    extensions:
        dynamodb_index:
            database: of-prod
extensions:
    dynamodb_index:
        database: of-all
        region: _env:DYNAMODB_REGION
'''

#: The options that are numbers, by their variables.
NUMBERS = dict((str('DYNAMODB_' + name), '7') for name
               in ('STARTUP_WAIT', 'PUSH_WAIT', 'CONNECT_TIMEOUT', 'READ_TIMEOUT', 'ATTEMPTS'))
NUMBERS[str('DYNAMODB_SYNC_INTERVAL')] = '3600'


@pytest.fixture
def load(tmpdir):
    """Return a function from text of a file and variables to Settings."""
    def load(text, arguments=None, **environ):
        path = tmpdir.join('config.yml')
        path.write_binary(text.encode('utf-8'))
        settings, load.warnings = configuration.load(str(path), environ, arguments)
        return settings
    return load


@pytest.fixture
def refused(load, tmpdir):
    """Return a function that does the same, and returns the error."""
    def refused(text, **environ):
        with pytest.raises(SettingError) as caught:
            load(text, **environ)
        return str(caught.value).replace(str(tmpdir), '')
    return refused


def block(text):
    return 'dev:\n  extensions:\n    dynamodb_index:\n' + ''.join(
        '      %s\n' % line for line in text.splitlines())


# Where a value comes from

def test_the_top_level_block_counts(load):
    assert load(FILE).database == 'of-all'
    assert load.warnings == []


def test_the_flavours_block_wins_option_by_option(load):
    settings = load(FILE, SETTINGS_FLAVOR='prod', DYNAMODB_REGION='eu-west-1')
    assert settings.database == 'of-prod'
    assert settings.region == 'eu-west-1'


def test_another_flavours_block_does_not_count(load):
    assert load(FILE, SETTINGS_FLAVOR='dev').database == 'of-all'
    assert load(FILE, SETTINGS_FLAVOR='common').database == 'of-all'


def test_without_a_flavour_the_top_level_is_the_configuration(load):
    settings = load('s3_region: eu-west-1\n' + FILE, SETTINGS_FLAVOR='')
    assert (settings.database, settings.region) == ('of-all', 'eu-west-1')


def test_the_file_wins_over_the_environment(load):
    settings = load(FILE, DYNAMODB_DATABASE='of-environment', DYNAMODB_SEARCH_TABLE='searched')
    assert settings.database == 'of-all'
    assert settings.search_table == 'searched'


def test_arguments_win_over_everything(load):
    settings = load(FILE, dict(database='given', dynamodb_access_key=KEY,
                               dynamodb_secret_access_key=SECRET),
                    DYNAMODB_DATABASE='x', DYNAMODB_ACCESS_KEY='x',
                    DYNAMODB_SECRET_ACCESS_KEY='x', SETTINGS_FLAVOR='prod')
    assert settings.database == 'given'
    assert (settings.access_key, settings.secret_access_key) == (KEY, SECRET)


def test_arguments_left_out_are_absent(load):
    arguments = dict(database=None, dynamodb_access_key=None, dynamodb_secret_access_key=None)
    assert load(FILE, arguments).database == 'of-all'


@pytest.mark.parametrize('path', [True, False])
def test_the_environment_alone_is_enough(load, path):
    values = dict(
        DYNAMODB_DATABASE='db', DYNAMODB_REPOSITORY_TABLE='r-t',
        DYNAMODB_VERSION_TABLE='v-t', DYNAMODB_SEARCH_TABLE='s-t',
        DYNAMODB_REGION='eu-west-1', DYNAMODB_ACCESS_KEY=KEY,
        DYNAMODB_SECRET_ACCESS_KEY=SECRET,
        DYNAMODB_ENDPOINT_URL='http://localhost:8000', **NUMBERS)
    assert sorted(values) == sorted(option.variable for option in OPTIONS)
    settings = (load('dev:\n  loglevel: info\n', **values) if path else
                configuration.load(None, values)[0])
    assert vars(settings) == dict((option.name, float(values[option.variable]) if option.variable
                                   in NUMBERS else values[option.variable]) for option in OPTIONS)


@pytest.mark.parametrize('option', OPTIONS, ids=lambda option: option.name)
def test_every_option_can_be_named_by_env(load, option):
    good = dict(database='db', region='eu-west-1', access_key=KEY,
                secret_access_key=SECRET, endpoint_url='http://h:1/x',
                **dict((name.replace('DYNAMODB_', '').lower(), value)
                       for name, value in NUMBERS.items()))
    names = [option.name]
    if option.secret:
        names = ['access_key', 'secret_access_key']
    environ = dict(('X_' + name.upper(), good.get(name, 't-' + name)) for name in names)
    settings = load(block('\n'.join('%s: _env:X_%s' % (name, name.upper())
                                    for name in names)), **environ)
    for name in names:
        value = good.get(name, 't-' + name)
        if 'DYNAMODB_' + name.upper() in NUMBERS:
            value = float(value)
        assert getattr(settings, name) == value


def test_the_registrys_s3_settings_stand_in(load):
    s3 = dict(AWS_REGION='eu-west-1', AWS_KEY=KEY, AWS_SECRET=SECRET)
    settings = load(FILE, **s3)
    assert settings.region == 'eu-west-1'
    assert (settings.access_key, settings.secret_access_key) == (KEY, SECRET)
    settings = load(FILE, DYNAMODB_REGION='us-west-2', DYNAMODB_ACCESS_KEY='k',
                    DYNAMODB_SECRET_ACCESS_KEY='s', **s3)
    assert settings.region == 'us-west-2'
    assert (settings.access_key, settings.secret_access_key) == ('k', 's')


def test_without_any_key_botocore_is_left_to_find_one(load):
    settings = load(FILE, AWS_KEY='', DYNAMODB_SECRET_ACCESS_KEY=' ')
    assert settings.access_key is None
    assert settings.secret_access_key is None


@pytest.mark.parametrize('environ,missing,given', [
    (dict(AWS_KEY=KEY), 'secret_access_key', 'AWS_KEY, named in s3_access_key'),
    (dict(AWS_SECRET=SECRET), 'access_key', 'AWS_SECRET, named in s3_secret'),
    (dict(DYNAMODB_ACCESS_KEY=KEY, AWS_KEY=KEY, AWS_SECRET=SECRET),
     'secret_access_key', 'environment variable DYNAMODB_ACCESS_KEY'),
    (dict(DYNAMODB_SECRET_ACCESS_KEY=SECRET, AWS_KEY=KEY, AWS_SECRET=SECRET),
     'access_key', 'environment variable DYNAMODB_SECRET_ACCESS_KEY')])
def test_half_a_pair_is_not_completed_from_elsewhere(refused, environ, missing, given):
    message = refused(FILE, **environ)
    assert message.startswith('setting %s (from ' % missing)
    assert given in message and KEY not in message and SECRET not in message


@pytest.mark.parametrize('prefix', ['', 'dynamodb_'])
@pytest.mark.parametrize('rest', [{}, {'database': 'x'}])
@pytest.mark.parametrize('given,missing', [KEY_PAIR, KEY_PAIR[::-1]])
def test_half_a_pair_of_arguments_names_the_argument_that_is_missing(
        load, prefix, rest, given, missing):
    with pytest.raises(SettingError) as caught:
        load(FILE, dict(rest, **{str(prefix + given): KEY}), AWS_KEY=KEY, AWS_SECRET=SECRET)
    assert caught.value.source == 'argument %s%s' % (prefix, missing)
    assert 'argument %s%s' % (prefix, given) in caught.value.problem


@pytest.mark.parametrize('region', ['minio', 'EU', '_env:AWS_REGION'])
def test_a_region_that_only_s3_takes_may_stay_there(refused, region):
    message = refused('dev:\n  s3_region: %s\n' % region, AWS_REGION='us-east-1a')
    assert 's3_region of flavour' in message
    assert message.endswith('; set region in the block extensions.dynamodb_index, '
                            'or DYNAMODB_REGION')


def test_a_region_of_our_own_is_to_be_corrected(refused):
    assert 'DYNAMODB_REGION' not in refused(block('region: minio')).split('; ')[-1]


# How values are read

@pytest.mark.parametrize('written', [
    '0123', '0x1F', '1_000', '1e5', '1.5', '12345678901234567890', '1:30',
    'yes', 'no', 'true', 'off', '.inf', '2014-01-01', '=', '<', '+1', 'null1',
    '0o17', '1E+10', '-0'])
@pytest.mark.parametrize('quote', ['', '"', "'"])
def test_a_secret_is_the_text_that_was_written(load, written, quote):
    wrapped = quote + written + quote
    pair = 'access_key: k\nsecret_access_key: '
    for settings in (
            load(block(pair + wrapped)),
            load(block(pair + '_env:S'), S=wrapped),
            load(block(pair + '_env:S:' + wrapped)),
            load('dev: {}', DYNAMODB_ACCESS_KEY='k',
                 DYNAMODB_SECRET_ACCESS_KEY=wrapped),
            load('dev: {s3_access_key: k, s3_secret_key: "_env:S"}',
                 S=wrapped)):
        assert settings.secret_access_key == written


@pytest.mark.parametrize('nothing', ['', '~', 'null', 'NULL', ' ', '\n', '""'])
def test_an_empty_variable_is_absent(load, nothing):
    settings = load(block('database: _env:X:not-this'), X=nothing,
                    DYNAMODB_DATABASE='this', DYNAMODB_REGION=nothing)
    assert (settings.database, settings.region) == ('this', 'us-east-1')


@pytest.mark.parametrize('value,environ,expected', [
    ('_env:X', {}, (None, 'X')), ('_env:X', {'X': 'y'}, ('y', 'X')), ('_env:X:d', {}, ('d', 'X')),
    ('_env:X:d', {'X': ''}, (None, 'X')), ('_env:X:http://h:1/', {}, ('http://h:1/', 'X')),
    ('_env:X:', {}, (None, 'X')), ('_env:', {}, (None, '')), ('_env::d', {}, ('d', '')),
    ('_env:X', {'X': '_env:Y', 'Y': 'z'}, ('_env:Y', 'X')),
    ('_env:X', {'X': '"unclosed'}, ('"unclosed', 'X')), ('_env:X', {'X': '"a" b'}, ('"a" b', 'X')),
    ('_env:X', {'X': '[a]'}, ('[a]', 'X')), (b'_env:X', {'X': 'y'}, ('y', 'X')),
    ('env:X', {'X': 'y'}, ('env:X', None)), (' _env:X', {'X': 'y'}, (' _env:X', None)),
    ('_ENV:X', {'X': 'y'}, ('_ENV:X', None)), ('', {}, ('', None)), (None, {}, (None, None)),
    (7, {}, (7, None)), ({'a': '_env:X'}, {}, ({'a': '_env:X'}, None)),
])
def test_evaluate(value, environ, expected):
    assert configuration.evaluate(value, environ) == expected


@given(st.text())
def test_unquote_never_fails_and_leaves_unquoted_text_alone(text):
    value = configuration.unquote(text)
    stripped = text.strip()
    if stripped in ('', '~', 'null', 'Null', 'NULL'):
        assert value is None
    elif stripped[0] not in '"\'':
        assert value == stripped


@given(st.binary() | st.text())
def test_parse_returns_a_value_or_an_error_with_its_place(text):
    try:
        configuration.parse(text)
    except configuration.InvalidYAML as error:
        assert str(error).startswith('is not valid YAML')


def test_text_of_another_encoding_than_ascii_is_read(load):
    settings = load('caf\u00e9: {}\n' + FILE, DYNAMODB_REGION='eu-west-1')
    assert settings.region == 'eu-west-1'


def test_unknown_tags_of_yaml_are_ignored(load):
    text = ('dev:\n  a: !mine {b: [1, 2]}\n  c: !!python/tuple [1]\n'
            '  d: !x y\n  e: !!python/object/apply:os.getcwd []\n')
    assert load(text + '  s3_region: eu-west-1').region == 'eu-west-1'


@pytest.mark.parametrize('text', ['extensions: _env:E', 'extensions: {dynamodb_index: "_env:E2"}'])
def test_a_block_may_come_from_a_variable(load, text):
    settings = load('dev:\n  ' + text, E='{dynamodb_index: {database: db, region: "_env:R"}}',
                    E2='{"database": "db", "region": "_env:R"}', R='eu-west-1')
    assert (settings.database, settings.region) == ('db', 'eu-west-1')


@pytest.mark.parametrize('text', [
    'dev:', 'dev: {}', 'dev:\n  extensions:', 'dev: {extensions: ""}',
    'dev:\n  extensions:\n    dynamodb_index:', 'dev: {extensions: {}}',
    'dev: {extensions: {other: [1]}}', 'dev: {}\nextensions: "_env:UNSET"'])
def test_an_empty_block_is_no_block(load, text):
    assert load(text).database == 'docker-registry'
    assert load.warnings == []


# What stops the start

@pytest.mark.parametrize('text,environ,beginning', [
    (block('region: nowhere'), {},
     "setting region (from extensions.dynamodb_index of flavour 'dev' of "
     "/config.yml) is 'nowhere'"),
    (block('region: _env:R'), {'R': 'nowhere'},
     'setting region (from environment variable R, named in extensions.dy'),
    (block('region: _env:R:nowhere'), {},
     'setting region (from _env:R, a variable that is not set, in extens'),
    ('dev: {s3_region: nowhere}', {},
     "setting region (from s3_region of flavour 'dev' of /config.yml)"),
    ('dev: {}\nextensions: {dynamodb_index: {region: nowhere}}', {},
     'setting region (from extensions.dynamodb_index of the top level of '
     '/config.yml)'),
    ('dev: {}', {'DYNAMODB_REGION': 'nowhere'},
     'setting region (from environment variable DYNAMODB_REGION)'),
    (block('database: [a]'), {},
     "setting database (from extensions.dynamodb_index of flavour 'dev' of "
     "/config.yml) is of type list"),
    ('dev: {extensions: [1]}', {}, 'setting extensions (from flavour'),
    ('dev: {extensions: {dynamodb_index: text}}', {},
     'setting extensions.dynamodb_index (from flavour'),
    ('dev: {}\nextensions: text', {}, 'setting extensions (from the top'),
    ('dev: {extensions: "_env:E"}', {'E': '[hUsH]'},
     'setting extensions (from environment variable E, named in flavour'),
    ('dev: {extensions: "_env:E"}', {'E': '{hUsH'},
     'setting extensions (from environment variable E, named in flavour'),
    ('dev: hUsH', {}, 'setting dev (from flavour'),
    ('dev: [hUsH]', {}, 'setting dev (from flavour'),
    ('dev: {}', {'SETTINGS_FLAVOR': 'nope'},
     "setting SETTINGS_FLAVOR is 'nope', a flavour that /config.yml"),
    ('dev: {}', {'SETTINGS_FLAVOR': 'caf\u00e9'}, 'setting SETTINGS_FLAVOR'),
    ('dev: {}', {'SETTINGS_FLAVOR': b'caf\xc3\xa9'}, 'setting SETTINGS_FLAVOR'),
    ('caf\u00e9: {}', {'SETTINGS_FLAVOR': 'x'}, 'setting SETTINGS_FLAVOR is '),
    ('dev: {}', {'DYNAMODB_REGION': b'caf\xc3\xa9'},
     'setting region (from environment variable DYNAMODB_REGION)'),
    (block('database: "_env:\u00e9:\u00e9"'), {}, 'setting database (from _env'),
    ('', {}, 'setting SETTINGS_FLAVOR is '),
    ('hUsH', {}, 'setting DOCKER_REGISTRY_CONFIG names /config.yml, which ' 'contains no mapping'),
    ('- hUsH', {}, 'setting DOCKER_REGISTRY_CONFIG names /config.yml'),
    ('dev:\n  x: "hUsH\n', {}, 'setting DOCKER_REGISTRY_CONFIG names '
     '/config.yml, which is not valid YAML near line 3, column 1'),
    ('dev:\n  x:\n\thUsH\n', {}, 'setting DOCKER_REGISTRY_CONFIG names '),
    ('dev: *hUsH', {}, 'setting DOCKER_REGISTRY_CONFIG names '),
    ('dev: !!int hUsH', {}, 'setting DOCKER_REGISTRY_CONFIG names '),
    ('a: \x00hUsH', {}, 'setting DOCKER_REGISTRY_CONFIG names '),
    ('{[hUsH]: 1}', {}, 'setting DOCKER_REGISTRY_CONFIG names '),
    (block('access_key: k\nsecret_access_key: "hUsH hUsH"'), {},
     "setting secret_access_key (from extensions.dynamodb_index of flavour "
     "'dev' of /config.yml) contains"),
])
def test_a_configuration_that_cannot_work_is_one_clear_sentence(refused, text, environ, beginning):
    message = refused(text, **environ)
    assert message.startswith(beginning)
    assert '; ' in message and '\n' not in message
    assert 'hUsH' not in message


def test_the_flavours_there_are_are_named(refused):
    message = refused(FILE, SETTINGS_FLAVOR='Prod')
    assert message.endswith('one of: common, dev, prod')


@pytest.mark.parametrize('name', ['missing.yml', '.', 'caf\u00e9.yml'])
def test_a_file_that_cannot_be_read_is_named(tmpdir, name):
    with pytest.raises(SettingError) as caught:
        configuration.load(os.path.join(str(tmpdir), name), {})
    assert 'DOCKER_REGISTRY_CONFIG' in str(caught.value)
    assert 'cannot be read: ' in str(caught.value)
    assert str(tmpdir) in str(caught.value)


def test_the_path_may_hold_any_character(tmpdir):
    folder = tmpdir.mkdir('caf\u00e9 x')
    folder.join('c.yml').write('dev: {s3_region: nowhere}')
    with pytest.raises(SettingError) as caught:
        configuration.load(folder.join('c.yml').strpath, {})
    assert 'nowhere' in str(caught.value)


def test_without_pyyaml_the_error_names_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, 'yaml', None)
    with pytest.raises(MissingDependency) as caught:
        load(FILE)
    assert 'pip install PyYAML' in str(caught.value)
    assert not isinstance(caught.value, ImportError)


def test_the_environment_alone_needs_no_pyyaml(monkeypatch):
    monkeypatch.setitem(sys.modules, 'yaml', None)
    settings, _ = configuration.load(None, {'DYNAMODB_DATABASE': 'db'})
    assert settings.database == 'db'


# What is warned about

@pytest.mark.parametrize('text,words', [
    (block('databse: x'), ['databse', 'did you mean database?', "'dev'"]),
    ('dev: {}\nextensions: {dynamodb_index: {regoin: x}}',
     ['regoin', 'did you mean region?', 'top level']),
    ('dev: {dynamodb_index: {database: x}}', ['dynamodb_index', 'move it below extensions']),
    ('dev: {}\ndynamodb_index: {database: x}',
     ['dynamodb_index', 'top level', 'move it below extensions']),
    ('dev: {extensions: {dynamo_index: {database: x}}}',
     ['dynamo_index', 'did you mean dynamodb_index?']),
    ('dev: {extension: {dynamodb_index: {database: x}}}',
     ['extension ', 'did you mean extensions?'])])
def test_a_key_or_block_that_is_ignored_is_a_warning(load, text, words):
    assert load(text).database == 'docker-registry'
    assert len(load.warnings) == 1
    assert [word for word in words if word not in load.warnings[0]] == []


def test_a_secret_without_its_space_is_not_shown(load):
    load(block('"secret_access_key:hUsHhUsH":\ndatabase: x'))
    assert len(load.warnings) == 1 and 'hUsH' not in load.warnings[0]
    assert 'secret_access_key' in load.warnings[0]


# The path

@pytest.mark.parametrize('name,expected', [
    (None, '/site/config/config.yml'), ('other.yml', '/site/config/other.yml'),
    ('../x/other.yml', '/site/x/other.yml'),
    ('/etc/registry.yml', '/etc/registry.yml')])
def test_path_of(name, expected):
    environ = {} if name is None else {'DOCKER_REGISTRY_CONFIG': name}
    path = configuration.path_of(environ, '/site/docker_registry/lib/config.pyc')
    assert os.path.normpath(path) == expected
