"""The service's settings: each from environment and file, checked, and named in its errors."""
import re
from ipaddress import ip_network

import pytest

from docker_registry_index.configuration import read_file
from docker_registry_index.engine.errors import SettingError
from docker_registry_index.service.settings import OPTIONS, bucket_of, settings_of

SECRET = 'nobody-shall-see-this-1'
#: Of each option: texts that it accepts, with their values if these differ, and texts that it
#: refuses.
TEXTS = {
    'registry_url': (
        ['http://127.0.0.1:5000', 'https://my_registry.example.com/prefix/', 'http://[::1]:5000',
         'HTTP://registry'],
        ['127.0.0.1:5000', 'ftp://x', 'http://', 'http://x:0', 'http://x:70000', 'http://x:port',
         'http://a b', 'http://x/\x1b[31m', 'https://u:%s@x' % SECRET, 'http://x/?token=' + SECRET,
         'http://x#' + SECRET, 'x' * 500]),
    'registry_username': (['reader', 'jörg'], ['a:' + SECRET, 'a\nb', 'a\0']),
    'registry_password': (['pass:word é', SECRET], [SECRET + '\n' + SECRET, SECRET + '\x7f']),
    'registry_ca': (['/etc/ca.pem'], ['ca.pem', './ca.pem', '~/ca.pem']),
    'registry_cert': (['/etc/service.pem'], ['service.pem']),
    'registry_key': (['/etc/service.key'], ['service.key']),
    'events_secret': ([SECRET, '0' * 16], [SECRET[:15], SECRET + ' ' + SECRET, SECRET + 'é',
                                           SECRET + '\n' + SECRET]),
    'events_wait': ({'0.1': 0.1, '60': 60.0, '0.8': 0.8}, [
        '0', '0.05', '61', '-1', 'nan', 'inf', '1s', '1e1', '٣', '1.2345', '0x1']),
    'pull_through_cache': ({'true': True, 'false': False}, ['maybe', '2']),
    'registry_token_host': (['auth.example.com', '10.1.2.3', 'my_auth'], [
        'https://auth.example.com', 'auth.example.com:8443', 'Auth.example.com', 'a b', '*']),
    'auth': (['registry', 'htpasswd', 'none'], ['None', 'false', 'basic', 'registry,htpasswd']),
    'auth_scope': (['registry:catalog:*', 'repository:team/a_b.c--d/e:pull'], [
        'catalog', 'registry:catalog:pull', 'repository:a:push', 'repository:A:pull',
        'repository:../a:pull', 'repository:a/:pull', 'repository:a:pull repository:b:pull',
        'repository::pull']),
    'htpasswd': (['/etc/htpasswd'], ['htpasswd', 'relative/htpasswd']),
    'page': ({'true': True, 'false': False}, ['maybe', '2']),
    'listen': (['0.0.0.0:80', '[::]:5080', 'localhost:65535'], [
        '5080', ':5080', '127.0.0.1', '127.0.0.1:0', '127.0.0.1:65536', 'a b:80', '::1:80',
        '127.0.0.1:٣', 'x:80\n:', 'unix:/tmp/x']),
    'monitoring_listen': (['0.0.0.0:9100'], ['9100', '127.0.0.1']),
    'trusted_proxies': ({'127.0.0.1': (ip_network('127.0.0.1'),), '::1, 10.0.0.7/8 fd00::/8': tuple(
        map(ip_network, ('::1', '10.0.0.0/8', 'fd00::/8')))},
        ['nginx', '127.0.0.1;::1', '10.0.0.0/33', '127.0.0.1,', '*', '127.1']),
    'log_format': (['text', 'json'], ['JSON', 'xml', 'text,json']),
    'log_level': (['debug', 'info', 'warning', 'error'], ['INFO', 'warn', '10']),
    'threads': ({'2': 2, '256': 256}, ['1', '0', '257', '-2', '2.0', 'many', '1_6', '٣']),
    'catalog_limit': ({'1': 1, '100000': 100000, '9' * 9: 10 ** 9 - 1},
                      ['0', '9' * 10, '-1', 'all']),
    'storage': (
        ['s3://my-bucket', 's3://my.bucket/root/dir', '/var/lib/registry', '/with@sign',
         's3://Old_Bucket/root', 's3://' + 'b' * 255],
        ['bucket', 'relative/path', 's3:/b', 's3://', 's3://a/b', 's3://a b', 'http://bucket',
         's3://key:%s@bucket' % SECRET, 's3://bucket?secret=' + SECRET, '~/registry',
         's3://' + 'b' * 256]),
    'storage_region': (['eu-west-1'], ['Region Nine', '-']),
    'storage_access_key': (['AKIAEXAMPLE'], [SECRET + ' x', SECRET + 'é']),
    'storage_secret_key': ([SECRET], [SECRET + ' x', SECRET + '\x01']),
    'storage_endpoint_url': (['http://127.0.0.1:9000'],
                             ['127.0.0.1:9000', 'http://k:%s@x' % SECRET]),
    'storage_addressing': (['auto', 'path', 'virtual'], ['host', 'PATH', 'pathx']),
    'storage_ca': (['/etc/ca.pem'], ['ca.pem'])}
#: What must stand beside an option, so that it alone is checked.
BESIDE = {'registry_username': {'registry_password': 'x'},
          'registry_password': {'registry_username': 'x'},
          'registry_cert': {'registry_key': '/x'}, 'registry_key': {'registry_cert': '/x'},
          'storage_access_key': {'storage_secret_key': 'x'},
          'storage_secret_key': {'storage_access_key': 'x'},
          'htpasswd': {'auth': 'htpasswd'}}


def environ_of(block):
    return {name.upper(): value for name, value in block.items()}


def in_file(block):
    return {}, {'service': block}, '/etc/service.yml'


def origin(name, is_in_file):
    return 'service of /etc/service.yml' if is_in_file else 'environment variable ' + name.upper()


def refused(*arguments, act=settings_of):
    """Return the text of the SettingError that is raised."""
    with pytest.raises(SettingError) as error:
        act(*arguments)
    return str(error.value)


@pytest.mark.parametrize('name', [option.name for option in OPTIONS])
def test_each_option_comes_from_the_environment_and_from_the_file(name):
    accepted, _ = TEXTS[name]
    for text in accepted:
        value = accepted[text] if isinstance(accepted, dict) else text
        block = dict(BESIDE.get(name, {}), **{name: text})
        for environ, top_level in (
                (environ_of(block), {}), ({name.upper(): ' '}, {'service': block}),
                ({name.upper(): text}, {'service': dict(block, **{name: 'not read: \0'})})):
            found, warnings = settings_of(environ, top_level)
            assert getattr(found, name) == value and warnings == []
            assert SECRET not in repr(found)


@pytest.mark.parametrize('name', sorted(TEXTS))
@pytest.mark.parametrize('is_in_file', [False, True])
def test_a_value_that_cannot_work_is_reported_with_its_name_and_origin(name, is_in_file):
    for text in TEXTS[name][1]:
        block = dict(BESIDE.get(name, {}), **{name: text})
        shown = refused(*in_file(block) if is_in_file else (environ_of(block), {}))
        assert shown.startswith('setting %s (from %s) ' % (name, origin(name, is_in_file))), shown
        assert '; ' in shown and len(shown) < 500 and re.match(r'[ -~]+\Z', shown), shown
        assert SECRET[:15] not in shown, shown


@pytest.mark.parametrize('given', sorted(set(BESIDE) - {'htpasswd'}))
def test_half_a_pair_is_refused(given):
    [missing] = BESIDE[given]
    text = refused({given.upper(): '/' + SECRET}, {})
    assert text.startswith('setting %s ' % missing) and 'while %s is given' % given in text


def test_a_missing_setting_is_named():
    assert refused(act=settings_of({'REGISTRY_URL': 'http://x'}, {})[0].check_serving) == (
        'setting events_secret is missing; set EVENTS_SECRET, or events_secret in the block '
        'service of the file')


@pytest.mark.parametrize('environ, block, auth, warning', [
    ({}, {}, 'registry', None), ({'AUTH': 'none'}, {}, 'none', None),
    ({'HTPASSWD': '/x'}, {}, 'htpasswd', 'HTPASSWD without AUTH counts as AUTH=htpasswd'),
    ({}, {'htpasswd': '/x'}, 'htpasswd', 'HTPASSWD without AUTH counts as AUTH=htpasswd'),
    ({'HTPASSWD': '/x', 'AUTH': 'registry'}, {}, 'registry', None),
    ({'HTPASSWD': '/x'}, {'auth': 'registry'}, 'registry', None),
    ({'ANONYMOUS_READ': 'true'}, {}, 'none', 'ANONYMOUS_READ without AUTH counts as AUTH=none'),
    ({'ANONYMOUS_READ': '"Yes"', 'HTPASSWD': '/x'}, {}, 'none', 'set AUTH=none'),
    ({}, {'anonymous_read': 'on', 'htpasswd': '/x'}, 'none', 'set AUTH=none'),
    ({'ANONYMOUS_READ': 'false'}, {'anonymous_read': 'true'}, 'registry', None),
    ({'ANONYMOUS_READ': 'maybe'}, {}, 'registry', None),
    ({'ANONYMOUS_READ': 'true', 'AUTH': 'registry'}, {}, 'registry', 'ANONYMOUS_READ is ignored')])
def test_the_settings_of_0_4_0_still_decide_who_may_read(environ, block, auth, warning):
    found, warnings = settings_of(environ, {'service': block})
    assert found.auth == auth and len(warnings) == bool(warning)
    assert warning is None or warning in warnings[0]


def test_a_user_of_the_registry_needs_no_other_setting():
    closed = {'REGISTRY_URL': 'http://127.0.0.1:5000', 'EVENTS_SECRET': '0123456789abcdef',
              'REGISTRY_USERNAME': 'index', 'REGISTRY_PASSWORD': 'pass'}
    settings_of(closed, {})[0].check_serving()
    # A load shows nothing to anybody, so reading the settings is no error.
    without_file = settings_of(dict(closed, AUTH='htpasswd'), {})[0]
    assert refused(act=without_file.check_serving).startswith('setting htpasswd is missing, while ')


def test_the_file_may_name_variables():
    block = {'registry_url': '_env:NOWHERE:http://127.0.0.1:5000',
             'events_secret': '_env:A_SECRET', 'storage': '_env:NOWHERE'}
    found, _ = settings_of({'A_SECRET': SECRET}, {'service': block})
    assert (found.registry_url, found.events_secret, found.storage) == (
        'http://127.0.0.1:5000', SECRET, None)
    shown = refused({'A_SECRET': SECRET[:9]}, {'service': block})
    assert 'environment variable A_SECRET' in shown and SECRET[:9] not in shown


AWS = {'AWS_REGION': 'eu-west-1', 'AWS_DEFAULT_REGION': 'eu-west-2',
       'AWS_ENDPOINT_URL': 'http://any:1', 'AWS_ENDPOINT_URL_S3': 'http://s3:2',
       'AWS_ENDPOINT_URL_DYNAMODB': 'http://dynamodb:3'}


@pytest.mark.parametrize('environ, region, endpoint', [
    (AWS, 'eu-west-1', 'http://s3:2'),
    (dict(AWS, AWS_REGION='', AWS_ENDPOINT_URL_S3=''), 'eu-west-2', 'http://any:1'),
    (dict(AWS, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS='true'), 'eu-west-1', None),
    (dict(AWS, STORAGE_REGION='garage', STORAGE_ENDPOINT_URL='http://own:4'),
     'garage', 'http://own:4')])
def test_the_variables_of_the_aws_sdks_count_for_the_bucket_if_no_setting_does(
        environ, region, endpoint):
    found, warnings = settings_of(environ, {})
    assert (found.storage_region, found.storage_endpoint_url, warnings) == (region, endpoint, [])
    block = {'storage_region': 'of-block', 'storage_endpoint_url': 'http://block:5'}
    if environ is AWS:
        found, _ = settings_of(environ, {'service': block})
        assert {name: getattr(found, name) for name in block} == block


@pytest.mark.parametrize('environ, block, region, origin', [
    ({'DYNAMODB_REGION': 'eu-west-3', **AWS}, {}, 'eu-west-3', 'DYNAMODB_REGION'),
    ({'DYNAMODB_REGION': 'eu-west-3', **AWS}, {'region': 'eu-north-1'}, 'eu-north-1',
     'extensions.dynamodb_index of /etc/service.yml'),
    ({'A': 'eu-south-1', **AWS}, {'region': '_env:A'}, 'eu-south-1', 'environment variable A')])
def test_the_bucket_is_in_the_region_of_the_tables_if_no_setting_names_its_own(
        environ, block, region, origin):
    file = {'extensions': {'dynamodb_index': block}}
    assert settings_of(environ, file, '/etc/service.yml')[0].storage_region == region
    file['service'] = {'storage_region': 'eu-west-9'}
    assert settings_of(environ, file, '/etc/service.yml')[0].storage_region == 'eu-west-9'
    wrong = {name: '?' if value == region else value for name, value in environ.items()}
    if 'region' in block and block['region'] == region:
        file['extensions']['dynamodb_index']['region'] = '?'
    del file['service']
    assert origin in refused(wrong, file, '/etc/service.yml')


def test_an_error_names_a_variable_of_the_aws_sdks_that_is_not_a_url():
    assert refused({'AWS_ENDPOINT_URL_S3': 'minio:9000'}, {}).startswith(
        "setting storage_endpoint_url (from environment variable AWS_ENDPOINT_URL_S3) is 'minio")


def test_an_unknown_key_of_the_block_is_a_warning():
    found, [warning] = settings_of({}, {'service': {'thread': 'x', 'threads': '4'}}, 'f.yml')
    assert found.threads == 4
    assert warning.startswith('unknown key thread in service of f.yml is ignored (did you mean '
                              'threads?); valid keys are: registry_url, ')


def test_a_user_of_the_file_and_a_password_of_the_environment_are_a_pair():
    found, _ = settings_of({'REGISTRY_PASSWORD': '"x"'}, {'service': {'registry_username': 'me'}})
    assert (found.registry_username, found.registry_password) == ('me', 'x'), 'without the quotes'


@pytest.mark.parametrize('block', ['text', ['a'], 7, True])
def test_a_block_that_is_no_mapping_is_refused(block):
    assert refused(*in_file(block)).startswith(
        'setting service (from /etc/service.yml) is of type ')


def test_a_file_is_read_as_it_is_written(tmp_path):
    path = tmp_path / 'service.yml'
    path.write_text('service: {events_secret: 0123456789012345, threads: 08, auth: none, '
                    'storage: , registry_username: 0x10, registry_password: 1e3}')
    found, warnings = settings_of({'THREADS': '9'}, read_file(str(path)))
    assert (found.events_secret, found.threads, found.auth, found.storage) == (
        '0123456789012345', 9, 'none', None)
    assert (found.registry_username, found.registry_password, warnings) == ('0x10', '1e3', [])


def test_a_bucket_and_its_root():
    assert [bucket_of(text) for text in (
        's3://bucket', 's3://bucket/', 's3://my.bucket/a/b', '/path')] == [
        ('bucket', ''), ('bucket', '/'), ('my.bucket', '/a/b'), None]


def test_each_secret_may_be_in_a_file(tmp_path):
    path = tmp_path / 'secret'
    path.write_text(SECRET + '\n')
    names = [option.name for option in OPTIONS if option.secret]
    environ = environ_of({'registry_username': 'me'})
    environ.update({name.upper() + '_FILE': str(path) for name in names})
    found, warnings = settings_of(environ, {})
    assert {getattr(found, name) for name in names} == {SECRET} and warnings == []
    assert {'registry_password', 'events_secret', 'storage_secret_key'} <= set(names)


@pytest.mark.parametrize('name, meant', [
    ('REGISTRY_USER', 'REGISTRY_USERNAME'), ('REGISTRY_PASS', 'REGISTRY_PASSWORD'),
    ('REGISTRY_PASSWD', 'REGISTRY_PASSWORD'), ('REGISTRY_URI', 'REGISTRY_URL'),
    ('EVENT_SECRET', 'EVENTS_SECRET'), ('EVENTS_SECRETS', 'EVENTS_SECRET'),
    ('STORAGE_SECRET', 'STORAGE_SECRET_KEY'), ('REGISTRY_USERNAME_FILE', 'REGISTRY_USERNAME'),
    ('CATALOG_LIMITS', 'CATALOG_LIMIT'), ('THREAD', 'THREADS'), ('HTPASSWD_FILE', 'HTPASSWD')])
def test_a_variable_that_resembles_one_of_ours_is_a_warning_that_names_it(name, meant):
    assert settings_of({name: SECRET}, {})[1] == [
        f'environment variable {name} is ignored (did you mean {meant}?)']
    assert settings_of({name: SECRET}, {'other': {'key': '_env:%s:/x' % name}})[1] == []


#: Variables of Kubernetes, of links of containers, of the registry itself and of other programs.
ORDINARY = """
REGISTRY_PORT REGISTRY_SERVICE_HOST REGISTRY_SERVICE_PORT REGISTRY_SERVICE_PORT_HTTP REGISTRY_HOST
REGISTRY_PORT_5000_TCP REGISTRY_PORT_5000_TCP_ADDR REGISTRY_PORT_5000_TCP_PROTO REGISTRY_NAME
REGISTRY_INDEX_SERVICE_HOST REGISTRY_ENV_PATH EVENTS_PORT STORAGE_SERVICE_HOST REGISTRY_HTTP_ADDR
REGISTRY_HTTP_SECRET REGISTRY_HTTP_HOST REGISTRY_HTTP_PREFIX REGISTRY_HTTP_TLS_CERTIFICATE
REGISTRY_HTTP_TLS_KEY REGISTRY_AUTH REGISTRY_AUTH_HTPASSWD_PATH REGISTRY_AUTH_TOKEN_REALM
REGISTRY_STORAGE REGISTRY_STORAGE_S3_ACCESSKEY REGISTRY_STORAGE_S3_SECRETKEY REGISTRY_LOG_LEVEL
REGISTRY_STORAGE_DELETE_ENABLED REGISTRY_PROXY_REMOTEURL REGISTRY_PROXY_USERNAME REGISTRY_LOGLEVEL
REGISTRY_PROXY_PASSWORD REGISTRY_REDIS_PASSWORD REGISTRY_REDIS_USERNAME REGISTRY_CATALOG_MAXENTRIES
REGISTRY_NOTIFICATIONS_ENDPOINTS REGISTRY_HEALTH_STORAGEDRIVER_ENABLED REGISTRY_VALIDATION_DISABLED
REGISTRY_CONFIGURATION_PATH REGISTRY_VERSION CI_REGISTRY REGISTRY CI_REGISTRY_USER
CI_REGISTRY_PASSWORD PATH HOME HOSTNAME LANG LC_ALL TERM TZ PWD SHLVL USER LOGNAME SHELL TMPDIR
PYTHONPATH PYTHONUNBUFFERED LISTEN_FDS LISTEN_PID LISTEN_FDNAMES INVOCATION_ID JOURNAL_STREAM
AUTHORITY AUTHOR KUBERNETES_SERVICE_HOST KUBERNETES_PORT_443_TCP AWS_REGION AWS_ACCESS_KEY_ID
AWS_SECRET_ACCESS_KEY AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE AWS_CONTAINER_CREDENTIALS_FULL_URI
AZURE_STORAGE_ACCESS_KEY AZURE_STORAGE_KEY SSL_CERT_FILE SSH_AUTH_SOCK http_proxy no_proxy GPG_KEY
ECS_CONTAINER_METADATA_URI STORAGE_ACCOUNT STORAGE_BUCKET THREADPOOL_SIZE OMP_NUM_THREADS
DOCKER_REGISTRY_CONFIG
"""


def test_an_ordinary_environment_is_no_warning():
    environ = {**dict.fromkeys(ORDINARY.split(), 'x'), 'AWS_REGION': 'eu-west-1'}
    assert settings_of(environ, {})[1] == []


@pytest.mark.parametrize('url, recorded', [
    ('http://registry:5000', 'registry:5000'), ('https://Registry.Example/', 'registry.example'),
    ('http://registry.example:80/images/', 'registry.example/images'),
    ('http://127.0.0.1:5000', 'localhost:5000'), ('http://[::1]:5000', 'localhost:5000'),
    ('http://localhost:5000', 'localhost:5000')])
def test_the_registry_that_the_tables_record(url, recorded):
    assert settings_of({'REGISTRY_URL': url}, {})[0].registry == recorded
    assert settings_of({'STORAGE': '/srv'}, {})[0].registry is None
