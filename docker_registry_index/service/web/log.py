"""The access log, a line for each request. No line can forge another one or control a terminal,
whatever a client sends."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

import flask

_access = logging.getLogger('docker_registry_index.access')
_LINE = ('%(client)s %(user)s "%(request)s" %(status)d %(bytes)s %(milliseconds)dms '
         '"%(user_agent)s"')


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
        is read from its end, up to the first address that is not that of a trusted proxy."""
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
