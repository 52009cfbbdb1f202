"""The settings of the service: the table of its options. Does no I/O.

The values come from the environment, or from the block ``service`` of a file."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Mapping
from urllib.parse import urlsplit

from .. import configuration
from ..engine.errors import SettingError
from ..engine.settings import checks
from ..engine.settings.checks import Refused, printable
from ..engine.settings.options import AWS_REGION, Option, Settings
from ..engine.settings.resolution import BaseSettings, Layer, resolve

_LISTEN = re.compile(r'(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]+)\Z')
# Before 2018, a bucket in us-east-1 could have a longer name, capitals and underscores:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r's3://([A-Za-z0-9._-]{3,255})(/[^?#]*)?\Z')


def listen(text: str) -> str:
    """Return the text if it is an address to listen on; otherwise raise Refused."""
    found = _LISTEN.match(text)
    if not found or not checks.is_port(found['port']):
        raise Refused(f"is '{printable(text)}', which is not an address to listen on",
                      'write host and port, as in 127.0.0.1:5080')
    return text


def storage(text: str) -> str:
    """Return the text if it is a bucket or an absolute path; otherwise raise Refused."""
    if text.startswith('/'):
        return text
    checks.refuse_secrets(text)
    if not _BUCKET.match(text):
        raise Refused(f"is '{printable(text)}', which is neither a bucket nor an absolute path",
                      'write s3://BUCKET or s3://BUCKET/ROOTDIRECTORY, or the absolute path of '
                      'the rootdirectory or of a file of names; or leave it out to read the '
                      'catalog of the registry')
    return text


def bucket_of(text: str) -> tuple[str, str] | None:
    """Return the bucket and the root directory of a storage; None if it is a path."""
    found = _BUCKET.match(text)
    return (found[1], found[2] or '') if found else None


def password(text: str) -> str:
    """Return the text if it can be a password of Basic credentials; otherwise raise Refused."""
    if re.search(r'[\x00-\x1f\x7f]', text):
        raise Refused('contains a control character (not shown, it may be secret)',
                      'copy it again, without line breaks')
    return text


def user(text: str) -> str:
    """Return the text if it can be a user of Basic credentials; otherwise raise Refused."""
    if ':' in text:
        raise Refused('contains a colon, which a user name cannot contain',
                      'write the name alone, and the password as registry_password')
    return password(text)


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks in a list of addresses and networks; otherwise raise Refused."""
    try:
        return tuple(ip_network(each, strict=False) for each in re.split(r'[,\s]+', text))
    except ValueError:
        raise Refused(f"is '{printable(text)}', which is not a list of addresses",
                      'write addresses or networks, as in 127.0.0.1,10.0.0.0/8') from None


scope = checks.matching(
    r'registry:catalog:\*|repository:[a-z0-9]+(?:[/._-]+[a-z0-9]+)*:pull',
    'is not a scope that the service can test', 'write registry:catalog:*, or repository:NAME:pull '
    'with the name of a repository')
host = checks.matching(r'[a-z0-9_.-]+', 'is not a host name in lower case',
                       'write a name such as auth.example.com, without https:// and without a port')

#: In the order of docs/service.md.
OPTIONS = (
    Option('registry_url', None, checks.url, 'The address of the registry, seen from the service.'),
    Option('registry_username', None, user, 'The user who reads the registry, if it requires one.'),
    Option('registry_password', None, password, 'The password of that user.', secret=True),
    Option('registry_ca', None, checks.path,
           "The file of CA certificates to trust, in addition to those of the system."),
    Option('registry_cert', None, checks.path,
           "The file of the service's certificate, if the registry requires one."),
    Option('registry_key', None, checks.path, 'The file of the key of that certificate.'),
    Option('registry_token_host', None, host,
           "The host of a token server that may get passwords although it is outside of the "
           "registry's domain."),
    Option('events_secret', None, checks.secret(16),
           'The secret that the registry sends with its notifications.', secret=True),
    Option('events_wait', '0.8', checks.seconds(0.1, 60),
           'Seconds after which a notification is answered, even if its change is not made.'),
    Option('pull_through_cache', 'false', checks.switch,
           'True if the registry is a pull-through cache: pulls then add repositories, and the '
           'service requests nothing that the cache would request from its upstream.'),
    Option('auth', 'registry', checks.matching(
        'registry|htpasswd|none', 'is not one of its values', 'write registry, htpasswd or none'),
           'Who may search and read the catalog: users whom the registry accepts (`registry`), the '
           'users in a file (`htpasswd`), or everybody (`none`). **Results are not filtered by '
           'user.**'),
    Option('auth_scope', 'registry:catalog:*', scope,
           'The scope that a token must permit, if the registry requires tokens.'),
    Option('htpasswd', None, checks.path, 'The file of users, if auth is htpasswd.'),
    Option('page', 'true', checks.switch,
           'False to leave out the search page for browsers, at / and below /-/.'),
    Option('listen', '127.0.0.1:5080', listen, 'The address where the service listens.'),
    Option('monitoring_listen', None, listen,
           'A separate address for /metrics and /readyz; the address in listen then answers '
           'neither.'),
    Option('trusted_proxies', None, networks,
           'The addresses of proxies whose X-Forwarded-For names the client in the access log.'),
    Option('log_format', 'text', checks.matching(
        'text|json', 'is neither text nor json', 'write text or json'),
           'The format of the log: text or json.'),
    Option('log_level', 'info', checks.matching(
        'debug|info|warning|error', 'is not a level', 'write debug, info, warning or error'),
           'The lowest level of the lines that are logged: debug, info, warning or error.'),
    Option('threads', '16', checks.whole(2, 256), 'The number of requests handled at once.'),
    Option('catalog_limit', '1000', checks.whole(1, 10 ** 9 - 1),
           'The largest number of names on a page of the catalog; above 1000, the cost of a page '
           'has no limit.'),
    Option('storage', None, storage,
           "What a load lists: s3://BUCKET/ROOTDIRECTORY, or the absolute path of the root "
           "directory or of a file of names; by default, the registry's catalog."),
    Option('storage_region', None, checks.region, 'The region of the bucket.',
           aws=('DYNAMODB_REGION', *AWS_REGION)),
    Option('storage_access_key', None, checks.secret(),
           'The access key ID for the bucket; without a pair, botocore finds one.', secret=True),
    Option('storage_secret_key', None, checks.secret(),
           'The secret access key that belongs to it.', secret=True),
    Option('storage_endpoint_url', None, checks.endpoint,
           "The address of S3, if it is not that of the region.",
           aws=('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL')),
    Option('storage_addressing', 'auto', checks.matching(
        'auto|path|virtual', 'is not a way to address a bucket', 'write auto, path or virtual'),
           'The part of an address that names the bucket: path, virtual (the host name) or auto.'),
    Option('storage_ca', None, checks.path,
           'The file of CA certificates to trust for S3, instead of the default ones.'),
)


class ServiceSettings(BaseSettings):
    """The settings of one service."""

    BLOCK = 'service'
    OPTIONS = OPTIONS
    PAIRS = (('registry_username', 'registry_password'), ('registry_cert', 'registry_key'),
             ('storage_access_key', 'storage_secret_key'))
    # A password is often in the environment, and its user in the file.
    MIXES_LAYERS = True

    if TYPE_CHECKING:
        def __getattr__(self, name: str) -> Any: ...

    @property
    def registry(self) -> str | None:
        """The registry as the tables record it: host, port and path of its address; or None."""
        parts = urlsplit(self.registry_url or '')
        host = 'localhost' if parts.hostname in ('127.0.0.1', '::1') else parts.hostname
        port = '' if parts.port in (None, 80, 443) else f':{parts.port}'
        return f"{host}{port}{parts.path.rstrip('/')}" if host else None

    def check_serving(self) -> None:
        """Raise SettingError if a setting is missing that the command serve needs."""
        for name in ('registry_url', 'events_secret'):
            if getattr(self, name) is None:
                raise SettingError(name, None, 'is missing', f'set {name.upper()}, or {name} in '
                                   f'the block {self.BLOCK} of the file')
        if self.auth == 'htpasswd' and self.htpasswd is None:
            raise SettingError('htpasswd', None, 'is missing, while auth is htpasswd',
                               'set HTPASSWD to the htpasswd file of the registry; or leave AUTH '
                               'out to ask the registry')


def settings_of(environ: Mapping[str, str], top_level: Mapping[str, Any],
                source: str = 'the file') -> tuple[ServiceSettings, list[str]]:
    """Return the ServiceSettings, and a list of warnings. The environment overrides the file.

    :param top_level: the file, as configuration.read_file returns it; {} without a file.
    :param source: names the file in messages.
    :raises SettingError: a value is unusable; the error names the first such value."""
    of_tables = configuration.block_of(Settings, top_level, source, environ)
    layers = [
        configuration.environment_of(ServiceSettings, environ),
        configuration.block_of(ServiceSettings, top_level, source, environ),
        Layer(of_tables.source, {'storage_region': of_tables.values.get('region')},
              {'storage_region': of_tables.origin('region')}),
        configuration.aws_of(ServiceSettings, environ)]
    in_file = layers[1].values.pop('anonymous_read', None)
    anonymous = configuration.unquote(environ.get('ANONYMOUS_READ', '')) or in_file
    implied, former = _auth_of_0_4_0(layers, str(anonymous).lower())
    layers.append(Layer('settings of release 0.4.0', {'auth': implied}))
    settings, warnings = resolve(ServiceSettings, layers)
    return settings, former + warnings + configuration.misspelled(ServiceSettings, environ,
                                                                  top_level)


def _auth_of_0_4_0(layers: list[Layer], anonymous: str) -> tuple[str | None, list[str]]:
    """Return the ``auth`` that the settings of release 0.4.0 amount to, and warnings.

    :param anonymous: the former setting anonymous_read, in lower case."""
    is_open = anonymous in ('true', 'yes', 'on', '1')
    if any(layer.values.get('auth') for layer in layers):
        return None, ['ANONYMOUS_READ is ignored, because AUTH is set'] * is_open
    if not is_open and not any(layer.values.get('htpasswd') for layer in layers):
        return None, []
    former, implied = ('ANONYMOUS_READ', 'none') if is_open else ('HTPASSWD', 'htpasswd')
    return implied, [f'{former} without AUTH counts as AUTH={implied}, as in release 0.4.0; set '
                     f'AUTH={implied}']
