"""Renews the two lock files that the images install, on behalf of `make lock`.

usage: python -m dev.setup.locks [--upgrade]

requirements/service-py3.txt contains what the extra `service` of this package needs on the Python
of Dockerfile.service, as uv resolves it. requirements/registry-py27.txt keeps its versions, which a
person chooses, since the newest ones do not work with docker-registry 0.9.1. Both list the hashes
of all files of a version that pip could install. Comments are kept. UV_DEFAULT_INDEX names another
package index.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request

from packaging.utils import (InvalidSdistFilename, InvalidWheelFilename, canonicalize_name,
                             parse_sdist_filename, parse_wheel_filename)
from packaging.version import Version

from dev.servers.process import ROOT

#: The Python of the image that Dockerfile.service builds.
PYTHON_OF_SERVICE = '3.13'
SERVICE = os.path.join(ROOT, 'requirements', 'service-py3.txt')
REGISTRY = os.path.join(ROOT, 'requirements', 'registry-py27.txt')

_INDEX = os.environ.get('UV_DEFAULT_INDEX', 'https://pypi.org/simple').rstrip('/')
_JSON = 'application/vnd.pypi.simple.v1+json'  # https://peps.python.org/pep-0691/
_PIN = re.compile(r'^([\w.-]+)==(\S+)')
_ON_PYTHON27 = {'cp27', 'py27', 'py2'}


def main(arguments):
    parser = argparse.ArgumentParser(prog='make lock', description='Renew two lock files.')
    parser.add_argument('--upgrade', action='store_true',
                        help='choose the newest versions for the service; otherwise, versions that '
                             'still suit are kept')
    _lock_service(['--upgrade'] if parser.parse_args(arguments).upgrade else [])
    _write(REGISTRY, with_hashes(_lines(REGISTRY), _files_of))


def _lock_service(options):
    head = [line for line in _lines(SERVICE) if line.startswith('#')]
    subprocess.run([os.path.join(os.path.dirname(sys.executable), 'uv'), 'pip', 'compile',
                    '--quiet', '--no-header', '--no-annotate', '--generate-hashes', '--extra',
                    'service', '--python-version', PYTHON_OF_SERVICE, '--output-file', SERVICE,
                    'setup.py'] + options, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    _write(SERVICE, head + _lines(SERVICE))


def with_hashes(lines, files_of):
    """Yield the lines of a lock file with the hashes that `files_of(name, version)` returns. Those
    that the file has are left out."""
    for line in lines:
        pin = _PIN.match(line)
        if pin:
            hashes = sorted(files_of(*pin.groups()))
            yield ' \\\n'.join(['%s==%s' % pin.groups()]
                               + ['    --hash=sha256:' + each for each in hashes])
        elif not line.startswith(' '):
            yield line


def _files_of(name, version):
    """Return the hashes of the files of a version that pip could install on Python 2.7."""
    request = urllib.request.Request('%s/%s/' % (_INDEX, canonicalize_name(name)),
                                     headers={'Accept': _JSON})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)['files']
    return {each['hashes']['sha256'] for each in files if suits(each['filename'], version)}


def suits(filename, version):
    """Return True if a file is of this version, and Python 2.7 can install it."""
    try:
        if not filename.endswith('.whl'):
            return parse_sdist_filename(filename)[1] == Version(version)
        _, its_version, _, tags = parse_wheel_filename(filename)
        return (its_version == Version(version)
                and not _ON_PYTHON27.isdisjoint(tag.interpreter for tag in tags))
    except (InvalidSdistFilename, InvalidWheelFilename):  # an egg or a program for Windows
        return False


def _lines(path):
    with open(path, encoding='utf-8') as source:
        return source.read().splitlines()


def _write(path, lines):
    text = ''.join(line + '\n' for line in lines)
    with open(path, 'w', encoding='utf-8') as target:
        target.write(text)


if __name__ == '__main__':
    main(sys.argv[1:])
