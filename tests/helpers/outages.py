"""What a program logs about an outage of DynamoDB or of its keys, and when it tries again."""

#: Seconds between two attempts to find keys, and what a busy machine needs.
FIND_AGAIN = 30 + 10


def assert_logged_once(server, *parts):
    """Assert that the log of a server has one line at the beginning of an outage, with these parts,
    and one at its end."""
    lines = server.log_text().splitlines()
    [begin] = [line for line in lines if 'DynamoDB is unavailable' in line]
    assert all(part in begin for part in parts), begin
    assert sum('DynamoDB is available again' in line for line in lines) == 1
