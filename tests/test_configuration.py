"""The registry's configuration file and the environment become Settings."""
from __future__ import unicode_literals

import os
import sys

import pytest
from hypothesis import given, strategies as st

from docker_registry_index import configuration
from docker_registry_index.engine.errors import MissingDependency, SettingError
from docker_registry_index.engine.settings.options import KEY_PAIR, OPTIONS

KEY, SECRET = 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY'
#: What a registry has for its S3.
S3 = dict(AWS_REGION='eu-west-1', AWS_KEY=KEY, AWS_SECRET=SECRET)
#: What it may have for the index.
OURS = dict(DYNAMODB_REGION='us-west-2', DYNAMODB_ACCESS_KEY='k', DYNAMODB_SECRET_ACCESS_KEY='s')

#: The form that 0.1.0 documented, with the registry's flavours around it.
FILE = '''
common: &common
    search_backend: docker_registry_index.dynamodb
    s3_region: _env:AWS_REGION
    s3_access_key: _env:AWS_KEY
    s3_secret_key: _env:AWS_SECRET
dev: *common
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


@pytest.fixture
def load(tmpdir):
    """Return a function from text of a file and variables to Settings."""
    def load(text, arguments=None, **environ):
        path = tmpdir.join('config.yml')
        path.write_binary(text.encode('utf-8'))
        settings, load.warnings = configuration.load(str(path), environ, arguments)
        return settings

    load.folder = str(tmpdir)
    return load


def error_of(load, text, **environ):
    """Return the error of such a load."""
    with pytest.raises(SettingError) as caught:
        load(text, **environ)
    return str(caught.value).replace(load.folder, '')


def block(text):
    return 'dev:\n  extensions:\n    dynamodb_index:\n' + ''.join(
        '      %s\n' % line for line in text.splitlines())


def test_the_block_of_the_flavour_beats_that_of_the_top_level_option_by_option(load):
    settings = load(FILE, SETTINGS_FLAVOR='prod', DYNAMODB_REGION='eu-west-1')
    assert (settings.database, settings.region) == ('of-prod', 'eu-west-1')
    for flavour in {}, {'SETTINGS_FLAVOR': 'dev'}, {'SETTINGS_FLAVOR': 'common'}:
        assert load(FILE, **flavour).database == 'of-all'
        assert load.warnings == []


def test_without_a_flavour_the_top_level_is_the_configuration(load):
    settings = load('s3_region: eu-west-1\n' + FILE, SETTINGS_FLAVOR='')
    assert (settings.database, settings.region) == ('of-all', 'eu-west-1')


def test_arguments_beat_the_file_and_the_file_beats_the_environment(load):
    environ = dict(OURS, DYNAMODB_DATABASE='of-environment', DYNAMODB_SEARCH_TABLE='searched')
    given = dict(database='given', dynamodb_access_key=KEY, dynamodb_secret_access_key=SECRET)
    settings = load(FILE, dict.fromkeys(given), **environ)
    assert (settings.database, settings.search_table) == ('of-all', 'searched')
    settings = load(FILE, given, SETTINGS_FLAVOR='prod', **environ)
    assert (settings.database, settings.access_key, settings.secret_access_key) == (
        'given', KEY, SECRET)


def test_every_option_is_read_from_its_variable_and_from_one_that_the_file_names(load):
    values = dict(database='db', repository_table='r-t', version_table='v-t', search_table='s-t',
                  region='eu-west-1', access_key=KEY, secret_access_key=SECRET,
                  endpoint_url='http://localhost:8000')
    numbers = dict.fromkeys(['startup_wait', 'push_wait', 'connect_timeout', 'read_timeout',
                             'attempts'], '7')
    numbers.update(sync_interval='3600', max_results='500', warm_throughput='5000')
    written = dict(values, **numbers)
    assert sorted(written) == sorted(option.name for option in OPTIONS)
    expected = dict(values, **dict((name, float(number)) for name, number in numbers.items()))
    environ = dict((option.variable, written[option.name]) for option in OPTIONS)
    of_the_file = dict(('X_' + name, value) for name, value in written.items())
    named = block('\n'.join('%s: _env:X_%s' % (name, name) for name in written))
    for settings in (configuration.load(None, environ)[0],
                     load('dev:\n  loglevel: info\n', **environ), load(named, **of_the_file)):
        assert vars(settings) == expected


@pytest.mark.parametrize('environ,expected', [
    (S3, ('eu-west-1', KEY, SECRET)), (dict(S3, **OURS), ('us-west-2', 'k', 's')),
    (dict(AWS_KEY='', DYNAMODB_SECRET_ACCESS_KEY=' '), ('us-east-1', None, None))])
def test_the_settings_of_the_registrys_s3_are_used_where_there_are_no_others(
        load, environ, expected):
    settings = load(FILE, **environ)
    assert (settings.region, settings.access_key, settings.secret_access_key) == expected


ENDPOINTS = {'AWS_ENDPOINT_URL': 'http://any:1', 'AWS_ENDPOINT_URL_DYNAMODB': 'http://own:2'}


@pytest.mark.parametrize('environ,expected', [
    (ENDPOINTS, 'http://own:2'), (dict(ENDPOINTS, AWS_ENDPOINT_URL_DYNAMODB=' '), 'http://any:1'),
    (dict(ENDPOINTS, DYNAMODB_ENDPOINT_URL='http://ours:3'), 'http://ours:3'),
    (dict(ENDPOINTS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS='True'), None),
    (dict(ENDPOINTS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS='false'), 'http://own:2')])
def test_the_endpoint_variables_of_the_aws_sdks_count_if_no_setting_does(
        load, environ, expected):
    assert load(FILE, **environ).endpoint_url == expected
    assert load(block('endpoint_url: http://block:4'), **environ).endpoint_url == 'http://block:4'
    assert load.warnings == []


@pytest.mark.parametrize('variable', sorted(ENDPOINTS))
def test_an_error_names_an_endpoint_variable_that_is_not_a_url(load, variable):
    assert error_of(load, FILE, **{str(variable): 'localhost:8000'}) == (
        "setting endpoint_url (from environment variable %s) is 'localhost:8000', which begins "
        'with neither http:// nor https://; write it like http://127.0.0.1:8000' % variable)


def test_with_an_endpoint_of_the_aws_sdks_a_region_may_have_any_name(load):
    settings = load(block('region: local'), AWS_ENDPOINT_URL='http://127.0.0.1:8000')
    assert (settings.region, settings.endpoint_url) == ('local', 'http://127.0.0.1:8000')


@pytest.mark.parametrize('environ,expected', [
    ({'AWS_REGION': 'eu-west-1', 'AWS_DEFAULT_REGION': 'eu-west-2'}, 'eu-west-1'),
    ({'AWS_REGION': '', 'AWS_DEFAULT_REGION': 'eu-west-2'}, 'eu-west-2'),
    ({'AWS_REGION': 'eu-west-1', 'DYNAMODB_REGION': 'eu-west-3'}, 'eu-west-3')])
def test_the_region_variables_of_the_aws_sdks_count_for_the_service_alone(environ, expected):
    assert configuration.load(None, environ, is_service=True)[0].region == expected
    plugins = configuration.load(None, environ)[0].region
    assert plugins == environ.get('DYNAMODB_REGION', 'us-east-1')


def test_an_error_names_a_region_variable_with_an_availability_zone():
    with pytest.raises(SettingError) as caught:
        configuration.load(None, {'AWS_REGION': 'us-east-1a'}, is_service=True)
    assert str(caught.value).startswith(
        "setting region (from environment variable AWS_REGION) is 'us-east-1a', which is an ava")


@pytest.mark.parametrize('environ,missing,given', [
    (dict(AWS_KEY=KEY), 'secret_access_key', 'AWS_KEY, named in s3_access_key'),
    (dict(S3, DYNAMODB_SECRET_ACCESS_KEY=SECRET), 'access_key',
     'environment variable DYNAMODB_SECRET_ACCESS_KEY')])
def test_half_a_key_pair_is_not_completed_from_elsewhere(load, environ, missing, given):
    message = error_of(load, FILE, **environ)
    assert message.startswith('setting %s (from ' % missing)
    assert given in message and KEY not in message and SECRET not in message


@pytest.mark.parametrize('prefix', ['', 'dynamodb_'])
@pytest.mark.parametrize('given,missing', [KEY_PAIR, KEY_PAIR[::-1]])
def test_half_a_key_pair_of_arguments_names_the_argument_that_is_missing(
        load, prefix, given, missing):
    with pytest.raises(SettingError) as caught:
        load(FILE, {'database': 'x', prefix + given: KEY}, **S3)
    assert caught.value.source == 'argument %s%s' % (prefix, missing)
    assert 'argument %s%s' % (prefix, given) in caught.value.problem


@pytest.mark.parametrize('region', ['minio', 'EU', '_env:AWS_REGION'])
def test_a_region_that_only_s3_accepts_may_stay_there(load, region):
    message = error_of(load, 'dev:\n  s3_region: %s\n' % region, AWS_REGION='us-east-1a')
    assert 's3_region of flavour' in message
    way_out = '; set region in the block extensions.dynamodb_index, or DYNAMODB_REGION'
    assert message.endswith(way_out)
    assert 'DYNAMODB_REGION' not in error_of(load, block('region: minio')).split('; ')[-1]


@pytest.mark.parametrize('written', [
    '0123', '0x1F', '1_000', '1e5', '1.5', '12345678901234567890', '1:30', 'yes', 'no', 'true',
    'off', '.inf', '2014-01-01', '=', '<', '+1', 'null1', '0o17', '1E+10', '-0'])
@pytest.mark.parametrize('quote', ['', '"', "'"])
def test_a_secret_is_the_text_that_was_written(load, written, quote):
    wrapped = quote + written + quote
    pair = 'access_key: k\nsecret_access_key: '
    for settings in (
            load(block(pair + wrapped)), load(block(pair + '_env:S'), S=wrapped),
            load(block(pair + '_env:S:' + wrapped)),
            load('dev: {}', DYNAMODB_ACCESS_KEY='k', DYNAMODB_SECRET_ACCESS_KEY=wrapped),
            load('dev: {s3_access_key: k, s3_secret_key: "_env:S"}', S=wrapped)):
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
    (7, {}, (7, None)), ({'a': '_env:X'}, {}, ({'a': '_env:X'}, None))])
def test_a_value_is_evaluated_as_docker_registry_does(value, environ, expected):
    assert configuration.evaluate(value, environ) == expected


@given(st.text())
def test_unquote_never_fails_and_leaves_unquoted_text_alone(text):
    value, stripped = configuration.unquote(text), text.strip()
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


def test_names_beyond_ascii_and_unknown_tags_of_yaml_are_no_error(load):
    tags = ('dev:\n  a: !mine {b: [1, 2]}\n  c: !!python/tuple [1]\n  d: !x y\n'
            '  e: !!python/object/apply:os.getcwd []\n')
    for text in 'caf\u00e9: {}\ndev:\n', tags:
        assert load(text + '  s3_region: eu-west-1').region == 'eu-west-1'


@pytest.mark.parametrize('text', ['extensions: _env:E', 'extensions: {dynamodb_index: "_env:E2"}'])
def test_a_block_may_come_from_a_variable(load, text):
    settings = load('dev:\n  ' + text, E='{dynamodb_index: {database: db, region: "_env:R"}}',
                    E2='{"database": "db", "region": "_env:R"}', R='eu-west-1')
    assert (settings.database, settings.region) == ('db', 'eu-west-1')


@pytest.mark.parametrize('text', [
    'dev:', 'dev: {}', 'dev:\n  extensions:', 'dev: {extensions: ""}', 'dev: {extensions: {}}',
    'dev:\n  extensions:\n    dynamodb_index:', 'dev: {extensions: {other: [1]}}',
    'dev: {}\nextensions: "_env:UNSET"'])
def test_an_empty_block_is_no_block(load, text):
    assert load(text).database == 'docker-registry'
    assert load.warnings == []


NO_YAML = 'DOCKER_REGISTRY_CONFIG names /config.yml, which is not valid YAML'


@pytest.mark.parametrize('text,environ,beginning', [
    (block('region: nowhere'), {}, "region (from extensions.dynamodb_index of flavour 'dev' of "
     "/config.yml) is 'nowhere'"),
    (block('region: _env:R'), {'R': 'nowhere'}, 'region (from environment variable R, named in '),
    (block('region: _env:R:nowhere'), {}, 'region (from _env:R, a variable that is not set, in '),
    ('dev: {s3_region: nowhere}', {}, "region (from s3_region of flavour 'dev' of /config.yml)"),
    ('dev: {}\nextensions: {dynamodb_index: {region: nowhere}}', {},
     'region (from extensions.dynamodb_index of the top level of /config.yml)'),
    ('dev: {}', {'DYNAMODB_REGION': 'nowhere'}, 'region (from environment variable DYNAMODB_REG'),
    ('dev: {}', {'DYNAMODB_REGION': b'caf\xc3\xa9'}, 'region (from environment variable DYNAMODB'),
    (block('database: [a]'), {}, "database (from extensions.dynamodb_index of flavour 'dev' of "
     "/config.yml) is of type list"),
    (block('database: "_env:\u00e9:\u00e9"'), {}, 'database (from _env'),
    ('dev: {extensions: [1]}', {}, 'extensions (from flavour'),
    ('dev: {extensions: {dynamodb_index: text}}', {}, 'extensions.dynamodb_index (from flavour'),
    ('dev: {}\nextensions: text', {}, 'extensions (from the top'),
    ('dev: {extensions: "_env:E"}', {'E': '[hUsH]'}, 'extensions (from environment variable E, n'),
    ('dev: {extensions: "_env:E"}', {'E': '{hUsH'}, 'extensions (from environment variable E, n'),
    ('dev: hUsH', {}, 'dev (from flavour'), ('dev: [hUsH]', {}, 'dev (from flavour'),
    ('dev: {}', {'SETTINGS_FLAVOR': 'nope'}, "SETTINGS_FLAVOR is 'nope', a flavour that /config."),
    ('dev: {}', {'SETTINGS_FLAVOR': 'caf\u00e9'}, 'SETTINGS_FLAVOR'),
    ('dev: {}', {'SETTINGS_FLAVOR': b'caf\xc3\xa9'}, 'SETTINGS_FLAVOR'),
    ('caf\u00e9: {}', {'SETTINGS_FLAVOR': 'x'}, 'SETTINGS_FLAVOR is '),
    ('', {}, 'SETTINGS_FLAVOR is '),
    ('hUsH', {}, 'DOCKER_REGISTRY_CONFIG names /config.yml, which contains no mapping'),
    ('- hUsH', {}, 'DOCKER_REGISTRY_CONFIG names /config.yml, which contains no mapping'),
    ('dev:\n  x: "hUsH\n', {}, NO_YAML + ' near line 3, column 1'),
    ('dev:\n  x:\n\thUsH\n', {}, NO_YAML), ('dev: *hUsH', {}, NO_YAML),
    ('dev: !!int hUsH', {}, NO_YAML), ('a: \x00hUsH', {}, NO_YAML), ('{[hUsH]: 1}', {}, NO_YAML),
])
def test_a_configuration_that_cannot_work_is_one_clear_sentence(load, text, environ, beginning):
    message = error_of(load, text, **environ)
    assert message.startswith('setting ' + beginning)
    assert '; ' in message and '\n' not in message
    assert 'hUsH' not in message


def test_an_unknown_flavour_is_an_error_that_names_all_flavours(load):
    assert error_of(load, FILE, SETTINGS_FLAVOR='Prod').endswith('one of these: common, dev, prod')


@pytest.mark.parametrize('name,problem', [
    ('missing.yml', 'cannot be read: '), ('.', 'cannot be read: '),
    ('caf\u00e9.yml', 'cannot be read: '), ('caf\u00e9 x.yml', "is 'nowhere'")])
def test_a_file_that_cannot_be_read_is_named_whatever_its_path_contains(tmpdir, name, problem):
    tmpdir.join('caf\u00e9 x.yml').write('dev: {s3_region: nowhere}')
    with pytest.raises(SettingError) as caught:
        configuration.load(os.path.join(str(tmpdir), name), {})
    assert str(tmpdir) in str(caught.value) and problem in str(caught.value)


def test_only_a_file_needs_pyyaml_and_the_error_names_what_to_install(load, monkeypatch):
    monkeypatch.setitem(sys.modules, 'yaml', None)
    with pytest.raises(MissingDependency) as caught:
        load(FILE)
    assert 'pip install PyYAML' in str(caught.value)
    assert not isinstance(caught.value, ImportError)
    assert configuration.load(None, {'DYNAMODB_DATABASE': 'db'})[0].database == 'db'


@pytest.mark.parametrize('text,words', [
    (block('databse: x'), ['databse', 'did you mean database?', "'dev'"]),
    ('dev: {dynamodb_index: {database: x}}', ['dynamodb_index', 'move it below extensions']),
    ('dev: {}\ndynamodb_index: {database: x}',
     ['dynamodb_index', 'top level', 'move it below extensions']),
    ('dev: {extensions: {dynamo_index: {database: x}}}',
     ['dynamo_index', 'did you mean dynamodb_index?']),
    ('dev: {extension: {dynamodb_index: {database: x}}}',
     ['extension ', 'did you mean extensions?']),
    (block('"secret_access_key:hUsHhUsH":'), ['secret_access_key'])])
def test_a_key_or_block_that_is_ignored_is_a_warning(load, text, words):
    assert load(text).database == 'docker-registry'
    [warning] = load.warnings
    assert [word for word in words if word not in warning] == [] and 'hUsH' not in warning


@pytest.mark.parametrize('name,expected', [
    (None, '/site/config/config.yml'), ('other.yml', '/site/config/other.yml'),
    ('../x/other.yml', '/site/x/other.yml'), ('/etc/registry.yml', '/etc/registry.yml')])
def test_the_path_of_the_file_is_the_one_that_docker_registry_reads(name, expected):
    environ = {} if name is None else {'DOCKER_REGISTRY_CONFIG': name}
    path = configuration.path_of(environ, '/site/docker_registry/lib/config.pyc')
    assert os.path.normpath(path) == expected


def test_a_secret_may_be_in_the_file_that_a_variable_names(load, tmpdir):
    paths = {}
    for name, content in (('access_key', KEY + '\n'), ('secret_access_key', '"0123"\r\n')):
        paths['DYNAMODB_%s_FILE' % name.upper()] = str(tmpdir.join(name))
        tmpdir.join(name).write(content)
    for settings in (configuration.load(None, paths)[0],
                     load(block('access_key: _env:DYNAMODB_ACCESS_KEY'), **paths)):
        assert (settings.access_key, settings.secret_access_key) == (KEY, '"0123"'), 'as written'
    settings = load(block('access_key: k\nsecret_access_key: s'), **paths)
    assert settings.secret_access_key == 's', 'the block wins, as over other variables'


@pytest.mark.parametrize('content,more,problem', [
    (None, {}, 'names a file that cannot be read: No such file or directory; '),
    (b'', {}, 'names a file that is empty; '), (b' \n', {}, 'names a file that is empty; '),
    (b'\xff' + SECRET.encode(), {}, 'names a file that is not text in UTF-8; '),
    (b'x', {'DYNAMODB_SECRET_ACCESS_KEY': SECRET},
     'is set, and so is DYNAMODB_SECRET_ACCESS_KEY; unset one of them')])
def test_a_file_that_cannot_give_a_secret_is_named_by_its_variable_alone(
        tmpdir, content, more, problem):
    # By mistake, the variable may have the secret itself.
    path = tmpdir.join(SECRET.split('/')[-1])
    if content is not None:
        path.write_binary(content)
    with pytest.raises(SettingError) as caught:
        configuration.load(None, dict(more, DYNAMODB_SECRET_ACCESS_KEY_FILE=str(path)))
    message = str(caught.value)
    assert message.startswith('setting DYNAMODB_SECRET_ACCESS_KEY_FILE ' + problem)
    assert SECRET[:9] not in message and str(path) not in message


def test_an_unusable_secret_of_a_file_is_reported_with_its_variable(tmpdir):
    path = tmpdir.join('secret')
    path.write('two words')
    with pytest.raises(SettingError) as caught:
        configuration.load(None, {'DYNAMODB_ACCESS_KEY': KEY,
                                  'DYNAMODB_SECRET_ACCESS_KEY_FILE': str(path)})
    assert str(caught.value).startswith('setting secret_access_key (from the file that environment '
                                        'variable DYNAMODB_SECRET_ACCESS_KEY_FILE names) contains')


@pytest.mark.parametrize('name,meant', [
    ('DYNAMO_DB_REGION', 'DYNAMODB_REGION'), ('DYNAMODB_TABLE', 'DYNAMODB_DATABASE'),
    ('DYNAMODB_ENDPOINT', 'DYNAMODB_ENDPOINT_URL'), ('DYNAMODB_REGION_FILE', 'DYNAMODB_REGION'),
    ('DYNAMODB_SECRET_KEY', 'DYNAMODB_SECRET_ACCESS_KEY'), ('DYNAMODB_REGOIN', 'DYNAMODB_REGION')])
def test_a_variable_that_resembles_one_of_ours_is_a_warning_that_names_it(name, meant):
    assert configuration.load(None, {name: 'Hush'})[1] == [
        'environment variable %s is ignored (did you mean %s?)' % (name, meant)]
    assert configuration.load(None, {name: ' '})[1] == []


def test_variables_of_other_programs_are_no_warning(load):
    environ = {'DYNAMODB_PORT': 'tcp://10.0.0.1:8000', 'DYNAMODB_SERVICE_HOST': '10.0.0.1',
               'DYNAMODB_PORT_8000_TCP_ADDR': '10.0.0.1', 'DYNAMODB_ENV_LANG': 'C',
               'DYNAMODB_NAME': '/registry/dynamodb', 'AWS_REGION': 'eu-west-1', 'REGION': 'x',
               'REGISTRY_USER': 'of the service'}
    environ = dict((str(name), value) for name, value in environ.items())
    environ[b'caf\xc3\xa9' if str is bytes else 'caf\udcc3\udca9'] = b'\xff'
    assert configuration.load(None, environ)[1] == []
    load(block('database: _env:DYNAMODB_TABLE'), DYNAMODB_TABLE='named-in-the-file')
    assert load.warnings == []
