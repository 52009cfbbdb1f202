"""LossNote: notes on the disk of a host that changes may be lost, for the next process there."""

from __future__ import unicode_literals

import hashlib
import logging
import os
import tempfile

logger = logging.getLogger(__name__)


class LossNote(object):
    """An empty file, which notes that processes of this host may lose changes. It stays until one
    requests a sync, however the others end. Errors of the file are ignored.

    :param settings: a Settings; each index has a file of its own."""

    def __init__(self, settings):
        index = '%s %s %s' % (settings.endpoint_url, settings.region, settings.search_table)
        digest = hashlib.sha256(index.encode('utf-8')).hexdigest()[:16]
        try:
            folder = tempfile.gettempdir()
        except EnvironmentError:
            folder = '/tmp'  # where the file cannot be created, either
        # In Python 2.7, the name of the folder is bytes, perhaps beyond ASCII.
        self._path = os.path.join(folder, str('docker-registry-index-' + digest))

    def write(self):
        """Create the file, unless it exists."""
        try:
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        except OSError as error:
            logger.debug('lost changes cannot be noted in %r: %s', self._path, error)

    def delete(self):
        """Delete the file, if it exists."""
        try:
            os.remove(self._path)
        except OSError as error:
            logger.debug('%r cannot be deleted: %s', self._path, error)

    def exists(self):
        """Return True if the file exists and is not that of another user."""
        try:
            return os.lstat(self._path).st_uid == os.geteuid()
        except OSError:
            return False
