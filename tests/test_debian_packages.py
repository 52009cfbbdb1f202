"""Set-up handles Debian packages and their services; these tests install nothing."""
import contextlib
import os

import pytest

from dev.setup import components, debian_packages, toolchain
from dev.setup.console import SetupError

UNITS = ['nginx.service', 'podman.socket']


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(debian_packages, 'missing', lambda: sorted(debian_packages.PROGRAMS))


def quiet(tmp_path, has_systemd, units=UNITS):
    """Return the commands that DisabledServices runs before and after an installation."""
    systemd, scripts, ran = tmp_path / 'systemd', tmp_path / 'init.d', []
    scripts.mkdir()
    (scripts / 'nginx').write_text('')
    if has_systemd:
        systemd.mkdir()
    with debian_packages.DisabledServices(
            units, lambda command, **streams: ran.append(' '.join(command)), str(systemd),
            str(scripts)):
        before = ran[:]
    return before, [command.replace(str(scripts), '/etc/init.d') for command in ran[len(before):]]


def test_systemd_starts_no_service_of_a_new_package(tmp_path):
    before, after = quiet(tmp_path, has_systemd=True)
    assert before == ['systemctl mask --runtime nginx.service podman.socket']
    assert after == ['systemctl unmask --runtime nginx.service podman.socket',
                     'systemctl disable --now nginx.service podman.socket']


def test_without_systemd_the_init_scripts_are_stopped_and_disabled(tmp_path):
    before, after = quiet(tmp_path, has_systemd=False)
    assert before == []
    assert after == ['/etc/init.d/nginx stop', 'update-rc.d nginx disable']


@pytest.mark.parametrize('has_systemd', [True, False])
def test_packages_without_services_touch_none(tmp_path, has_systemd):
    assert quiet(tmp_path, has_systemd, []) == ([], [])


def test_only_the_services_of_what_is_installed_now_are_stopped(monkeypatch):
    handled, answers = [], [['crun', 'nginx-light'], []]
    monkeypatch.setattr(debian_packages, 'missing', lambda: answers.pop(0))
    monkeypatch.setattr(toolchain, 'may_install', lambda: True)
    monkeypatch.setattr(toolchain, 'install', lambda packages: handled.append(packages))
    monkeypatch.setattr(debian_packages, 'DisabledServices',
                        lambda units: handled.append(units) or contextlib.nullcontext())
    debian_packages.install()
    assert handled == [['nginx.service'], ['crun', 'nginx-light']]


def test_without_rights_to_install_the_missing_packages_are_printed(
        monkeypatch, capsys, tmp_path, nothing_installed):
    monkeypatch.setattr(toolchain, 'may_install', lambda: False)
    monkeypatch.setattr(components, 'LOCAL', str(tmp_path))
    monkeypatch.setattr(debian_packages, 'unpack_daemon', os.mkdir)
    monkeypatch.delenv('CI', raising=False)
    components.clients()
    line, = capsys.readouterr().out.splitlines()
    assert 'its tests are skipped' in line
    assert 'apt-get install crun docker-registry nginx-light podman skopeo' in line


def test_CI_fails_without_them(monkeypatch, nothing_installed):
    monkeypatch.setattr(toolchain, 'may_install', lambda: False)
    monkeypatch.setenv('CI', 'true')
    with pytest.raises(SetupError, match='apt-get install crun'):
        components.clients()
