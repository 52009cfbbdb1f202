"""The log, which every test must leave clean."""
import pytest

from tests.helpers.service import SECRET


@pytest.fixture(autouse=True)
def clean_log(caplog):
    """Check that a test has logged no secret, no unexpected error, and nothing that steers a
    terminal."""
    caplog.set_level('INFO', 'docker_registry_index')
    yield
    for record in caplog.get_records('call'):
        assert record.exc_info is None and SECRET not in record.getMessage(), record
        assert '\x1b' not in record.getMessage()
