"""config/cloudformation.yml and config/kubernetes.yml agree with the code and the documents; see
also tests/end_to_end/templates."""
import json
import re

import pytest
import yaml

from dev.servers.process import free_port
from docker_registry_index import __version__, configuration
from docker_registry_index.engine.settings.options import OPTIONS
from docker_registry_index.engine.store.tables import definition, tables
from docker_registry_index.service.settings import OPTIONS as SERVICE_OPTIONS, settings_of
from docker_registry_index.service.web.app import MONITORING
from tests.docs import pages
from tests.helpers.cloudformation import Template
from tests.helpers.engine import EngineIndex
from tests.helpers.requests_made import RequestsMade
from tests.helpers.service import SECRET, InProcessService

#: What a table of the template has beyond those that the index creates.
PROTECTION = {'DeletionProtectionEnabled': True,
              'PointInTimeRecoverySpecification': {'PointInTimeRecoveryEnabled': True}}
KEY = 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'


def created_by(database):
    """Return the arguments of CreateTable with which the index creates its tables."""
    settings, _ = configuration.load(None, {'DYNAMODB_DATABASE': database})
    return [definition(table) for table in tables(settings).values()]


@pytest.mark.parametrize('database', ['registry', 'docker-registry'])
def test_the_tables_are_those_that_the_index_creates_with_protection(database):
    assert Template(Database=database).tables == [
        dict(table, **PROTECTION) for table in created_by(database)]


def test_the_template_accepts_the_names_that_the_index_accepts_and_keeps_its_tables():
    template = Template().document
    pattern = template['Parameters']['Database']['AllowedPattern']
    for name in 'a', 'docker-registry', 'A.b_c-9' * 34, 'x' * 244:
        assert re.fullmatch(pattern, name) and created_by(name)
    assert not any(re.fullmatch(pattern, name) for name in ('', 'a/b', 'x' * 245))
    kept = [resource for resource in template['Resources'].values()
            if resource.get('DeletionPolicy') == resource.get('UpdateReplacePolicy') == 'Retain']
    assert len(kept) == len(Template().tables) == 3


def test_the_policy_is_that_of_the_page_without_the_optional_statement():
    of_page = json.loads(pages.read('docs/iam-policy.json'))
    assert of_page['Statement'].pop()['Sid'] == 'CreatingTablesOptional'
    assert Template(Database='docker-registry').policy == of_page


def test_a_key_and_a_bucket_add_their_rights_and_nothing_else():
    template = Template(KmsKeyArn=KEY, Bucket='images')
    *_, key, bucket = template.policy['Statement']
    assert template.policy['Statement'] == Template().policy['Statement'] + [key, bucket]
    assert bucket == {'Sid': 'Bucket', 'Effect': 'Allow', 'Action': 's3:ListBucket',
                      'Resource': 'arn:aws:s3:::images'}
    assert key['Resource'] == KEY and key['Condition'] == {
        'StringEquals': {'kms:ViaService': 'dynamodb.us-east-1.amazonaws.com'}}
    assert [table.pop('SSESpecification') for table in template.tables] == [
        {'SSEEnabled': True, 'SSEType': 'KMS', 'KMSMasterKeyId': KEY}] * 3
    assert template.tables == Template().tables


def test_the_start_accepts_the_tables_as_they_are(in_process_dynamodb):
    index = EngineIndex(in_process_dynamodb.url)
    for table in Template(Database=index.settings.database).tables:
        table.pop('PointInTimeRecoverySpecification')
        index.dynamodb.create_table(**table)
    made = RequestsMade(index.engine)
    assert index.ensure_ready(lambda: [('acme/web', None)])
    assert index.names() == ['acme/web'] and 'CreateTable' not in made.operations


#: The objects of config/kubernetes.yml by kind and name.
OBJECTS = {(each['kind'], each['metadata']['name']): each
           for each in yaml.safe_load_all(pages.read('config/kubernetes.yml'))}
POD = OBJECTS['Deployment', 'registry-index']['spec']['template']
[CONTAINER] = POD['spec']['containers']
PORTS = {port['name']: port['containerPort'] for port in CONTAINER['ports']}
ENVIRONMENT = {each['name']: each['value'] for each in CONTAINER['env']}


def test_every_variable_is_a_setting_and_the_service_can_start(tmp_path):
    secrets = {option.variable + '_FILE' for option in OPTIONS + SERVICE_OPTIONS if option.secret}
    variables = {option.variable for option in OPTIONS + SERVICE_OPTIONS}
    assert set(ENVIRONMENT) <= variables | secrets
    [secret] = secrets & set(ENVIRONMENT)
    (tmp_path / 'secret').write_text(SECRET)
    environment = dict(ENVIRONMENT, **{secret: str(tmp_path / 'secret')})
    settings, warnings = settings_of(environment, {})
    settings.check_serving()
    assert settings.events_secret == SECRET and settings.log_format == 'json'
    engine, more = configuration.load(None, environment, is_service=True)
    assert engine.database == Template().document['Parameters']['Database']['Default']
    assert warnings + more == []


def test_secrets_are_files_of_the_secret_that_the_first_lines_create():
    comment = pages.read('config/kubernetes.yml').split('\napiVersion')[0]
    [volume] = [each['secret'] for each in POD['spec']['volumes'] if 'secret' in each]
    [mount] = [each for each in CONTAINER['volumeMounts'] if each['name'] == 'secret']
    [key] = re.findall(r'--from-literal=([\w-]+)=', comment)
    assert 'create secret generic %s \\' % volume['secretName'] in comment
    assert ENVIRONMENT['EVENTS_SECRET_FILE'] == '%s/%s' % (mount['mountPath'], key)
    assert 'http://registry-index:%d/events' % PORTS['http'] in comment


def test_the_ports_are_those_where_the_service_listens_and_the_services_lead_there():
    assert ENVIRONMENT['LISTEN'] == '0.0.0.0:%d' % PORTS['http']
    assert ENVIRONMENT['MONITORING_LISTEN'] == '0.0.0.0:%d' % PORTS['monitoring']
    for (kind, name), each in OBJECTS.items():
        if kind == 'Service':
            [port] = each['spec']['ports']
            assert port['port'] == PORTS[port['targetPort']], name
        if kind in ('Service', 'PodDisruptionBudget', 'Deployment'):
            selector = each['spec']['selector']
            assert selector.get('matchLabels', selector).items() <= POD['metadata'][
                'labels'].items(), name


def test_the_probes_are_answered_where_they_ask(in_process_dynamodb):
    service = InProcessService(EngineIndex(in_process_dynamodb.url),
                               MONITORING_LISTEN='127.0.0.1:%d' % free_port())
    asked = {name: CONTAINER[name + 'Probe']['httpGet'] for name in ('liveness', 'readiness')}
    assert asked == {'liveness': {'path': '/healthz', 'port': 'monitoring'},
                     'readiness': {'path': '/readyz', 'port': 'monitoring'}}
    with service:
        for probe in asked.values():
            answer = service.request('GET', probe['path'], **{MONITORING: True})
            assert answer.status_code == 200, probe


def test_the_pod_has_time_to_end_and_no_rights():
    pause = CONTAINER['lifecycle']['preStop']['sleep']['seconds']
    # docs/service.md promises that the process ends within 25 seconds.
    assert 'The process ends within 25 seconds.' in pages.prose('docs/service.md')
    assert POD['spec']['terminationGracePeriodSeconds'] > pause + 25
    context = dict(POD['spec']['securityContext'], **CONTAINER['securityContext'])
    assert context == {
        'runAsNonRoot': True, 'runAsUser': 10001, 'runAsGroup': 10001, 'fsGroup': 10001,
        'seccompProfile': {'type': 'RuntimeDefault'}, 'allowPrivilegeEscalation': False,
        'readOnlyRootFilesystem': True, 'capabilities': {'drop': ['ALL']}}
    assert not POD['spec']['automountServiceAccountToken']


def test_the_image_is_that_of_this_release():
    assert CONTAINER['image'].endswith('/registry-index:' + __version__)
