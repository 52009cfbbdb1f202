"""Host 1: the search backend of docker-registry 0.9.1.

Named in the registry's configuration, ``search_backend:
docker_registry_index.dynamodb``. docker-registry imports this module, calls
Index() without arguments, sends it signals, and asks it for results. Here
settings and signals are translated for the engine, and nothing else is done.
"""

from __future__ import unicode_literals

import atexit
import contextlib
import gc
import imp
import json
import logging
import os
import sys
import threading

from .engine import errors

try:
    import flask
    from docker_registry.lib import config as registry_config
    from docker_registry.lib.index import Index as Base
except ImportError as error:
    raise errors.MissingDependency(
        'docker_registry (%s)' % error,
        'pip install --no-deps -r requirements/registry-py27.txt')

from . import configuration
from .engine import SearchIndex
from .plugin.storage import RegistrySource, text_of, unquoted

__all__ = [str('Index')]

logger = logging.getLogger(__name__)

# At the level of the dev flavour, debug, botocore writes whole requests into
# the log, session tokens in their headers.
for _chatty in ('boto3', 'botocore'):
    if logging.getLogger(_chatty).level == logging.NOTSET:
        logging.getLogger(_chatty).setLevel(logging.INFO)


class Index(Base):
    """The search index of a docker-registry, kept in Amazon DynamoDB.

    Making one costs one BatchGetItem when the index is ready, as at every
    restart of a worker. When it is not, the tables are created and the
    repositories of the registry's storage loaded, in the background if that
    takes longer than the setting startup_wait. DynamoDB being away does not
    stop the registry.

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
        self._settings = settings
        # By process: what is forked has threads and connections of its own.
        self._locks, self._indexes = {}, {}
        if _is_preloading():
            _look_before_the_fork(settings)
            flask.request_started.connect(self._begin)
        else:
            self._start(None)
        atexit.register(self._close)
        # Connects the signals, so last: no event comes before the start.
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
            with _import_lock_released():
                found = self._index().search(search_term, limit)
        except errors.DynamoDBIndexError as error:
            logger.error('search failed: %s', error)
            _refuse(503, 'search is not available now, try again later')
        return [result._asdict() for result in found]

    def _handle_repository_created(self, sender, namespace, repository,
                                   value):
        self._follow(namespace, repository, True)

    def _handle_repository_updated(self, sender, namespace, repository,
                                   value):
        self._follow(namespace, repository, True)

    def _handle_repository_deleted(self, sender, namespace, repository):
        self._follow(namespace, repository, False)

    def _start(self, wait):
        index = SearchIndex(self._settings, at_once=wait is None)
        with _import_lock_released():
            index.start(RegistrySource(), wait)
        self._indexes[os.getpid()] = index
        return index

    def _index(self):
        """The SearchIndex of this process, begun without waiting if it was
        forked since this Index was made."""
        process = os.getpid()
        index = self._indexes.get(process)
        if index is None:
            # Not made before the fork: gevent may have patched only since.
            with self._locks.setdefault(process, threading.Lock()):
                index = self._indexes.get(process) or self._start(0)
        return index

    def _begin(self, *_, **__):
        """A worker's first request, whichever it is, begins a load that is
        needed."""
        try:
            self._index()
        except Exception:
            logger.exception('the search index has to begin later')

    def _close(self):
        index = self._indexes.get(os.getpid())
        if index is not None:
            index.close()

    def _follow(self, namespace, repository, is_there):
        """Follow a change; a push or delete never fails because of it, nor
        waits longer than the setting push_wait."""
        name = '%s/%s' % (text_of(namespace), unquoted(repository))
        try:
            with _import_lock_released():
                self._index().follow(name, is_there)
        except errors.InvalidName as error:
            logger.warning('not in the search index: %s', error)
        except Exception:
            logger.exception('the search index missed a change of %r; the '
                             'next sync makes it', name)


def _is_preloading():
    """Whether gunicorn's master makes the index, and forks workers later.

    Its setup makes the application only with --preload; without, each worker
    does:
    https://github.com/benoitc/gunicorn/blob/19.10.0/gunicorn/arbiter.py#L119
    """
    frame = sys._getframe()
    while frame is not None:
        if (frame.f_code.co_name == 'setup' and
                frame.f_globals.get('__name__') == 'gunicorn.arbiter'):
            return True
        frame = frame.f_back
    return False


def _look_before_the_fork(settings):
    """Stop the start where nobody could use the index.

    :raises SettingError, NewerDatabase: as Index.
    """
    # Those of a role are asked for in a thread, and none may be begun here.
    if settings.access_key:
        _look(settings)
        # Closes the connections, which the workers would share.
        gc.collect()


def _look(settings):
    try:
        SearchIndex(settings).is_ready()
    except errors.RequestFailed as error:
        logger.debug('each worker looks for itself: %s', error)


@contextlib.contextmanager
def _import_lock_released():
    """Let other threads import meanwhile.

    Python 2.7 has one lock for all imports. docker-registry makes the index
    while it is itself being imported; a thread that is waited for then, and
    meets any import statement, would never end.
    """
    released = 0
    try:
        while imp.lock_held():
            imp.release_lock()
            released += 1
    except RuntimeError:
        # Another thread's; nobody waits for us then.
        pass
    try:
        yield
    finally:
        for _ in range(released):
            imp.acquire_lock()


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
