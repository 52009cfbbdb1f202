"""The lock files of the images: what `make lock` writes, and that the committed files are whole."""
import os
import re
import sys

import pytest

from dev.setup import locks
from tests.docs import pages

LOCKS = {'requirements/registry-py27.txt': 39, 'requirements/service-py3.txt': 20}


@pytest.mark.parametrize('filename, suited', [
    ('gevent-22.10.2.tar.gz', True), ('gevent-22.10.2.zip', True),
    ('gevent-22.10.2-cp27-cp27mu-manylinux2010_x86_64.whl', True),
    ('gevent-22.10.2-py2.py3-none-any.whl', True), ('gevent-22.10.2-2-py2-none-any.whl', True),
    ('gevent-22.10.2-cp311-cp311-manylinux2010_x86_64.whl', False),
    ('gevent-22.10.2-py3-none-any.whl', False), ('gevent-22.10.3.tar.gz', False),
    ('gevent-22.10.2.post1.tar.gz', False), ('gevent-22.10.2-py2.7.egg', False),
    ('gevent-22.10.2.win32-py2.7.exe', False)])
def test_the_hashes_are_of_files_that_pip_installs_on_python_2(filename, suited):
    assert locks.suits(filename, '22.10.2') is suited


def test_versions_and_comments_are_kept_and_hashes_replaced():
    asked = []
    lines = ['# a comment', 'one==1.0 \\', '    --hash=sha256:old', 'zope.two==2', '']

    def files_of(name, version):
        asked.append((name, version))
        return {'b' * 64, 'a' * 64}

    hashes = ' \\\n    --hash=sha256:%s \\\n    --hash=sha256:%s' % ('a' * 64, 'b' * 64)
    assert list(locks.with_hashes(lines, files_of)) == [
        '# a comment', 'one==1.0' + hashes, 'zope.two==2' + hashes, '']
    assert asked == [('one', '1.0'), ('zope.two', '2')]


@pytest.mark.parametrize('path', sorted(LOCKS))
def test_each_version_in_a_lock_file_has_hashes(path):
    text = re.sub(r'(?m)^#.*\n', '', pages.read(path)).replace('\\\n', '')
    pins = text.splitlines()
    assert len(pins) >= LOCKS[path]
    assert [pin for pin in pins if not re.fullmatch(
        r'[\w.-]+==[\w.]+ ( +--hash=sha256:[0-9a-f]{64} ?)+', pin)] == []
    assert [pin for pin in pins if pin.count('--hash') > 200] == []


def test_the_lock_file_of_the_service_is_for_the_python_of_its_image():
    assert 'Python %s' % locks.PYTHON_OF_SERVICE in pages.read('requirements/service-py3.txt')
    assert 'FROM debian:trixie-slim' in pages.read('Dockerfile.service'), 'Python 3.13'
    assert locks.PYTHON_OF_SERVICE == '3.13'


def test_an_upgrade_is_asked_for(monkeypatch, tmp_path):
    ran, written = [], {}
    monkeypatch.setattr(locks.subprocess, 'run', lambda command, **_: ran.append(command))
    monkeypatch.setattr(locks, '_write', lambda path, lines: written.update({path: list(lines)}))
    monkeypatch.setattr(locks, '_files_of', lambda name, version: ['0' * 64])
    locks.main([])
    locks.main(['--upgrade'])
    assert [command[0] for command in ran] == [
        os.path.join(os.path.dirname(sys.executable), 'uv')] * 2
    assert ['--upgrade' in command for command in ran] == [False, True]
    assert all(locks.PYTHON_OF_SERVICE in command for command in ran)
    assert set(written) == {locks.REGISTRY, locks.SERVICE}
