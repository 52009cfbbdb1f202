"""Whose settings the command line takes: those of docker-registry, or of the service."""
import pytest

from docker_registry_index.cli import settings
from docker_registry_index.service.settings import ServiceSettings


@pytest.fixture
def taken(monkeypatch, tmp_path):
    """A function from the text of a file and variables to the engine's Settings."""
    def take(text, **environ):
        path = tmp_path / 'config.yml'
        path.write_text(text)
        for name in ('REGISTRY_URL', 'STORAGE', 'SETTINGS_FLAVOR', 'DYNAMODB_DATABASE'):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return settings.index_of(str(path)).settings
    return take


@pytest.mark.parametrize('environ, text, given', [
    ({}, '', False), ({}, 'extensions: {}', False), ({}, ServiceSettings.BLOCK + ':', True),
    ({'REGISTRY_URL': 'x'}, '', True), ({'STORAGE': '/x'}, '', True),
    ({'STORAGE': ''}, '', False), ({'EVENTS_SECRET': 'x'}, '', False)])
def test_a_service_has_another_database_and_no_flavours(taken, environ, text, given):
    flavour = '' if given else 'dev: {}\n'
    assert taken(flavour + text, **environ).database == ('registry' if given else 'docker-registry')
    assert taken(flavour + text, DYNAMODB_DATABASE='mine', **environ).database == 'mine'
