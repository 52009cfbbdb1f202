"""The programs that tests of the service need."""
import os

import pytest

from dev.servers.programs import is_missing

__all__ = ['needs']


def needs(*names):
    """Return a mark that skips tests if a program is not installed. In CI, it must be."""
    missing = [name for name in names if is_missing(name)]
    return pytest.mark.skipif(bool(missing) and not os.environ.get('CI'), reason='not installed: '
                              '%s: dev/bootstrap clients' % ', '.join(missing))
