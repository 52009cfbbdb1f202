"""docs/settings.md and docs/service.md describe the settings that exist."""
import re

import pytest
import yaml

from docker_registry_index import configuration
from docker_registry_index.engine.errors import SettingError
from docker_registry_index.engine.settings.options import OPTIONS
from docker_registry_index.service import settings as service_settings
from tests.docs import pages

PAGES = {'docs/settings.md': OPTIONS, 'docs/service.md': service_settings.OPTIONS}


def row(option):
    """Return the row of an option in a table of settings."""
    default = '`%s`' % re.sub('{(.*)}', r'<\1>', option.default) if option.default else 'none'
    if option.fallback:
        default = "the registry's `%s`, else %s" % (option.fallback, default)
    return ['`%s`' % option.name, '`%s`' % option.variable, default, option.meaning]


@pytest.mark.parametrize('page', PAGES)
def test_the_table_lists_each_setting_with_its_variable_default_and_meaning(page):
    assert pages.table(page, 'Setting') == [row(option) for option in PAGES[page]]


@pytest.mark.parametrize('page', pages.ALL)
def test_each_variable_that_is_named_is_read(page):
    named = re.findall(r'\b(?:DYNAMODB|REGISTRY|EVENTS|STORAGE|CATALOG|ANONYMOUS)_[A-Z_]*[A-Z]\b',
                       pages.read(page))
    # The first is the registry's own.
    assert set(named) - {'STORAGE_PATH'} <= {
        option.variable for options in PAGES.values() for option in options}


@pytest.mark.parametrize('block', pages.blocks('docs/settings.md', 'yaml'))
def test_an_example_is_read_without_a_warning(block, tmp_path):
    (tmp_path / 'config.yml').write_text(block)
    for flavour in {'dev', 'prod'} & set(yaml.safe_load(block)):
        environ = {'SETTINGS_FLAVOR': flavour, 'DYNAMODB_ACCESS_KEY': 'AKIA' + 16 * 'X',
                   'DYNAMODB_SECRET_ACCESS_KEY': 'secret'}
        assert configuration.load(str(tmp_path / 'config.yml'), environ)[1] == []


def test_the_example_of_the_service_is_read_without_a_warning():
    block = yaml.safe_load(pages.blocks('docs/service.md', 'yaml')[1])
    settings, warnings = service_settings.settings_of({}, block)
    settings.check_serving()
    assert warnings == []


def test_the_error_that_is_shown_is_raised(tmp_path):
    path = tmp_path / 'registry.yml'
    path.write_text('extensions: {dynamodb_index: {region: "_env:DYNAMODB_REGION"}}\ndev: {}\n')
    with pytest.raises(SettingError) as caught:
        configuration.load(str(path), {'DYNAMODB_REGION': 'us-east-1a'})
    assert ' '.join(re.findall(r'(?m)^> (.*)', pages.read('docs/settings.md'))) == str(
        caught.value).replace(str(path), '/etc/registry.yml')
