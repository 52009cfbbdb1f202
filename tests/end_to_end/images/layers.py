"""Reads all layers of an image from the output of docker save."""
import json
import tarfile


class SavedImage:
    """An image in a file that docker save has written.

    :ivar config: its configuration.
    :ivar layers: the names of its layers in the file, the lowest first."""

    def __init__(self, path):
        self._archive = tarfile.open(path)
        [manifest] = json.load(self._archive.extractfile('manifest.json'))
        self.config = json.load(self._archive.extractfile(manifest['Config']))
        self.layers = manifest['Layers']

    def files(self, layers):
        """Yield (path, content) of each file and link in these layers; the content of anything but
        a file is b''."""
        for name in layers:
            with tarfile.open(fileobj=self._archive.extractfile(name)) as layer:
                for member in layer:
                    if not member.isdir():
                        yield '/' + member.name.lstrip('./'), (
                            layer.extractfile(member).read() if member.isreg() else b'')
