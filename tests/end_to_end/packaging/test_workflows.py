"""actionlint accepts the workflows of GitHub."""
import glob
import os
import shutil
import subprocess

import pytest

from dev.servers.process import LOCAL, ROOT

ACTIONLINT = os.path.join(LOCAL, 'actionlint', 'actionlint')
WORKFLOWS = sorted(glob.glob(os.path.join(ROOT, '.github', 'workflows', '*.yml')))

pytestmark = pytest.mark.skipif(
    not (os.path.exists(ACTIONLINT) or os.environ.get('CI')),
    reason='actionlint is not installed: dev/bootstrap actionlint')


def problems(*paths):
    """Return what actionlint prints about workflows."""
    done = subprocess.run([ACTIONLINT, '-no-color', *paths], capture_output=True, text=True,
                          cwd=ROOT)
    assert bool(done.stdout) == (done.returncode == 1), done.stderr
    return done.stdout


def test_actionlint_finds_nothing():
    assert len(WORKFLOWS) == 2
    assert problems(*WORKFLOWS) == ''


def test_actionlint_finds_a_mistake(tmp_path):
    path = str(tmp_path / 'test.yml')
    shutil.copyfile(WORKFLOWS[-1], path)
    with open(path, 'a') as target:
        target.write('  more:\n    runs-on: ubuntu-24.04\n    needs: tset\n'
                     '    steps: [{run: make check}]\n')
    assert 'needs job "tset" which does not exist' in problems(path)
