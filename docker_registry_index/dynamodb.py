"""The plugin: the search backend of docker-registry 0.9.1.

The registry's configuration names this module: ``search_backend: docker_registry_index.dynamodb``.
docker-registry imports it, calls Index() without arguments, sends the Index signals, and requests
results. This module only passes settings, signals and searches to the engine."""

from __future__ import unicode_literals

import json
import logging
import os

from .engine import errors

try:
    import flask
    from docker_registry.lib import config as registry_config
    from docker_registry.lib.index import Index as Base
except ImportError as error:
    raise errors.MissingDependency('docker_registry (%s)' % error,
                                   'pip install --no-deps -r requirements/registry-py27.txt')

from . import configuration
from .engine import SearchIndex
from .plugin.process import ProcessIndexes
from .plugin.storage import RegistrySource, text_of, unquoted

__all__ = [str('Index')]

logger = logging.getLogger(__name__)

# At level debug, as in the dev flavour, botocore logs requests with their session tokens.
for _chatty in ('boto3', 'botocore'):
    if logging.getLogger(_chatty).level == logging.NOTSET:
        logging.getLogger(_chatty).setLevel(logging.INFO)


class Index(Base):
    """The search index of a docker-registry, kept in Amazon DynamoDB.

    If the index is ready, the start costs one BatchGetItem. If not, the start creates the tables
    and loads the repositories of the registry's storage. After startup_wait seconds, the load
    continues in the background. The registry also starts if DynamoDB is unavailable.

    :param database: overrides the setting of this name.
    :param dynamodb_access_key: overrides the setting access_key.
    :param dynamodb_secret_access_key: overrides the setting secret_access_key.
    :raises SettingError, MissingDependency: the registry does not start.
    :raises NewerDatabase, ForeignDatabase: the registry does not start; nothing was changed."""

    #: The version of the tables, which release 0.1.0 created and shares with this release.
    version = 1

    def __init__(self, database=None, dynamodb_access_key=None, dynamodb_secret_access_key=None):
        settings, warnings = configuration.load(
            configuration.path_of(os.environ, registry_config.__file__), os.environ,
            {'database': database,
             'dynamodb_access_key': dynamodb_access_key,
             'dynamodb_secret_access_key': dynamodb_secret_access_key})
        for warning in warnings:
            logger.warning(warning)
        self._settings = settings
        self._indexes = ProcessIndexes(settings, self._start)
        # Connects the signals, so it is called last: no signal arrives before the start.
        super(Index, self).__init__()

    def results(self, search_term=None):
        """Return the repositories that match a term, best first.

        The request ends with status 400 if its parameter ``n`` is wrong, and with 503 if DynamoDB
        is unavailable, both with a JSON error. A partial result is never returned.

        If more repositories may match, the answer also contains ``incomplete_results: true``.

        :param search_term: a term; docs/search.md defines its meaning.
        :returns: a list of {'name': text, 'description': text}; all, or the first ``n``."""
        limit = _limit_of_request()
        try:
            with self._indexes.index() as index:
                found = index.search(search_term, limit)
        except errors.DynamoDBIndexError as error:
            logger.error('a search is answered with 503: %s', error)
            _refuse(503, 'search is not available now, try again later')
        if found.is_incomplete and flask.has_request_context():
            flask.after_this_request(_mark_incomplete)
        return [result._asdict() for result in found]

    def _start(self, wait):
        index = SearchIndex(self._settings, connect_now=wait is None)
        index.start(RegistrySource(), wait)
        return index

    def _handle_repository_created(self, sender, namespace, repository, value):
        self._apply_change(namespace, repository, True)

    _handle_repository_updated = _handle_repository_created

    def _handle_repository_deleted(self, sender, namespace, repository):
        self._apply_change(namespace, repository, False)

    def _apply_change(self, namespace, repository, is_there):
        """Apply a change to the index, within push_wait seconds. An error never fails the push or
        the delete."""
        name = '%s/%s' % (text_of(namespace), unquoted(repository))
        try:
            with self._indexes.index() as index:
                index.apply_change(name, is_there)
        except errors.InvalidName as error:
            logger.warning('a repository is left out of the search index: %s', error)
        except Exception:
            logger.exception('the search index missed a change of %r; the next sync makes it', name)


def _limit_of_request():
    """Return the parameter ``n`` of the search request; None if it has none."""
    given = flask.request.args.get('n', '') if flask.has_request_context() else ''
    if not given:
        return None
    try:
        limit = int(given)
    except ValueError:
        limit = 0
    if limit < 1:
        _refuse(400, 'parameter n must be a positive whole number; leave it out for all results')
    return limit


def _mark_incomplete(answer):
    document = dict(json.loads(answer.get_data(as_text=True)), incomplete_results=True)
    answer.set_data(json.dumps(document, sort_keys=True))
    return answer


def _refuse(status, sentence):
    flask.abort(flask.Response(json.dumps({'error': sentence}), status,
                               mimetype='application/json'))
