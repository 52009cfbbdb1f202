"""Package metadata: setup.cfg has it, except for the version, which the package itself states once."""
import io
import os
import re

from setuptools import setup

HERE = os.path.dirname(os.path.abspath(__file__))


def version():
    """Read __version__ without importing the package, whose dependencies are not installed yet."""
    with io.open(os.path.join(HERE, 'docker_registry_index', '__init__.py'), encoding='utf-8') as source:
        return re.search(r"^__version__ = '([^']+)'$", source.read(), re.MULTILINE).group(1)


setup(version=version())
