"""What a base image gets from this machine, and what it does not get."""
import ssl

import pytest

from dev.servers import base_images
from dev.servers.process import ServerError


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with a mirror of its own; `answers` maps commands to what they print."""
    answers = {
        'apt-config': 'Acquire::Languages "de";\nAcquire::https::Proxy "http://proxy.test";\n'
                      'Acquire::Check-Date "false";\nDPkg::Options "--force-all";\n',
        'pip': ":env:.timeout='180'\nglobal.index-url='https://wheels.test/simple'\n"
               ":env:.index-url='https://other.test/simple'\nglobal.user='true'\n"}

    def lines(*command, begin=('',)):
        text = answers['pip' if 'pip' in command else command[0]]
        return ''.join(line for line in text.splitlines(True) if line.startswith(begin))

    bundle = tmp_path / 'bundle.crt'
    bundle.write_text('a certificate')
    monkeypatch.setattr(base_images, '_lines', lines)
    monkeypatch.setattr(base_images.glob, 'glob', lambda pattern: [])
    monkeypatch.setattr(ssl, 'get_default_verify_paths', lambda: ssl.DefaultVerifyPaths(
        str(bundle), '', '', '', '', ''))


def test_a_base_image_reaches_the_package_registries_as_this_machine_does(machine):
    assert base_images._files_of_this_machine() == {
        'etc/apt/apt.conf.d/99machine': b'Acquire::https::Proxy "http://proxy.test";\n'
                                        b'Acquire::Check-Date "false";\n',
        'etc/pip.conf': b'[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n'
                        b'index-url = https://other.test/simple\n',
        'etc/ssl/certs/ca-certificates.crt': b'a certificate'}


def test_without_a_base_image_the_error_names_the_component(monkeypatch, tmp_path):
    monkeypatch.setattr(base_images, 'BASE_IMAGES', str(tmp_path))
    with pytest.raises(ServerError, match='run dev/bootstrap base-images'):
        base_images.load_base_image(None, 'trixie')
