"""Host 1: the search backend of docker-registry 0.9.1.

Named in the registry's configuration, ``search_backend:
docker_registry_index.dynamodb``. docker-registry imports this module, calls
Index() without arguments, sends it signals, and asks it for results. Here
settings and signals are translated for the engine, and nothing else is done.
"""

from __future__ import unicode_literals

import json
import logging
import os
import urllib

from .engine import errors

try:
    import flask
    from docker_registry import storage
    from docker_registry.core import exceptions
    from docker_registry.lib import config as registry_config
    from docker_registry.lib.index import Index as Base
except ImportError as error:
    raise errors.MissingDependency(
        'docker_registry (%s)' % error,
        'pip install --no-deps -r requirements/registry-py27.txt')

from . import configuration
from .engine import SearchIndex

__all__ = [str('Index')]

logger = logging.getLogger(__name__)

_NOT_READY = ('the search index is not ready, the registry starts without; '
              'the next start of a worker tries again: %s')

# At the level of the dev flavour, debug, botocore writes whole requests into
# the log, session tokens in their headers.
for _chatty in ('boto3', 'botocore'):
    if logging.getLogger(_chatty).level == logging.NOTSET:
        logging.getLogger(_chatty).setLevel(logging.INFO)


class Index(Base):
    """The search index of a docker-registry, kept in Amazon DynamoDB.

    Making one creates the tables when they are missing and loads the
    repositories of the registry's storage when they are new; it costs one
    BatchGetItem when there is nothing to do, as at every restart of a
    worker. DynamoDB being away does not stop the registry.

    :param database: as the setting of this name, and stronger.
    :param dynamodb_access_key: as the setting access_key, and stronger.
    :param dynamodb_secret_access_key: as secret_access_key, and stronger.
    :raises SettingError, MissingDependency: stops the start of the registry.
    :raises NewerDatabase, ForeignDatabase: likewise; nothing was changed.
    """

    #: Of the tables that release 0.1.0 made, and shares with this one.
    version = 1

    def __init__(self, database=None, dynamodb_access_key=None,
                 dynamodb_secret_access_key=None):
        settings, warnings = configuration.load(
            configuration.path_of(os.environ, registry_config.__file__),
            os.environ,
            {'database': database,
             'dynamodb_access_key': dynamodb_access_key,
             'dynamodb_secret_access_key': dynamodb_secret_access_key})
        for warning in warnings:
            logger.warning(warning)
        self._index = SearchIndex(settings)
        self._start()
        # Connects the signals, so last: no event comes before the tables.
        super(Index, self).__init__()

    def results(self, search_term=None):
        """The repositories matching a term, best first, as dictionaries.

        :param search_term: docs/search.md says what it means.
        :returns: a list of {'name': text, 'description': text}; as many as
            the parameter ``n`` of the request asks for, else all.

        A wrong ``n`` answers 400, DynamoDB being away 503, both with a
        sentence: never a part of the results as if it were the whole.
        """
        limit = _limit_of_request()
        try:
            found = self._index.search(search_term, limit)
        except errors.RequestFailed as error:
            logger.error('search failed: %s', error)
            _refuse(503, 'search is not available now, try again later')
        return [result._asdict() for result in found]

    def _start(self):
        try:
            self._index.ensure_ready(_repositories)
        except (errors.SettingError, errors.NewerDatabase,
                errors.ForeignDatabase):
            raise
        except errors.DynamoDBIndexError as error:
            logger.error(_NOT_READY, error)
        except Exception as error:
            # Of the registry's storage, listed for the first load.
            logger.exception(_NOT_READY, error)

    def _handle_repository_created(self, sender, namespace, repository,
                                   value):
        self._follow(self._index.add, namespace, repository)

    def _handle_repository_updated(self, sender, namespace, repository,
                                   value):
        self._follow(self._index.add, namespace, repository)

    def _handle_repository_deleted(self, sender, namespace, repository):
        self._follow(self._index.remove, namespace, repository)

    def _follow(self, change, namespace, repository):
        """Make a change; a push or delete never fails because of it."""
        name = '%s/%s' % (_text(namespace), _unquoted(repository))
        try:
            change(name)
        except errors.InvalidName as error:
            logger.warning('not in the search index: %s', error)
        except Exception:
            logger.exception('the search index missed a change of %r; '
                             'docs/operations.md says how it catches up',
                             name)


def _repositories():
    """Yield (name, None) for every repository in the registry's storage.

    The storage keeps a namespace quoted once and a repository twice, because
    the registry quotes the latter before the storage's driver does.
    """
    store = storage.load()
    for namespace in _children(store, store.repositories):
        path = '%s/%s' % (store.repositories, namespace)
        for repository in _children(store, path):
            yield ('%s/%s' % (_unquoted(namespace),
                              _unquoted(_unquoted(repository))), None)


def _children(store, path):
    """Yield the names in a directory; some drivers say where it begins
    wrongly, so nothing but the last part of what they list is used."""
    try:
        for child in store.list_directory(path=path):
            yield _text(child).rstrip('/').rsplit('/', 1)[-1]
    except exceptions.FileNotFoundError:
        pass


def _text(value):
    return value.decode('utf-8', 'replace') if isinstance(
        value, bytes) else value


def _unquoted(part):
    if not isinstance(part, bytes):
        part = part.encode('utf-8')
    return urllib.unquote_plus(part).decode('utf-8', 'replace')


def _limit_of_request():
    """The parameter n of the search request; None when there is none."""
    given = (flask.request.args.get('n', '') if flask.has_request_context()
             else '')
    if not given:
        return None
    try:
        limit = int(given)
    except ValueError:
        limit = 0
    if limit < 1:
        _refuse(400, 'parameter n must be a whole number from 1 on, or left '
                     'out for all results')
    return limit


def _refuse(status, sentence):
    flask.abort(flask.Response(json.dumps({'error': sentence}), status,
                               mimetype='application/json'))
