"""The commands in docs/loads.md."""
import re
import subprocess

from tests.docs import pages
from tests.helpers.listing import keys_of

LISTED = [prefix + 'docker/registry/v2/repositories/' + key for name in ('team/app', 'web')
          for prefix in ('gs://images/root/', 'root/') for key in keys_of(name, tags=2)]


def test_the_lists_of_other_clouds_become_names():
    scripts = re.findall(r"sed -n '(.+)'", pages.read('docs/loads.md'))
    assert len(scripts) == 2
    for script in scripts:
        names = subprocess.run(['sed', '-n', script], input='\n'.join(LISTED), text=True,
                               capture_output=True, check=True).stdout.split()
        assert set(names) == {'team/app', 'web'}
