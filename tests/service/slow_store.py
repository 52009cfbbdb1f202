"""A proxy before a local S3 that makes every write take as long as told."""
import time

from dev.counting_proxy import CountingProxy

__all__ = ['SlowStore']


class SlowStore(CountingProxy):
    """Passes everything on to the S3 at `target`, a PUT after a pause. seconds: the pause; it may change at any time."""

    def __init__(self, target, seconds):
        super().__init__(target)
        self.seconds = seconds

    def note(self, kind):
        super().note(kind)
        if kind == 'PUT':
            time.sleep(self.seconds)
