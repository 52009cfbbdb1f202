"""The log: its lines, as text or JSON, and the access log, a line for each request.

No line can forge another one or control a terminal, whatever a client sends."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import flask

from ...engine.errors import safe
from ..settings import ServiceSettings

_access = logging.getLogger('docker_registry_index.access')
_LINE = ('%(client)s %(user)s "%(request)s" %(status)d %(bytes)s %(milliseconds)dms '
         '"%(user_agent)s"')
# An address in X-Forwarded-For; some proxies add the port.
_ADDRESS = re.compile(r'\s*(?:\[([0-9A-Fa-f:.]+)\](?::\d+)?|([\d.]+):\d+|([0-9A-Fa-f:.]+))\s*\Z')


class _Text(logging.Formatter):
    """Writes lines of text; the lines of a traceback are indented."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        return moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z')

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
    for chatty in 'boto3', 'botocore', 'urllib3', 'passlib', 'waitress':
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
        'client': client_address(request.remote_addr or '',
                                 request.headers.get('X-Forwarded-For', ''), trusted),
        'user': _printable(flask.g.get('user') or '-').replace(' ', '\\x20'),
        'request': _printable(line), 'status': answer.status_code,
        'bytes': answer.calculate_content_length(), 'milliseconds': round(1000 * seconds),
        'user_agent': _printable(request.headers.get('User-Agent', '-'))})


def client_address(peer: str, forwarded: str,
                   trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """Return the address of a client, or '-'.

    :param peer: the address of the connection.
    :param forwarded: X-Forwarded-For, to which each proxy has added the address of its client. It
        counts from its end, up to the first address that is not one of a trusted proxy."""
    client = None
    for text in [peer, *reversed(forwarded.split(','))]:
        address = _address(text)
        if address is None:
            break
        client = address
        if not any(address in network for network in trusted):
            break
    return str(client or '-')


def _address(text: str) -> IPv4Address | IPv6Address | None:
    found = _ADDRESS.match(text)
    try:
        address = ip_address(found[1] or found[2] or found[3]) if found else None
    except ValueError:
        return None
    return getattr(address, 'ipv4_mapped', None) or address


def _printable(text: str) -> str:
    """Return a text as printable ASCII without quotes."""
    return text.encode('unicode_escape').decode('ascii').replace('"', '\\x22')
