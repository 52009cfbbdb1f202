"""The contract of search, stated once and checked on every program and every engine.

`oracle.py` answers by brute force and shares no code with the engine. `suite.py` is the contract: a
class that a program's test module inherits, with a fixture `index`."""

import pytest

# Otherwise a plain assert in these modules fails without showing the difference.
pytest.register_assert_rewrite('tests.contract.oracle', 'tests.contract.suite')
