"""What goes wrong between the service and its registry."""

from ...engine.errors import DynamoDBIndexError

__all__ = ['ChangeUnderWay', 'CredentialsRefused', 'RegistryUnavailable']


class RegistryUnavailable(DynamoDBIndexError):
    """The registry did not answer, or something else answered.

    :param url: the address that was requested, without credentials.
    :param problem: what happened instead.
    """

    def __init__(self, url: str, problem: str, way_out: str = (
            'see whether the registry runs and whether REGISTRY_URL leads to it; it is asked again '
            'later')) -> None:
        self.url = url
        self.problem = problem
        super().__init__(f'the registry cannot be read at {url:.300}: it {problem}; {way_out}')


class CredentialsRefused(RegistryUnavailable):
    """The registry answers, but refuses these credentials.

    :param status: 401 or 403.
    :param has_credentials: whether any were sent.
    """

    def __init__(self, url: str, status: int, has_credentials: bool) -> None:
        self.status = status
        problem = ('refuses REGISTRY_USERNAME and REGISTRY_PASSWORD' if has_credentials
                   else 'requires credentials')
        super().__init__(url, f'{problem} (status {status})',
                         'set REGISTRY_USERNAME and REGISTRY_PASSWORD to those of a user who may '
                         'pull every repository and read the catalog')


class ChangeUnderWay(DynamoDBIndexError):
    """An earlier change of the same repository has not ended yet.

    :param name: of the repository.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__('an earlier change of %.80r is still under way: this one is made after it,'
                         ' when the registry retries it' % name)
