"""A bucket of the local S3, for the demonstrations, the tests and the benchmarks.

    bucket = Bucket(aws.url, 'images')
    bucket.put('some/key', b'content')

Plain HTTP without signatures, for a local S3 that checks none. Runs on Python 2.7 and 3; standard
library only.
"""
from __future__ import absolute_import

import re
import uuid
from xml.sax.saxutils import unescape

try:
    from urllib.parse import quote
except ImportError:  # Python 2.7
    from urllib import quote

from dev.servers.process import HTTPConnection

__all__ = ['Bucket', 'S3Error']


class S3Error(Exception):
    """Raised if the S3 refuses a request."""


class Bucket(object):
    """A bucket of the local S3 at `url`, which is created if it is missing.

    name: the name of the bucket (by default a new one). Each method raises S3Error if the S3
    refuses its request.
    """

    def __init__(self, url, name=None):
        self.name = name or 'bucket-' + uuid.uuid4().hex[:12]
        self._address = url.split('//')[1]
        self._request('PUT', '', b'', [200, 409])  # 409: the bucket exists already, and is ours

    def put(self, key, content):
        """Write one object. key: its key, quoted for a URL."""
        self._request('PUT', key, content, [200])

    def delete(self, key):
        """Delete one object. key: its key, quoted for a URL."""
        self._request('DELETE', key, b'', [204])

    def keys(self, prefix=''):
        """Return the keys that begin with `prefix`, at most a thousand."""
        found = self._request('GET', '?list-type=2&prefix=' + quote(prefix), b'', [200])
        return [unescape(key) for key in re.findall('<Key>(.*?)</Key>', found)]

    def _request(self, method, key, content, wanted):
        connection = HTTPConnection(self._address, timeout=10)
        try:
            path = '/%s/%s' % (self.name, key)
            connection.request(method, path, content, {'Content-Length': str(len(content))})
            response = connection.getresponse()
            text = response.read().decode('utf-8', 'replace')
        finally:
            connection.close()
        if response.status not in wanted:
            raise S3Error('%s %s answered %d: %s' % (method, path, response.status, text[:300]))
        return text
