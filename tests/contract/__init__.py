"""What "search" means, stated once and run through every host.

`oracle.py` answers by brute force and shares no code with the engine.
`suite.py` is the contract: a class that a host's test module inherits, with
an `index` fixture that gives an Adapter.
"""

import pytest

# Plain asserts in these would otherwise fail without showing what differs.
pytest.register_assert_rewrite('tests.contract.oracle', 'tests.contract.suite')
