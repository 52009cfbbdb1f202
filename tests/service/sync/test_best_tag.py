"""Which tag describes a repository after pushes and deletes, with an index in DynamoDB."""
import pytest

from docker_registry_index.service.registry.client import Tags
from docker_registry_index.service.sync.reconcile import Change, Reconciler
from tests.helpers.faults import Meanwhile
from tests.helpers.registry import FakeRegistryClient, manifest

NAME = 'acme/web'
UNTAGGED = Change(NAME, None, None)


class Registry(FakeRegistryClient):
    """A registry of one repository: its tags to the descriptions of their images.

    :ivar lists: the number of requests for tags."""

    def __init__(self, **tagged):
        super().__init__()
        self.images, self.lists = {}, 0

    def tags(self, name, timeout=None):
        self.lists += 1
        return Tags(self.images)

    def has(self, name, timeout=None):
        return bool(self.images)

    def manifest(self, name, reference, timeout=None):
        tag = reference.partition(':')[2] or reference
        return manifest(self.images[tag]) if tag in self.images else None


class Copy:
    """A copy of the service beside a registry."""

    def __init__(self, index, registry):
        self.index, self.registry = index, registry
        self.reconciler, self.notes = Reconciler(index.engine, registry), []
        self.reconciler.on_note = self.notes.append

    def push(self, tag, text=None):
        self.registry.images[tag] = text
        self.handle_push(tag)

    def handle_push(self, tag):
        self.reconciler.reconcile(Change(NAME, 'sha256:' + tag, tag), 20)

    def delete(self, tag):
        del self.registry.images[tag]
        self.reconciler.reconcile(UNTAGGED, 20)

    def read_notes(self):
        """Read the notes until there are none, as the worker does."""
        while self.notes:
            self.notes.pop()
            self.reconciler.describe(NAME, 20)

    @property
    def described(self):
        """The description of the repository, and the tag that has given it."""
        row = self.index.rows()[NAME]
        return [row.get(attribute, {}).get('S') for attribute in ('description', 'origin')]


@pytest.fixture
def copy(index):
    return Copy(index.ready(), Registry())


@pytest.mark.parametrize('pushes, tag', [
    (['2.0', '1.9.1'], '2.0'), (['1.9.1', '2.0'], '2.0'), (['2.0', '2.0-alpine'], '2.0'),
    (['2.0-rc1', '2.0'], '2.0'), (['2.0', '2.1-rc1'], '2.1-rc1'), (['latest', '3.0'], 'latest'),
    (['3.0', 'latest'], 'latest'), (['main', '1.0', 'stable'], '1.0'),
    (['app', 'buildcache'], 'app'), (['buildcache', '1.0'], '1.0'),
    (['1.0', 'sha256-' + 'a' * 64 + '.sig'], '1.0')])
def test_a_push_changes_the_description_if_no_better_tag_has_given_it(copy, pushes, tag):
    for pushed in pushes:
        copy.push(pushed, 'Of ' + pushed)
    assert copy.described == ['Of ' + tag, tag]
    assert copy.registry.lists == 0 and copy.notes == []


def test_a_push_without_a_description_keeps_that_of_another_tag(copy):
    copy.push('latest')
    assert copy.described == [None, None]
    copy.push('1.0', 'Of 1.0')
    assert copy.described == ['Of 1.0', '1.0']
    copy.push('2.0')
    assert copy.described == ['Of 1.0', '1.0']
    copy.push('1.1', 'Of 1.1')
    assert copy.described == ['Of 1.1', '1.1']
    copy.push('1.1')
    assert copy.described == ['Of 1.1', '1.1'] and copy.registry.lists == 0


def test_the_same_tag_and_the_same_text_of_a_better_tag_are_noted(copy):
    copy.push('1.0', 'old')
    copy.push('1.0', 'new')
    assert copy.described == ['new', '1.0']
    copy.push('1.1', 'new')
    copy.push('1.0.1', 'lower')
    assert copy.described == ['new', '1.1']


def test_a_push_by_digest_does_not_change_the_description(copy):
    copy.push('1.0', 'Of 1.0')
    copy.registry.images['child'] = 'Of a child'
    copy.reconciler.reconcile(Change(NAME, 'sha256:child', None), 20)
    assert copy.described == ['Of 1.0', '1.0'] and copy.notes == []


@pytest.mark.parametrize('left, described', [
    ({'1.0': 'Of 1.0', '1.1': 'Of 1.1', 'buildcache': 'cached'}, ['Of 1.1', '1.1']),
    ({'1.0': 'Of 1.0', 'latest': None, '1.1': None}, ['Of 1.0', '1.0']),
    ({'1.0': 'too far down', '1.1': None, '1.2': None, '1.3': None}, [None, None]),
    ({'1.0': None}, [None, None]), ({'buildcache': 'cached'}, [None, None])])
def test_after_the_delete_of_the_tag_that_described_it_the_next_best_one_does(
        copy, left, described):
    copy.registry.images.update(left)
    copy.push('9.0', 'Of 9.0')
    copy.delete('9.0')
    assert copy.described == described
    copy.read_notes()
    assert copy.described == described


def test_the_description_of_a_better_tag_is_kept_after_it_is_pushed_without_one(copy):
    copy.push('latest', 'Of latest')
    copy.push('2.0', 'Of 2.0')
    copy.push('1.0', 'Of 1.0')
    copy.push('latest')
    copy.delete('1.0')
    assert copy.described == ['Of latest', 'latest'] and copy.notes == []


@pytest.mark.parametrize('text', [None, 'Of latest'])
def test_a_tag_behind_those_that_were_listed_does_not_count_as_deleted(copy, monkeypatch, text):
    copy.push('2.0', 'Of 2.0')
    copy.registry.images.update({'1.0': None, 'latest': text})
    listed = Tags(['1.0', 'latest'])
    listed.is_complete = False
    monkeypatch.setattr(copy.registry, 'tags', lambda *_: listed)
    copy.reconciler.reconcile(UNTAGGED, 20)
    assert copy.described == ([text, 'latest'] if text else ['Of 2.0', '2.0'])
    assert copy.notes == [], 'another list would have the same tags'


def test_a_delete_of_another_tag_keeps_the_description(copy):
    copy.push('1.0', 'Of 1.0')
    copy.push('2.0', 'Of 2.0')
    copy.push('latest')
    copy.delete('1.0')
    assert copy.described == ['Of 2.0', '2.0'] and copy.notes == []


def test_a_description_without_an_origin_is_replaced_after_all_tags_are_listed(copy):
    copy.registry.images['2.0'] = 'Of 2.0'
    copy.index.engine.add(NAME, 'As 0.4.0 wrote it')
    copy.push('1.0')
    assert copy.notes == []
    copy.push('1.0', 'Of 1.0')
    assert copy.described == ['As 0.4.0 wrote it', None]
    [note] = copy.notes
    assert note.name == NAME and not note.is_expected
    copy.read_notes()
    assert copy.described == ['Of 2.0', '2.0']


def test_without_any_description_in_the_images_one_of_unknown_origin_is_kept(copy):
    copy.registry.images['2.0'] = None
    copy.index.engine.add(NAME, 'by hand')
    copy.reconciler.describe(NAME, 20)
    assert copy.described == ['by hand', None] and copy.notes == []


def test_a_better_tag_that_another_copy_has_pushed_meanwhile_describes(copy):
    copy.push('1.0', 'Of 1.0')
    other = Copy(copy.index.another(), copy.registry)
    Meanwhile(copy.index.engine, 'TransactWriteItems', lambda: other.push('3.0', 'Of 3.0'))
    copy.push('2.0', 'Of 2.0')
    assert copy.described == ['Of 3.0', '3.0']


def test_a_push_that_another_copy_handles_after_the_tags_were_listed_describes_in_the_end(copy):
    for tag in '1.0', '1.1':
        copy.push(tag, 'Of ' + tag)
    other, tags = Copy(copy.index.another(), copy.registry), copy.registry.tags

    def tags_before_the_push(name, timeout=None):
        listed, copy.registry.tags = tags(name), tags
        other.push('2.0', 'Of 2.0')
        return listed
    copy.registry.tags = tags_before_the_push
    copy.delete('1.1')
    assert copy.notes, 'nobody would correct it'
    copy.read_notes()
    assert copy.described == ['Of 2.0', '2.0']
