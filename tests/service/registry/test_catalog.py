"""No name of a catalog is lost between its pages, at the cost of few requests."""
import pytest

from docker_registry_index.service.registry.catalog import Catalog
from docker_registry_index.service.registry.client import before
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.registry.layout import is_name
from tests.helpers.distribution import PATH, DistributionCatalog, by_directory, random_names

#: What DistributionCatalog takes.
S3, FILES, OLD = {}, {'is_of_s3': False}, {'is_of_s3': False, 'is_old': True}


def plainly_read(catalog, size):
    """Return the names that a client finds which only follows the links."""
    names, last, has_more = [], '', True
    while has_more:
        page, has_more = catalog.listed(last, size)
        names, last = names + page, page[-1] if page else ''
    return names


@pytest.mark.parametrize('storage', [S3, FILES, OLD])
@pytest.mark.parametrize('seed', range(25))
def test_all_names_are_found_by_pages_of_each_size_and_each_once(storage, seed):
    names = random_names(seed, 60)
    for size in range(1, 20):
        catalog = DistributionCatalog(names, **storage)
        found = catalog.read_all(size)
        assert names <= set(found) and set(map(is_name, found)) == {True}
        # The others may have been hidden; their tags show that they do not exist.
        assert len(found) == len(set(found)), sorted(name for name in found
                                                     if found.count(name) > 1)


@pytest.mark.parametrize('storage', [S3, FILES, OLD])
@pytest.mark.parametrize('seed', range(5))
def test_names_that_do_not_exist_are_left_out_on_demand_as_for_a_cache(storage, seed):
    names = random_names(seed, 60)
    catalog = DistributionCatalog(names, **storage)

    def exists(name):
        listed, _ = catalog.listed(before(name), 100)
        assert (name in listed) is (name in names)
        return name in listed
    for size in range(1, 20):
        pages = Catalog(PATH, catalog.read, size, exists).pages()
        assert sorted(name for page in pages for name in page) == sorted(names)


def test_the_model_of_a_catalog_loses_names_as_the_registries_do():
    names = ['team/app', 'team/app-extra', 'team/app/base', 'team/app/web', 'team/web']
    assert plainly_read(DistributionCatalog(names), 5) == [
        'team/app-extra', 'team/app', 'team/app/base', 'team/app/web', 'team/web']
    assert plainly_read(DistributionCatalog(names), 1) == ['team/app-extra', 'team/web']
    assert plainly_read(DistributionCatalog(['a', 'a/0', 'b'], **OLD), 1) == ['a/0']
    for storage in S3, FILES:
        with pytest.raises(RegistryUnavailable):
            plainly_read(DistributionCatalog(['a', 'a/0', 'b'], **storage), 1)
        assert plainly_read(DistributionCatalog(['a', 'a/0', 'a/0b'], **storage), 1) == [
            'a/0', 'a/0b']


def test_hidden_names_cost_few_requests_and_others_none():
    names = ['team-%03d/app-%d' % (number, app) for number in range(300) for app in range(4)]
    hidden = ['team-100/%s' % name for name in ('app', 'app/base', 'app/base/0')]
    catalog = DistributionCatalog(names + hidden)
    # The names are in pages of 100, the first of which ends on team-024/app-3.
    assert set(names + hidden) <= set(catalog.read_all(100))
    assert len(catalog.requests) < 13 + 25 + 2
    assert max(catalog.requests.values()) == 1


@pytest.mark.parametrize('storage', [FILES, OLD])
def test_a_registry_that_lists_directories_gets_no_further_request(storage):
    names = ['team/app', 'team/app/0', 'team/app-1'] + [
        'team-%03d/app-%d' % (number, app) for number in range(300) for app in range(4)]
    catalog = DistributionCatalog(names, **storage)
    assert sorted(catalog.read_all(100)) == sorted(names)
    assert len(catalog.requests) == 13


def test_version_2_gets_no_further_request_whatever_its_names_are():
    names = ['a-%03d' % number for number in range(500)]
    catalog = DistributionCatalog(names, **OLD)
    assert catalog.read_all(100) == names and len(catalog.requests) == 5


def test_a_registry_in_the_order_of_the_names_themselves_is_read_once():
    class Plain(DistributionCatalog):
        def listed(self, last, size):
            page = [name for name in sorted(self.names) if name > last][:size]
            return page, len(page) == size
    names = random_names(1, 60) | {'p-%d' % number for number in range(9)} | {'p/x', 'p/y/z'}
    for size in range(1, 30):
        found = Plain(names).read_all(size)
        assert names <= set(found)
        assert not [name for name in found if name.startswith('p/') and found.count(name) > 1]


def test_a_reading_resumes_at_the_place_of_each_page():
    names = sorted(random_names(7, 60), key=by_directory)
    for storage in S3, FILES:
        catalog = DistributionCatalog(names, **storage)
        before, pages = set(), 0
        for page in catalog.pages(7):
            before.update(page)
            if page.place:
                pages += 1
                assert set(names) <= before | set(catalog.read_all(7, page.place))
        assert pages > 5
