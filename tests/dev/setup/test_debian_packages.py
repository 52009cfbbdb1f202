"""Set-up handles Debian packages and their services; these tests install nothing."""
import contextlib
import os

import pytest

from dev.setup import components, debian_packages, toolchain
from dev.setup.console import SetupError

UNITS = ['nginx.service', 'podman.socket']
BOTH = ' '.join(UNITS)


@pytest.mark.parametrize('has_systemd,units,before,after', [
    (True, UNITS, ['systemctl mask --runtime ' + BOTH],
     ['systemctl unmask --runtime ' + BOTH, 'systemctl disable --now ' + BOTH]),
    (False, UNITS, [], ['INIT/nginx stop', 'update-rc.d nginx disable']),
    (True, [], [], []), (False, [], [], [])])
def test_no_service_of_a_new_package_is_left_running(tmp_path, has_systemd, units, before, after):
    systemd, scripts, ran = tmp_path / 'systemd', tmp_path / 'init.d', []
    for folder in [scripts] + [systemd] * has_systemd:
        folder.mkdir()
    (scripts / 'nginx').write_text('')
    with debian_packages.DisabledServices(
            units, lambda command, **_: ran.append(' '.join(command).replace(str(scripts), 'INIT')),
            str(systemd), str(scripts)):
        assert ran == before
    assert ran[len(before):] == after


def test_only_the_services_of_what_is_installed_now_are_stopped(monkeypatch):
    handled, answers = [], [['crun', 'nginx-light'], []]
    monkeypatch.setattr(debian_packages, 'missing', lambda _: answers.pop(0))
    monkeypatch.setattr(toolchain, 'may_install', lambda: True)
    monkeypatch.setattr(toolchain, 'install', lambda packages: handled.append(packages))
    monkeypatch.setattr(debian_packages, 'DisabledServices',
                        lambda units: handled.append(units) or contextlib.nullcontext())
    debian_packages.install(debian_packages.PROGRAMS)
    assert handled == [['nginx.service'], ['crun', 'nginx-light']]


def test_without_rights_to_install_the_missing_packages_are_printed_and_ci_fails(
        monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(debian_packages, 'missing', sorted)
    monkeypatch.setattr(toolchain, 'may_install', lambda: False)
    monkeypatch.setattr(components, 'LOCAL', str(tmp_path))
    monkeypatch.setattr(debian_packages, 'unpack_daemon', os.mkdir)
    monkeypatch.setattr(components, '_build_with_go', lambda component, module: None)
    monkeypatch.delenv('CI', raising=False)
    components.clients()
    line, = capsys.readouterr().out.splitlines()
    assert 'its tests are skipped' in line
    assert 'apt-get install crun docker-registry nginx-light podman skopeo' in line
    monkeypatch.setenv('CI', 'true')
    with pytest.raises(SetupError, match='apt-get install crun'):
        components.clients()
