"""The connection to DynamoDB: owns the boto3 session, the client and the credentials.

botocore alone has three faults. A client that found no credentials when it was created never looks
for them again. While STS or a metadata service hangs, so does each request. And in the last ten
minutes of valid keys, each request fails if they cannot be renewed. So this module looks for keys
in a thread of its own, each time with a new session, and gives them to clients as plain keys.
https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html"""

from __future__ import unicode_literals

import threading

from .. import errors
from .._compat import aws_options, monotonic
from ..concurrency import Backoff, SingleFlight
from ..errors import first_line

try:
    import boto3.session
    import botocore.config
    import botocore.exceptions
except ImportError as error:
    raise errors.MissingDependency(
        'boto3 (%s)' % error, 'pip install docker-registry-index-dynamodb')

#: More than the requests that a gevent worker is likely to make at once.
CONNECTIONS = 50
#: Seconds between two searches for keys while there are none, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1, 30
#: Seconds between two searches for keys while the present keys expire soon or are rejected.
_FIND_AGAIN = 30
#: botocore's errors for a mistake in its files or variables, which only a person can correct.
_MISTAKES = tuple(getattr(botocore.exceptions, name) for name in (
    'ConfigParseError', 'InfiniteLoopConfigError', 'InvalidConfigError', 'PartialCredentialsError',
    'ProfileNotFound', 'UnknownCredentialError'))


class NoCredentials(Exception):
    """Raised if there are no valid keys now.

    :param code: the name of the cause.
    :param detail: a description of the cause."""

    def __init__(self, code, detail):
        super(NoCredentials, self).__init__('%s: %s' % (code, detail))
        self.code = code
        self.detail = detail


class Connection(object):
    """Makes the clients of one process, one after the other; several threads may use it.

    If keys expire within 15 minutes, or if AWS has rejected them, a thread looks for new ones. In
    the meantime, the old keys are used until they expire.

    :param settings: a Settings; without a key pair in it, botocore's chain finds keys.
    :param find: returns botocore's credentials, or None; by default with a new session.
    :param clock: returns seconds that never go back."""

    def __init__(self, settings, find=None, clock=monotonic):
        self._settings = settings
        # Without the region, botocore may ask STS of another partition, which lacks the role.
        self._find_credentials = find or (lambda: boto3.session.Session(
            region_name=settings.region).get_credentials())
        self._clock = clock
        self._lock = threading.Lock()
        self._session = self._client = None
        self._watchers = []
        #: The longest time that a request waits for keys, in seconds.
        self._seconds = settings.connect_timeout + settings.read_timeout
        self._search = SingleFlight(self._find)
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        # The credentials that botocore found last, and their keys.
        self._found = self._keys = None
        self._are_rejected = False
        self._find_at = clock()
        # The code and the detail of the last failure; the SettingError if it is a mistake.
        self._problem = self._mistake = None

    def open(self):
        """Find keys now, which may take requests to a service of the machine.

        :raises SettingError: the configuration of botocore on this machine has a mistake."""
        try:
            self.client()
        except NoCredentials:
            if self._mistake is not None:
                raise self._mistake

    def client(self):
        """Return a boto3 client with valid keys.

        If there are no keys, waits for them as long as one attempt of a request may take. While no
        keys can be found, most calls raise the error of the last search at once.

        :raises NoCredentials: there are no valid keys now.
        :raises SettingError: no client can be created with the settings."""
        if self._settings.access_key is not None:
            return self._client or self._connect(
                self._settings.access_key, self._settings.secret_access_key, None)
        is_valid = self._has_valid_keys()
        is_wanted = not is_valid or self._are_rejected or _needs_refresh(self._found)
        if is_wanted and self._clock() >= self._find_at:
            self._search.wait(0 if is_valid else self._seconds)
        if self._has_valid_keys():
            return self._client
        if self._search.is_running or self._problem is None:
            raise NoCredentials('CredentialsTimeout', 'no credentials within %g seconds'
                                % self._seconds)
        raise NoCredentials(*self._problem)

    def watch(self, function):
        """Call a function with the current boto3 client, and with each one that is created."""
        with self._lock:
            self._watchers.append(function)
            if self._client is not None:
                function(self._client)

    def note_rejected(self, client):
        """Note that AWS has rejected the keys of a client; return their origin and the way out, as
        a text."""
        if self._settings.access_key is not None:
            return ('AWS rejects the keys of the settings access_key and secret_access_key; '
                    'correct them, activate the keys in IAM, or correct the clock')
        if client is self._client:
            self._are_rejected = True
        return ('AWS rejects the keys that botocore found (%s); correct them there; they are read '
                'again every 30 seconds' % getattr(self._found, 'method', 'unknown'))

    def _has_valid_keys(self):
        return self._client is not None and not _needs_refresh(self._found, 0)

    def _find(self):
        """Look for keys once, and note the result.

        :raises SettingError: as _connect."""
        try:
            found = self._find_credentials()
            # For the role of a profile or a pod, this makes a request to STS.
            keys = found and found.get_frozen_credentials()
        except Exception as error:
            self._note_failure(error)
            return
        if keys is None:
            self._note_problem('NoCredentialsError', 'no place has credentials, and no metadata '
                               'service answers with any; set access_key and secret_access_key, or '
                               'give the machine a role if it has none')
        elif _needs_refresh(found, 0):
            self._note_problem('ExpiredCredentials', 'the credentials of %s have expired'
                               % found.method)
        else:
            self._use(found, (keys.access_key, keys.secret_key, keys.token))

    def _note_failure(self, error):
        line = first_line(error)
        if isinstance(error, ValueError):
            line += ('; if the botocore of this Python does not support this source of '
                     'credentials, use another one, such as a role for the service account')
        self._note_problem(type(error).__name__, line)
        if isinstance(error, _MISTAKES):
            self._mistake = errors.SettingError(
                'access_key', 'the AWS configuration of this machine: environment variables AWS_*, '
                'boto and AWS files', 'cannot be used: %s' % line,
                'correct it there, or set access_key and secret_access_key')

    def _note_problem(self, code, detail):
        self._problem, self._mistake = (code, detail), None
        pause = _FIND_AGAIN if self._has_valid_keys() else self._backoff.next()
        self._find_at = self._clock() + pause

    def _use(self, found, keys):
        self._backoff.reset()
        self._find_at = self._clock() + _FIND_AGAIN
        self._found = found
        if keys != self._keys:
            self._connect(*keys)
            self._keys, self._are_rejected = keys, False

    def _connect(self, access_key, secret_access_key, token):
        """Create a boto3 client with these keys, and return it."""
        settings = self._settings
        try:
            with self._lock:
                if self._session is None:
                    self._session = boto3.session.Session(region_name=settings.region)
                client = self._session.client(
                    'dynamodb', endpoint_url=settings.endpoint_url,
                    aws_access_key_id=access_key, aws_secret_access_key=secret_access_key,
                    aws_session_token=token, config=botocore.config.Config(
                        connect_timeout=settings.connect_timeout,
                        read_timeout=settings.read_timeout, max_pool_connections=CONNECTIONS,
                        retries={'total_max_attempts': settings.attempts, 'mode': 'standard'},
                        **aws_options(botocore.config.Config.OPTION_DEFAULTS)))
                for watch in self._watchers:
                    watch(client)
                self._client = client
        except botocore.exceptions.BotoCoreError as error:
            raise errors.SettingError(
                'endpoint_url', 'the settings, and the AWS configuration of this machine',
                'cannot be used: %s' % first_line(error), 'correct them')
        return client


def _needs_refresh(credentials, *seconds):
    """Return True if credentials expire within so many seconds; by default, those of botocore."""
    return getattr(credentials, 'refresh_needed', lambda *_: False)(*seconds)
