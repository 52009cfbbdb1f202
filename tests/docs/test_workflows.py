"""The workflows of GitHub only call the Makefile, with the rights that each job needs. actionlint
checks their syntax in tests/end_to_end/packaging."""
import os
import re

import pytest
import yaml

from tests.docs import pages

FOLDER = '.github/workflows'
NAMES = sorted(os.listdir(os.path.join(pages.ROOT, FOLDER)))
TARGETS = set(re.findall(r'^([a-z0-9-]+):', pages.read('Makefile'), re.MULTILINE))


def workflow(name):
    return yaml.safe_load(pages.read('%s/%s' % (FOLDER, name)))


def jobs(name):
    return workflow(name)['jobs'].items()


def steps(key):
    """Return the values of this key in the steps of all workflows."""
    return [step[key] for name in NAMES for _, job in jobs(name) for step in job.get('steps', [])
            if key in step]


def commands():
    """Return the commands of all steps, with each value of a matrix in its place."""
    found = []
    for name in NAMES:
        for _, job in jobs(name):
            for step in job.get('steps', []):
                lines = [step.get('run', '')]
                for key, values in job.get('strategy', {}).get('matrix', {}).items():
                    lines = [re.sub(r'\$\{\{ matrix\.%s \}\}' % key, str(value), line)
                             for line in lines for value in values]
                found += [line for line in lines if line]
    return found


def test_every_command_is_one_target_of_the_makefile():
    assert set(steps('run')) and len(commands()) >= len(steps('run'))
    for command in commands():
        make, target, *variables = re.sub(r'\$\{\{[^}]*\}\}', 'VALUE', command).split()
        assert make == 'make' and target in TARGETS, command
        assert all(re.match(r'[A-Z]+=\S+\Z', each) for each in variables), command


def test_every_push_and_pull_request_runs_the_tests_that_ci_runs():
    events = workflow('test.yml')[True]  # YAML reads the key `on` as true
    assert events == {'push': {'branches': ['**']}, 'pull_request': None, 'workflow_call': None}
    assert {'make check', 'make test'} <= set(commands())
    assert set(re.findall(r'make ([a-z-]+)', pages.read('.ci/run'))) <= {
        line.split()[1] for line in commands()}


def test_a_tag_is_released_after_the_tests_with_the_packages_and_the_images():
    assert workflow('release.yml')[True] == {'push': {'tags': ['v*']}}
    release = dict(jobs('release.yml'))
    assert release['test'] == {'uses': './%s/test.yml' % FOLDER}
    assert release['packages']['needs'] == release['images']['needs'] == 'test'
    assert release['publish']['needs'] == ['packages', 'images']
    tagged = [line for line in commands() if 'TAG=${{ github.ref_name }}' in line]
    assert [line.split()[1] for line in tagged] == ['dist', 'images']


@pytest.mark.parametrize('name', NAMES)
def test_a_job_has_no_more_rights_than_its_actions_need(name):
    assert workflow(name)['permissions'] == {'contents': 'read'}
    allowed = {'packages': {'contents': 'read', 'id-token': 'write', 'attestations': 'write'},
               'publish': {'id-token': 'write'},
               'images': {'contents': 'read', 'packages': 'write'}}
    for job, content in jobs(name):
        assert content.get('permissions') == (allowed.get(job) if name == 'release.yml' else None)
        for step in content.get('steps', []):
            if step.get('uses', '').startswith('actions/checkout@'):
                assert step['with'] == {'persist-credentials': False}


def test_an_action_has_a_version_and_no_step_has_a_secret_but_the_token_of_its_run():
    assert all(re.search(r'@v\d+(\.\d+)*$|@[0-9a-f]{40}$', each) for each in steps('uses'))
    texts = ''.join(pages.read('%s/%s' % (FOLDER, name)) for name in NAMES)
    assert set(re.findall(r'secrets\.(\w+)', texts)) == {'GITHUB_TOKEN'}
    assert 'password' not in str([step for step in steps('with') if 'packages' in str(step)])


def test_the_images_have_their_provenance_and_the_names_of_the_readme():
    recipe = re.search(r'^images: .*\n((?:\t.*\n)+)', pages.read('Makefile'), re.MULTILINE)[1]
    assert recipe.count('--push $(PROVENANCE)') == recipe.count('docker buildx build') == 2
    assert re.findall(r'tags,([a-z-]+)', recipe) == ['registry-index', 'docker-registry-dynamodb']
    assert all(' %s\n' % name in pages.read('README.md') + '\n'
               for name in re.findall(r'tags,([a-z-]+)', recipe))
