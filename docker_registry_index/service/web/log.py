"""The log: its lines, as text or JSON, and the access log, a line for each request.

No line can forge another one or control a terminal, whatever a client sends."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import flask

from ...engine.errors import safe
from ..settings import ServiceSettings

_access = logging.getLogger('docker_registry_index.access')
_LINE = ('%(client)s %(user)s "%(request)s" %(status)d %(bytes)s %(milliseconds)dms '
         '"%(user_agent)s"')


class _Text(logging.Formatter):
    """Writes lines of text; the lines of a traceback are indented."""

    converter = staticmethod(time.gmtime)
    default_time_format, default_msec_format = '%Y-%m-%dT%H:%M:%S', '%s.%03dZ'

    def formatMessage(self, record: logging.LogRecord) -> str:
        return str(safe(super().formatMessage(record)))

    def format(self, record: logging.LogRecord) -> str:
        return '\n    '.join(str(safe(line)) for line in super().format(record).splitlines())


class _JSON(_Text):
    """Writes each record as a JSON object, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {'time': self.formatTime(record), 'level': record.levelname.lower()}
        if record.name == _access.name and isinstance(record.args, dict):
            return json.dumps({**fields, **record.args})
        fields['message'] = str(safe(record.getMessage()))
        if record.exc_info:
            fields['traceback'] = self.formatException(record.exc_info)
        return json.dumps(fields)


def configure_logging(settings: ServiceSettings) -> None:
    """Write the access log to the standard output, and all other logs to the standard error."""
    kind = _JSON if settings.log_format == 'json' else _Text
    for logger, stream, form in (
            (logging.getLogger(), sys.stderr, '%(asctime)s %(levelname)s: %(message)s'),
            (_access, sys.stdout, '%(asctime)s %(message)s')):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(kind(form))
        logger.addHandler(handler)
        logger.setLevel(settings.log_level.upper())
    _access.propagate = False
    # At lower levels, some of these libraries log credentials.
    for chatty in 'boto3', 'botocore', 'urllib3', 'waitress':
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
    # This logger logs each request that waits for a thread.
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)


def log_access(answer: flask.Response, seconds: float,
               trusted: Sequence[IPv4Network | IPv6Network]) -> None:
    """Log a request that was answered within so many seconds.

    :param trusted: the networks of the proxies whose header X-Forwarded-For counts."""
    request = flask.request
    line = ' '.join(request.environ[key]
                    for key in ('REQUEST_METHOD', 'REQUEST_URI', 'SERVER_PROTOCOL'))
    _access.info(_LINE, {
        'client': _printable(client_address(
            request.remote_addr or '-', request.headers.get('X-Forwarded-For', ''), trusted), ' "'),
        'user': _printable(flask.g.get('user') or '-', ' "'),
        'request': _printable(line), 'status': answer.status_code,
        'bytes': answer.calculate_content_length(), 'milliseconds': round(1000 * seconds),
        'user_agent': _printable(request.headers.get('User-Agent', '-'))})


def client_address(peer: str, forwarded: str,
                   trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return the address of a client.

    :param peer: the address of the connection.
    :param forwarded: X-Forwarded-For, to which each proxy has added the address of its client. It
        counts from its end, up to the first address that is not one of a trusted proxy."""
    client = peer
    for text in [peer, *reversed(forwarded.split(','))]:
        try:
            address = ip_address(text.strip())
        except ValueError:
            break
        address = getattr(address, 'ipv4_mapped', None) or address
        client = str(address)
        if not any(address in network for network in trusted):
            break
    return client


def _printable(text: str, without: str = '"') -> str:
    """Return a text as printable ASCII, without quotes and other characters."""
    text = text.encode('unicode_escape').decode('ascii')
    return ''.join(f'\\x{ord(each):x}' if each in without else each for each in text)
