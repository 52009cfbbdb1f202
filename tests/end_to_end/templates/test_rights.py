"""Both programs need the rights that the policy grants, and no others: a proxy before DynamoDB
denies all others, and records the rights of each request."""
import contextlib
import json
import re

import pytest

from dev.servers.dynamodb_refusals import rights_of
from dev.servers.proxy import Proxy
from dev.servers.registry_v1 import CONFIGURATION
from docker_registry_index.engine.store.records import TOMBSTONE, marker_key
from tests.docs import pages
from tests.end_to_end.plugin import registry_place
from tests.end_to_end.service import place as service_place
from tests.helpers.cloudformation import Template
from tests.helpers.command_line import CommandProcess
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.waiting import wait_until
from tests.helpers.whole_life import LONG


def by_kind(index, rights):
    """Return rights with the kinds of the tables in place of their names."""
    kinds = dict(zip(index.tables(), ('repository', 'version', 'search')))
    return {(action, kinds.get(table, table)) for action, table in rights}


class Policed:
    """The tables of the template, behind a proxy that grants the rights of the template's policy.

    :param index: an EngineIndex on DynamoDB itself, whose tables do not exist yet.
    :ivar log: what the programs have logged."""

    def __init__(self, index):
        self.index, self.log = index, ''
        self._running = contextlib.ExitStack()
        template = Template(Database=index.settings.database)
        for table in template.tables:
            # No local DynamoDB has it.
            del table['PointInTimeRecoverySpecification']
            index.dynamodb.create_table(**table)
        self._granted = rights_of(template.policy)
        self.granted = by_kind(index, self._granted)

    def __enter__(self):
        self.proxy = self._running.enter_context(Proxy(self.index.settings.endpoint_url))
        self._running.enter_context(self.proxy.granting(self._granted))
        return self

    def __exit__(self, *failure):
        self._running.close()

    @property
    def needed(self):
        return by_kind(self.index, self.proxy.rights)

    def use_commands(self, command):
        """Use each command but serve, on tables that others have damaged."""
        tables, dynamodb = self.index.settings, self.index.dynamodb
        assert command('status')[0] == 0
        lost = self.index.postings()[0]
        dynamodb.delete_item(TableName=tables.search_table,
                             Key={key: lost[key] for key in ('gram', 'suffix')})
        status, out, _ = command('check', '--repair')
        assert status == 0 and '1 problems, 1 repaired' in out, out
        # Time has passed since a delete, and a repository is missing.
        dynamodb.put_item(TableName=tables.search_table, Item=dict(
            marker_key(TOMBSTONE, 'acme/old'), number={'S': 'x'}, expires={'N': '1'}))
        self.index.remove('acme/web')
        assert command('load', '--dry-run')[0] == 0
        assert command.json('load')[1]['added'] == 1
        assert command('search', 'acme/web')[1].startswith('acme/web ')
        self.index.assert_whole()


@pytest.fixture(scope='module')
def of_plugin(ministack, dynamodb_local):
    """What the plugin in docker-registry 0.9.1 and the commands beside it do."""
    place = registry_place.Place(ministack.url, dynamodb_local.url)
    place.put('acme/web', 'acme/api', 'acme/gone')
    with Policed(EngineIndex(dynamodb_local.url, place.name)) as policed:
        behind = {'DYNAMODB_ENDPOINT_URL': policed.proxy.url}
        with place.running(**behind) as client:
            assert client.names() == ['acme/api', 'acme/gone', 'acme/web']
            for name in 'team/pushed', LONG:
                client.begin_push(name)
                client.push(name, {'latest': registry_place.image(name)})
                assert client.names(name) == [name]
            assert client.names('team pushed') == ['team/pushed']
            for name in LONG, 'acme/gone':
                client.delete(name)
            policed.log += client.registry.log_text()
        with place.running(**behind) as client:
            assert client.names() == ['acme/api', 'acme/web', 'team/pushed']
            policed.log += client.registry.log_text()
        policed.use_commands(CommandProcess('2.7', policed.index, **place.settings(
            DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='prod', **behind)))
        yield policed


@pytest.fixture(scope='module')
def of_service(ministack, dynamodb_local):
    """What the service beside a registry and the commands beside it do.

    :ivar s3: the proxy before the bucket that the service lists."""
    with Policed(EngineIndex(dynamodb_local.url)) as policed, Proxy(
            ministack.url) as policed.s3, service_place.Place(
            dynamodb_local.url, s3=ministack.url, database=policed.index.settings.database,
            STORAGE_ENDPOINT_URL=policed.s3.url,
            DYNAMODB_ENDPOINT_URL=policed.proxy.url) as place:
        found = {'acme/web': 'Words', 'acme/gone': 'Words', LONG: ''}
        digests = {name: place.images.push(name, text=text) for name, text in found.items()}
        place.wait_until_found(found, seconds=30)
        place.images.push('acme/web', text='More words')
        place.images.delete('acme/gone', digests['acme/gone'])
        found = {'acme/web': 'More words', LONG: ''}
        place.wait_until_found(found, seconds=30)
        place.wait_until_found({'acme/web': 'More words'}, 'acme words', 30)
        assert place.ask('/v2/_catalog').json()['repositories'] == sorted(found)
        # The search page: the namespaces, a search, and the page of a repository.
        for path in '/', '/?q=acme', '/-/r/acme/web':
            answer = place.ask(path)
            assert answer.status_code == 200 and 'acme' in answer.text, (path, answer.text)
        policed.use_commands(CommandProcess('3', policed.index, **place.settings))
        policed.log += place.service.log_text()
        yield policed


@service_place.needs('docker-registry', 'nginx')
@pytest.mark.parametrize('program', ['of_plugin', 'of_service'])
def test_a_program_works_with_the_tables_and_the_rights_of_the_template(program, request):
    policed = request.getfixturevalue(program)
    assert set(policed.proxy.outcomes) == {'passed'}
    assert 'AccessDenied' not in policed.log
    assert not re.search(r'\b(ERROR|CRITICAL)\b|Traceback', policed.log)
    assert policed.needed <= policed.granted


@service_place.needs('docker-registry', 'nginx')
def test_the_programs_need_all_rights_that_the_policy_grants(of_plugin, of_service):
    assert of_plugin.needed | of_service.needed == of_plugin.granted == of_service.granted


@service_place.needs('docker-registry', 'nginx')
def test_a_load_of_a_bucket_only_lists_it(of_service):
    # Both forms of LIST need the right s3:ListBucket.
    assert set(of_service.s3.counts) == {'LIST'}


def test_without_a_right_the_service_starts_and_its_log_names_the_right(dynamodb_local):
    with Policed(EngineIndex(dynamodb_local.url)) as policed, FakeRegistry(
            {'acme/web': ''}) as registry, policed.proxy.denying('Scan'):
        beside = service_place.ServiceProcess(
            dynamodb_local.url, registry, policed.index.settings.database,
            DYNAMODB_ENDPOINT_URL=policed.proxy.url)
        service = beside.service.launch()
        try:
            for line in 'dynamodb:Scan', 'listening on':
                wait_until(lambda: line in service.log_text(), line + ' is not logged', 60)
            assert beside.get('/healthz').status_code == 200
            assert beside.get('/readyz').status_code == 503
        finally:
            service.stop()
        [line, *_] = [line for line in service.log_text().splitlines() if 'dynamodb:Scan' in line]
        assert 'ERROR' in line and 'AccessDeniedException' in line
        assert any(table in line for table in policed.index.tables())


@pytest.mark.parametrize('python', ['2.7', '3'])
def test_only_the_optional_right_allows_to_create_tables(python, dynamodb_local):
    index = EngineIndex(dynamodb_local.url)
    database = index.settings.database
    with Proxy(dynamodb_local.url) as proxy:
        command = CommandProcess(python, index, DYNAMODB_ENDPOINT_URL=proxy.url)
        with proxy.granting(rights_of(Template(Database=database).policy)):
            status, message = command.fails('load', '--names', '-', given='acme/web\n')
        assert status == 3 and 'AccessDenied' in message
        assert 'dynamodb:CreateTable' in message and database + '-repository' in message
        policy = pages.read('docs/iam-policy.json').replace('docker-registry', database)
        with proxy.granting(rights_of(json.loads(policy))):
            assert command('load', '--names', '-', given='acme/web\n')[0] == 0
        index.assert_whole()
        created = {right for right in proxy.rights if right[0] == 'CreateTable'}
        assert created == {('CreateTable', table) for table in index.tables()}
