"""The table of the service's options, and what each accepts. Pure."""

from __future__ import unicode_literals

import collections
import os.path
import re

from ..engine.settings.checks import Refused, endpoint, key, printable, region

__all__ = ['BLOCK', 'OPTIONS', 'Option', 'bucket_of']

#: Where the options stand in a configuration file.
BLOCK = 'service'

_LISTEN = re.compile(r'(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])'
                     r':(?P<port>[0-9]{1,5})\Z')
_BUCKET = re.compile(r's3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])'
                     r'(?P<root>/[^?#]*)?\Z')
_URL = re.compile(r'https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])'
                  r'(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._~/-]*)?\Z',
                  re.IGNORECASE)
_SECRET_LENGTH = 16


class Option(collections.namedtuple('Option', 'name default check meaning')):
    """One setting.

    :param default: text used when nothing gives a value; None for no value.
    :param check: turns text into the value, or raises Refused.
    :param meaning: one line for the documentation.
    """

    __slots__ = ()

    @property
    def variable(self):
        """The name of its environment variable."""
        return self.name.upper()

    @property
    def secret(self):
        """True when its value must never be shown."""
        return self.name in ('registry_password', 'events_secret',
                             'storage_access_key', 'storage_secret_key')


def listen(text):
    """Return the text when it is an address to listen on."""
    found = _LISTEN.match(text)
    if not found or not 1 <= int(found.group('port')) <= 65535:
        raise Refused("is '%s', which is no address to listen on"
                      % printable(text),
                      'write host and port, as in 127.0.0.1:5080')
    return text


def registry(text):
    """Return the text when it is the address of a registry."""
    _refuse_hidden(text, 'write only scheme, host and port, and give the user '
                   'as registry_username and registry_password')
    found = _URL.match(text)
    if not found or not 1 <= int(found.group('port') or 80) <= 65535:
        raise Refused("is '%s', which is no address of a registry"
                      % printable(text), 'write scheme, host and port, as in '
                      'http://127.0.0.1:5000')
    return text


def _refuse_hidden(text, way_out):
    if '@' in text or '?' in text or '#' in text:
        # What stands there may be a password or a signature: not shown.
        raise Refused('is an address with a user, a query or a fragment in '
                      'it (not shown, it may be secret)', way_out)


def storage(text):
    """Return the text when it is a bucket or a directory."""
    if not os.path.isabs(text):
        _refuse_hidden(text, 'write s3://BUCKET/ROOTDIRECTORY, and give keys '
                       'as storage_access_key and storage_secret_key')
    if _BUCKET.match(text) or os.path.isabs(text):
        return text
    raise Refused("is '%s', which is neither a bucket nor a directory"
                  % printable(text),
                  'write s3://BUCKET or s3://BUCKET/ROOTDIRECTORY, or the '
                  'absolute path of the rootdirectory; or leave it out, and '
                  'the catalog of the registry is read')


def bucket_of(text):
    """(bucket, root directory) of a storage; None where it is a path."""
    found = _BUCKET.match(text)
    return found and (found.group('bucket'), found.group('root') or '')


def plain(text):
    """Return the text when it can stand in Basic credentials."""
    if re.search(r'[\x00-\x1f\x7f]', text):
        raise Refused('holds a control character (not shown, it may be '
                      'secret)', 'copy it again, without line ends')
    return text


def user(text):
    """Return the text when it can be the user of Basic credentials."""
    if ':' in text:
        raise Refused('holds a colon, which no user name can',
                      'write the name alone, and the password as '
                      'registry_password')
    return plain(text)


def secret(text):
    """Return the text when it is a secret worth its name."""
    if len(key(text)) < _SECRET_LENGTH:
        raise Refused('has fewer than %d characters' % _SECRET_LENGTH,
                      'take a random one, as of: openssl rand -hex 32')
    return text


def path(text):
    """Return the text when it is an absolute path."""
    if not os.path.isabs(text):
        raise Refused("is '%s', which is no absolute path" % printable(text),
                      'write the whole path, from / on')
    return text


def switch(text):
    """Return True or False."""
    if text.lower() in ('true', 'yes', 'on', '1'):
        return True
    if text.lower() in ('false', 'no', 'off', '0'):
        return False
    raise Refused("is '%s', which is neither true nor false"
                  % printable(text), 'write true or false')


def number(least, most):
    """A check for whole numbers."""
    def check(text):
        if not re.match(r'[0-9]{1,6}\Z', text) or not (
                least <= int(text) <= most):
            raise Refused("is '%s', which is no whole number from %d to %d"
                          % (printable(text), least, most),
                          'write one such as %d' % least)
        return int(text)
    return check


def seconds(least, most):
    """A check for seconds, parts of one allowed."""
    def check(text):
        if not re.match(r'[0-9]{1,6}(\.[0-9]{1,3})?\Z', text) or not (
                least <= float(text) <= most):
            raise Refused("is '%s', which is no number of seconds from %g to "
                          "%g" % (printable(text), least, most),
                          'write one such as %g' % least)
        return float(text)
    return check


#: In the order of the documentation.
OPTIONS = (
    Option('registry_url', None, registry,
           'The registry, as this service reaches it.'),
    Option('registry_username', None, user,
           'Who may read there, if it asks.'),
    Option('registry_password', None, plain, 'The password of that user.'),
    Option('registry_ca', None, path,
           'A file of certificates, when its own is signed by none of those '
           'of this machine.'),
    Option('events_secret', None, secret,
           'What the registry sends with its notifications.'),
    Option('events_wait', '0.8', seconds(0.1, 60),
           'Seconds after which a notification is answered, done or not.'),
    Option('htpasswd', None, path,
           'The htpasswd file of the registry; without, anybody may read.'),
    Option('anonymous_read', 'false', switch,
           'Whether to answer those without credentials in spite of '
           'htpasswd.'),
    Option('listen', '127.0.0.1:5080', listen, 'Where the service listens.'),
    Option('threads', '16', number(2, 256), 'Requests answered at once.'),
    Option('catalog_limit', '1000', number(1, 10000),
           'The most names of a page of the catalog.'),
    Option('storage', None, storage,
           'The storage of the registry, to list its repositories there: '
           's3://BUCKET/ROOTDIRECTORY or a path; by default, its catalog is '
           'read.'),
    Option('storage_region', None, region, 'The region of the bucket.'),
    Option('storage_access_key', None, key,
           'The access key ID for the bucket; without, botocore finds one.'),
    Option('storage_secret_key', None, key,
           'The secret access key that belongs to it.'),
    Option('storage_endpoint_url', None, endpoint,
           "The address of S3, when it is not the region's own."),
)
