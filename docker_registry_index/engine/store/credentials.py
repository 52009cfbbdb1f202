"""Credentials that expire, and are asked for again before that."""

from __future__ import unicode_literals

from ..concurrency import Errand

__all__ = ['Credentials']

#: Seconds before they expire in which botocore insists on new ones.
_LAST = 600


class Credentials(object):
    """The credentials of a client.

    botocore gives the service that has them, STS, a minute and five attempts,
    whatever the time-outs of the client:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html#assume-role-provider
    So it is asked in another thread.

    :param found: what botocore has found, or None.
    :param patience: seconds that a request waits for them.
    """

    def __init__(self, found, patience):
        self._needs = getattr(found, 'refresh_needed', lambda *_: False)
        self._errand = Errand(lambda: found.get_frozen_credentials())
        self.patience = patience

    def are_there(self):
        """Whether a request can be signed without waiting for them.

        :raises: what botocore does when they are refused.
        """
        if not self._needs():
            return True
        if self._errand.is_under_way and not self._needs(_LAST):
            return True
        return (self._errand.wait(self.patience) or
                not self._needs(_LAST))
