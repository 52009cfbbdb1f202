# -*- coding: utf-8 -*-
"""Every table of options: where a value comes from, which are refused, and which are shown."""
from __future__ import unicode_literals

import re

import pytest
from hypothesis import given, settings as examples, strategies as st

from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.errors import SettingError
from docker_registry_index.engine.settings.options import Settings
from docker_registry_index.engine.settings.resolution import Layer, resolve

KEY, SECRET = 'AKIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/EXAMPLEKEY'
#: Two texts for every option of each table; the first is not its default.
VALUES = {Settings: {
    'database': ('other', 'another'), 'repository_table': ('r-table', 'x'),
    'version_table': ('v-table', 'x'), 'search_table': ('s-table', 'x'),
    'region': ('eu-west-1', 'eu-west-2'), 'access_key': (KEY, 'x'),
    'secret_access_key': (SECRET, 'x'), 'endpoint_url': ('http://127.0.0.1:8000', 'http://x'),
    'startup_wait': ('12.5', '9'), 'push_wait': ('2', '9'), 'sync_interval': ('3600', '9'),
    'max_results': ('500', '9'), 'warm_throughput': ('40000', '9000'),
    'connect_timeout': ('0.5', '9'), 'read_timeout': ('2', '9'), 'attempts': ('5', '9')}}
#: The values of the first texts that are converted to another type.
TYPED = {'startup_wait': 12.5, 'push_wait': 2.0, 'sync_interval': 3600.0, 'max_results': 500,
         'warm_throughput': 40000, 'connect_timeout': 0.5, 'read_timeout': 2.0, 'attempts': 5,
         'events_wait': 0.5, 'pull_through_cache': True, 'page': False,
         'threads': 4, 'catalog_limit': 7}

if not PY2:
    import ipaddress

    from docker_registry_index.service.settings import ServiceSettings
    TYPED['trusted_proxies'] = (ipaddress.ip_network('::1'),)
    VALUES[ServiceSettings] = {
        'registry_url': ('http://127.0.0.1:5000', 'http://x'), 'registry_username': ('jörg', 'x'),
        'registry_password': ('pass:word é', 'x'), 'registry_ca': ('/etc/ca.pem', '/x'),
        'registry_cert': ('/etc/cert.pem', '/x'), 'registry_key': ('/etc/key.pem', '/x'),
        'registry_token_host': ('auth.example.com', 'x'),
        'events_secret': (SECRET, 'x' * 16), 'events_wait': ('0.5', '9'),
        'pull_through_cache': ('true', 'false'), 'page': ('false', 'true'),
        'htpasswd': ('/etc/htpasswd', '/x'), 'auth': ('none', 'htpasswd'),
        'auth_scope': ('repository:a:pull', 'registry:catalog:*'),
        'listen': ('[::]:80', 'x:1'), 'threads': ('4', '9'), 'catalog_limit': ('7', '9'),
        'monitoring_listen': ('[::]:81', 'x:2'), 'trusted_proxies': ('::1', '127.0.0.1'),
        'log_format': ('json', 'text'), 'log_level': ('error', 'info'),
        'storage_addressing': ('path', 'auto'), 'storage_ca': ('/etc/s3.pem', '/x'),
        'storage': ('s3://bucket/root', '/x'), 'storage_region': ('eu-west-1', 'x'),
        'storage_access_key': (KEY, 'x'), 'storage_secret_key': (SECRET, 'x'),
        'storage_endpoint_url': ('http://127.0.0.1:9000', 'http://x')}

KINDS = pytest.mark.parametrize('kind', VALUES, ids=lambda kind: kind.__name__)
ALL = [(kind, option) for kind in VALUES for option in kind.OPTIONS]
OPTIONS = pytest.mark.parametrize('kind, option', ALL, ids=[option.variable for _, option in ALL])
#: make check runs Python 3 only, and fewer examples.
FEWER = examples(max_examples=100 if PY2 else 50)
HALVES = [(kind,) + half for kind in VALUES for pair in kind.PAIRS for half in (pair, pair[::-1])]


def values_of(kind, option, number=0, **more):
    """Return the option's text by its name, with that of the other half of its pair."""
    names = [name for pair in kind.PAIRS if option.name in pair for name in pair] or [option.name]
    return dict(dict((name, VALUES[kind][name][number]) for name in names), **more)


def used(kind, option):
    return TYPED.get(option.name, VALUES[kind][option.name][0])


def refusal(kind, *layers):
    """Return the error of some layers."""
    with pytest.raises(SettingError) as caught:
        resolve(kind, layers)
    return caught.value


@KINDS
def test_every_option_has_an_attribute_and_a_variable_of_its_own(kind):
    names = [option.name for option in kind.OPTIONS]
    assert sorted(vars(kind())) == sorted(names) == sorted(VALUES[kind])
    assert len(set(option.variable for option in kind.OPTIONS)) == len(names)
    assert all(option.variable.endswith(option.name.upper()) for option in kind.OPTIONS)


@OPTIONS
def test_a_value_comes_stripped_and_converted_from_the_first_layer_that_has_one(kind, option):
    values = values_of(kind, option)
    # A file read with $(cat key), or written on Windows, ends in a line end.
    spaced = dict((name, ' \t%s\r\n' % text) for name, text in values.items())
    others = Layer('d', values_of(kind, option, 1))
    for layers in [[Layer('c', values), others]] + [
            [Layer('a', {}), Layer('b', dict.fromkeys(values, blank)), Layer('c', spaced), others]
            for blank in (None, '', '  ', '\n', '\t\r\n')]:
        settings, warnings = resolve(kind, layers)
        value = getattr(settings, option.name)
        assert value == used(kind, option) != getattr(kind(), option.name) and warnings == []
        assert type(value) is type(TYPED.get(option.name, str('')))


@KINDS
def test_arguments_and_layers_agree_and_known_keys_cause_no_warning(kind):
    texts = dict((name, texts[0]) for name, texts in VALUES[kind].items())
    settings, warnings = resolve(kind, [Layer('x.yml', texts)])
    assert vars(kind(**texts)) == vars(settings) and warnings == []
    assert vars(kind(Layer('x.yml', dict.fromkeys(texts, '-')), **texts)) == vars(kind(**texts))


@KINDS
def test_settings_refuse_unknown_arguments_and_do_not_change(kind):
    settings, name = kind(), kind.OPTIONS[0].name
    with pytest.raises(TypeError) as caught:
        kind(**{str(name + 's'): 'x'})
    assert name + 's' in str(caught.value) and 'did you mean %s?' % name in str(caught.value)
    before = dict(vars(settings))
    for change in (lambda: setattr(settings, name, 'x'), lambda: setattr(settings, 'new', 1),
                   lambda: delattr(settings, name)):
        with pytest.raises(AttributeError):
            change()
    assert vars(settings) == before


@pytest.mark.parametrize('kind, given, missing', HALVES)
def test_both_halves_of_a_pair_come_from_one_layer_unless_layers_may_be_mixed(kind, given, missing):
    whole = dict((name, VALUES[kind][name][0]) for name in (given, missing))
    for blank in None, '', ' ':
        half = Layer('b.yml', dict(whole, **{missing: blank}), {given: 'line 3 of b.yml'})
        assert str(refusal(kind, Layer('a.yml', {}), half)) == (
            'setting %s (from b.yml) is missing or empty, while %s is given by line 3 of b.yml; '
            'give both in that one place, or neither' % (missing, given))

    def pair_of(*layers):
        settings, _ = resolve(kind, layers)
        return dict((name, getattr(settings, name)) for name in whole)

    # Half a pair below a complete one is ignored.
    assert pair_of(Layer('a', whole), Layer('b', {given: 'half'})) == whole
    mixed = Layer('a', {given: whole[given]}), Layer('b', dict(whole, **{given: 'x'}))
    if kind.MIXES_LAYERS:
        assert pair_of(*mixed) == whole
    else:
        error = refusal(kind, *mixed)
        assert error.setting == missing and '%s is given by a;' % given in str(error)


@OPTIONS
def test_a_value_of_a_wrong_type_is_refused(kind, option):
    # YAML converts a secret of digits to a number, and may change it.
    for value in [True, False, [], ['hUsH'], {}, {'hUsH': 1}, 1j, object()] + (
            [12345, 0, 1.5] * option.secret):
        values = values_of(kind, option, **{str(option.name): value})
        assert str(refusal(kind, Layer('x.yml', values))) == (
            'setting %s (from x.yml) is of type %s, but must be text; write it as text, in '
            'quotes' % (option.name, type(value).__name__))


@FEWER
@given(st.sampled_from(ALL), st.text() | st.binary() | st.integers() | st.floats() | st.none()
       | st.booleans() | st.lists(st.text())
       | st.from_regex(r'(http://|s3://|/)?[a-z0-9.:@-]{0,20}\Z'))
def test_any_value_gives_settings_or_an_error_in_one_sentence(each, value):
    kind, option = each
    try:
        settings, _ = resolve(kind, [Layer(
            'x.yml', values_of(kind, option, **{str(option.name): value}))])
    except SettingError as error:
        assert re.match(r'setting (?:%s) \(from x\.yml\) [ -~]+; [ -~]+\Z'
                        % '|'.join(values_of(kind, option)), str(error))
        assert len(str(error)) < 400
    else:
        assert repr(settings).startswith('%s(%s=' % (kind.__name__, kind.OPTIONS[0].name))


@FEWER
@given(st.text(), st.text(), st.sampled_from(ALL), st.text())
def test_no_secret_is_ever_shown(before, after, each, other):
    kind, option = each
    secret = before + 'hUsHhUsH' + after
    # Of an access key ID, the first four characters may be shown.
    secrets = [one.name for one in kind.OPTIONS if one.secret and VALUES[kind][one.name][0] != KEY]
    values = dict((one.name, VALUES[kind][one.name][0]) for one in kind.OPTIONS if one.secret)
    layer = Layer('x.yml', dict(dict(values_of(kind, option, **{str(option.name): other}),
                                     **values), **dict.fromkeys(secrets, secret)))
    try:
        settings, warnings = resolve(kind, [layer])
    except SettingError as error:
        shown = str(error) + repr(error) + repr(vars(error))
    else:
        assert all(getattr(settings, name) == secret.strip() for name in secrets)
        shown = repr(settings) + str(settings) + '%r' % warnings
    assert 'hUsH' not in shown + repr(layer) + str(layer)


@OPTIONS
def test_a_warning_of_an_unknown_key_suggests_the_nearest_option(kind, option):
    near = [option.name.upper().replace('_', '-'), 'dynamodb_' + option.name, option.name + 'x']
    for key in near + [option.name + ':' + SECRET, option.name + '=' + SECRET]:
        settings, [warning] = resolve(
            kind, [Layer('x.yml', dict({key: 'value'}, **values_of(kind, option)))])
        assert getattr(settings, option.name) == used(kind, option)
        hint = (' (did you mean %s?)' % option.name if key in near
                else '; write a colon and a space after the name')
        assert warning == 'unknown key %s in x.yml is ignored%s; valid keys are: %s' % (
            re.split('[:=]', key)[0], hint, ', '.join(option.name for option in kind.OPTIONS))


@KINDS
def test_a_warning_of_a_key_like_no_option_is_ascii(kind):
    for key in 'zzz', 'tables', '\u00e9', 'x\x1b[31m', 5, None:
        [warning] = resolve(kind, [Layer('x.yml', {key: 'value'})])[1]
        assert re.match(r'unknown key [ -~]+ in x\.yml is ignored; valid keys are: [a-z_, ]+\Z',
                        warning)


@KINDS
@pytest.mark.parametrize('key, shown', [
    (KEY, 'AKIA...'), ('access_key ' + KEY, 'AKIA...'), (KEY + ':' + SECRET, 'AKIA...'),
    ('-' + KEY, 'AKIA...'), ('ASIA' + 'HUSH' * 4, 'ASIA...'),
    ('hUsH' * 10, '(not shown'), ('hU/+' * 10, '(not shown'), ('key ' + 'hU/+' * 10, '(not shown')])
def test_a_warning_of_a_secret_in_the_place_of_a_name_does_not_show_it(kind, key, shown):
    [warning] = resolve(kind, [Layer('x.yml', {key: None})])[1]
    assert shown in warning
    assert not any(hidden in warning for hidden in (KEY[4:], SECRET, 'HUSH', 'hUsH', 'hU/+'))
