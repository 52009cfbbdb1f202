"""Package metadata: the version, and what differs between Python 2 and 3. setup.cfg has the rest.

Both build from the same source package. The package for Python 2 does not contain the service."""
import io
import os
import re
import sys

from setuptools import find_packages, setup

HERE = os.path.dirname(os.path.abspath(__file__))

FOR_PYTHON2 = {
    'packages': find_packages(include=['docker_registry_index*'],
                              exclude=['docker_registry_index.service*']),
    'python_requires': '>=2.7, <3',
    'install_requires': [
        # 1.12 has retries in the standard mode; 1.17 is the last for Python 2.7.
        'boto3>=1.12,<1.18',
        'click>=7,<8',
        'PyYAML>=3.10',
    ],
}
FOR_PYTHON3 = {
    'packages': find_packages(include=['docker_registry_index*']),
    'python_requires': '>=3.9',
    'install_requires': ['boto3>=1.26', 'click>=7.1', 'PyYAML>=5.4'],
    'extras_require': {
        'service': [
            'bcrypt>=4',
            'cachetools>=5.3',
            'Flask>=2.3',
            'prometheus_client>=0.17',
            'publicsuffixlist>=1.0',
            'requests>=2.28',
            'waitress>=3.0.1',  # repairs CVE-2024-49768 and CVE-2024-49769
        ],
    },
}


def version():
    """Return __version__ without importing the package, whose dependencies may be missing."""
    with io.open(os.path.join(HERE, 'docker_registry_index', '__init__.py'),
                 encoding='utf-8') as source:
        return re.search(r"^__version__ = '([^']+)'$", source.read(), re.MULTILINE).group(1)


setup(version=version(), **(FOR_PYTHON2 if sys.version_info < (3,) else FOR_PYTHON3))
