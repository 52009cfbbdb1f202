"""Authorities that sign certificates for 127.0.0.1 and localhost, with the command openssl."""
import os
import ssl
import subprocess


class Authority:
    """An authority with a certificate of its own, in files below ``folder``.

    :ivar file: the path of its certificate."""

    def __init__(self, folder, name='authority'):
        self._folder, self._name = str(folder), name
        self.file = self._new('x509', '-x509', '-subj', '/CN=' + name)[0]

    def issue(self, name, *options):
        """Return the paths of a new certificate, for servers and clients, and of its key."""
        options = options or ('-nodes',)
        request, key = self._new(name, '-subj', '/CN=' + name, *options)
        certificate, extensions = self._path(name + '.crt'), self._path(name + '.ext')
        with open(extensions, 'w') as target:
            target.write('subjectAltName=IP:127.0.0.1,DNS:localhost\n')
        _openssl('x509', '-req', '-in', request, '-CA', self.file, '-CAkey',
                 self._path('x509.key'), '-CAcreateserial', '-days', '2', '-extfile', extensions,
                 '-out', certificate)
        return certificate, key

    def server_context(self, name='server', clients=None, mode=ssl.CERT_REQUIRED):
        """Return the SSLContext of a server with a new certificate.

        :param clients: the Authority of the clients' certificates; None to request none.
        :param mode: whether clients must have one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name))
        if clients:
            context.load_verify_locations(clients.file)
            context.verify_mode = mode
        return context

    def _new(self, name, *options):
        certificate, key = self._path(name + '.pem'), self._path(name + '.key')
        encryption = () if '-passout' in options or '-nodes' in options else ('-nodes',)
        _openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-days',
                 '2', '-keyout', key, '-out', certificate, *options, *encryption)
        return certificate, key

    def _path(self, name):
        return os.path.join(self._folder, '%s-%s' % (self._name, name))


def _openssl(*arguments):
    subprocess.run(['openssl', *arguments], check=True, stderr=subprocess.DEVNULL)
