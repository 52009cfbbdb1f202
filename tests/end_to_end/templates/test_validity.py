"""The templates in config/ are valid: cfn-lint, CloudFormation of a local AWS, and the schemas of
Kubernetes accept them."""
import json
import os
import subprocess

import boto3
import pytest

from dev.servers.aws import Ministack
from dev.servers.process import LOCAL, ROOT, installed
from tests.docs import pages
from tests.helpers import cloudformation
from tests.helpers.cloudformation import PSEUDO, Template
from tests.helpers.waiting import wait_until

KUBERNETES = 'config/kubernetes.yml'
#: The oldest version of Kubernetes whose schema allows each field, and the newest in the package.
VERSIONS = ['1.30.0', '1.34.0', '1.37.0']
#: A region of each partition that cfn-lint knows.
REGIONS = ['us-east-1', 'eu-west-1', 'us-gov-west-1', 'cn-north-1']
#: Mistakes, (right, wrong), and the rule of cfn-lint that finds each.
MISTAKES = {('KeyType: RANGE', 'KeyType: SORT'): 'E3002',
            ("!Ref KmsKeyArn, ''", "!Ref KmsKey, ''"): 'E1020',
            ('DeletionPolicy: Retain', 'DeletionPolicies: Retain'): 'E3001'}
#: The services of the local AWS that a stack needs.
STACK = 'cloudformation,dynamodb,iam,kms,sts,s3'


def check(tool, *arguments):
    """Run a tool of .local/templates; return its exit status and its output. If it is not
    installed, skip the test; in CI, fail."""
    path = os.path.join(LOCAL, 'templates', 'bin', tool)
    if not os.path.exists(path) and not os.environ.get('CI'):
        pytest.skip('%s is not installed: dev/bootstrap templates' % tool)
    done = subprocess.run([installed(path, 'templates'), *arguments], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def lint(*arguments):
    return check('cfn-lint', '--non-zero-exit-code', 'informational', '--regions', *REGIONS,
                 *arguments)


def with_mistakes(path, mistakes, folder):
    """Return the path of a copy of a file with mistakes, each at its first place."""
    text = pages.read(path)
    for right, wrong in mistakes:
        assert right in text
        text = text.replace(right, wrong, 1)
    (folder / 'wrong.yml').write_text(text)
    return str(folder / 'wrong.yml')


def test_cfn_lint_finds_nothing_in_any_partition():
    assert lint('--', cloudformation.PATH) == (0, '')


def test_cfn_lint_finds_mistakes(tmp_path):
    output = lint('--', with_mistakes(cloudformation.PATH, MISTAKES, tmp_path))[1]
    assert set(MISTAKES.values()) <= set(output.split()), output


@pytest.mark.parametrize('version', VERSIONS)
def test_the_schemas_of_kubernetes_accept_each_object(version):
    status, output = check('kubernetes-validate', '--strict', '-k', version, KUBERNETES)
    assert status == 0, output
    assert output.count(' passed for resource ') == pages.read(KUBERNETES).count('\nkind: ')


def test_the_schemas_of_kubernetes_find_mistakes(tmp_path):
    path = with_mistakes(KUBERNETES, {('drop: [ALL]', 'dropped: [ALL]'): None}, tmp_path)
    status, output = check('kubernetes-validate', '--strict', '-k', VERSIONS[0], path)
    assert status and 'dropped' in output, output


@pytest.fixture(scope='module')
def aws():
    """A function from the name of a service to its client, for an AWS with CloudFormation."""
    with Ministack(services=STACK) as server:
        yield lambda service: boto3.client(
            service, endpoint_url=server.url, region_name='us-east-1',
            aws_access_key_id='local', aws_secret_access_key='local-secret')


@pytest.mark.parametrize('parameters', [
    {'Database': 'plain'}, {'Database': 'with-key', 'Bucket': 'images',
                            'KmsKeyArn': 'arn:aws:kms:us-east-1:000000000000:key/1234abcd'}],
    ids=lambda parameters: parameters['Database'])
def test_cloudformation_creates_the_tables_and_the_policy(aws, parameters):
    stacks, name = aws('cloudformation'), parameters['Database']
    stacks.create_stack(
        StackName=name, TemplateBody=pages.read(cloudformation.PATH),
        Capabilities=['CAPABILITY_IAM'],
        Parameters=[{'ParameterKey': key, 'ParameterValue': value}
                    for key, value in parameters.items()])

    def described():
        return stacks.describe_stacks(StackName=name)['Stacks'][0]

    wait_until(lambda: described()['StackStatus'], 'the stack is not created', 30,
               expected='CREATE_COMPLETE')
    wanted = Template(**parameters)
    outputs = {each['OutputKey']: each['OutputValue'] for each in described()['Outputs']}
    policy = aws('iam').get_policy_version(PolicyArn=outputs.pop('Policy'), VersionId='v1')
    assert policy['PolicyVersion']['Document'] == json.loads(
        json.dumps(wanted.policy).replace(PSEUDO['AWS::AccountId'], '000000000000'))
    assert outputs == {'Database': name, 'Region': 'us-east-1'}
    for table in wanted.tables:
        found = aws('dynamodb').describe_table(TableName=table['TableName'])['Table']
        for key in 'KeySchema', 'AttributeDefinitions', 'DeletionProtectionEnabled':
            assert found[key] == table[key]
        assert found['BillingModeSummary']['BillingMode'] == table['BillingMode']
