"""What goes wrong between the service and the registry beside it."""

from __future__ import unicode_literals

from ...engine.errors import DynamoDBIndexError

__all__ = ['ChangeUnderWay', 'CredentialsRefused', 'RegistryUnavailable']

_LATER = ('see whether the registry runs and whether REGISTRY_URL leads to '
          'it; it is asked again later')


class RegistryUnavailable(DynamoDBIndexError):
    """The registry did not answer, or something else answered.

    :param url: what was asked for, without credentials.
    :param problem: what happened instead.
    """

    def __init__(self, url, problem, way_out=_LATER):
        self.url = url
        self.problem = problem
        super(RegistryUnavailable, self).__init__(
            'the registry cannot be read at %.300s: it %s; %s'
            % (url, problem, way_out))


class CredentialsRefused(RegistryUnavailable):
    """The registry answers, but not to these credentials.

    :param status: 401 or 403.
    :param has_credentials: whether any were sent.
    """

    def __init__(self, url, status, has_credentials):
        self.status = status
        problem = ('refuses REGISTRY_USERNAME and REGISTRY_PASSWORD'
                   if has_credentials else 'wants credentials')
        super(CredentialsRefused, self).__init__(
            url, '%s (status %d)' % (problem, status),
            'set REGISTRY_USERNAME and REGISTRY_PASSWORD to those of a user '
            'who may pull every repository and read the catalog')


class ChangeUnderWay(DynamoDBIndexError):
    """An earlier change of the same repository is not over yet.

    :param name: of the repository.
    """

    def __init__(self, name):
        self.name = name
        super(ChangeUnderWay, self).__init__(
            'an earlier change of %.80r is still under way: this one is made '
            'after it, when the registry sends it again' % name)
