"""The smallest honest token server: it exchanges passwords for tokens that a registry verifies.

https://distribution.github.io/distribution/spec/auth/jwt/"""
import base64
import datetime
import json
import time
import uuid
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from werkzeug.datastructures import Authorization

from tests.helpers.scripted_server import ScriptedServer, page

ISSUER, SERVICE = 'token-server', 'the registry'


class TokenServer(ScriptedServer):
    """A token server on 127.0.0.1, for one registry.

    :param folder: of its certificate, which the registry trusts.
    :param users: name to (password, scopes that the user may use), such as {'registry:catalog:*'};
        'repository:*:pull' is for all repositories.
    :ivar requests: (path, headers) of each request."""

    def __init__(self, folder, users):
        super().__init__({'/token': self._answer})
        self._users, self._key = users, rsa.generate_private_key(65537, 2048)
        certificate = _certificate(self._key)
        self._chain = base64.b64encode(
            certificate.public_bytes(serialization.Encoding.DER)).decode()
        self.certificate_path = str(folder / 'token-server.pem')
        with open(self.certificate_path, 'wb') as target:
            target.write(certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def settings(self):
        """The environment of a registry that requires its tokens."""
        return {'REGISTRY_AUTH': 'token', 'REGISTRY_AUTH_TOKEN_REALM': self.url + '/token',
                'REGISTRY_AUTH_TOKEN_SERVICE': SERVICE, 'REGISTRY_AUTH_TOKEN_ISSUER': ISSUER,
                'REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE': self.certificate_path}

    def token(self, user, *scopes):
        """Return a token with those of the scopes that the user may use."""
        granted = [_access(scope) for scope in scopes if self._may(user, scope)]
        now = int(time.time())
        claims = {'iss': ISSUER, 'aud': SERVICE, 'sub': user or '', 'exp': now + 300,
                  'nbf': now - 10, 'iat': now, 'jti': str(uuid.uuid4()), 'access': granted}
        head = {'typ': 'JWT', 'alg': 'RS256', 'x5c': [self._chain]}
        signed = b'.'.join(_encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return (signed + b'.' + _encoded(signature)).decode()

    def _may(self, user, scope):
        allowed = self._users[user][1] if user else ()
        kind, _, rest = scope.partition(':')
        return scope in allowed or '%s:*:%s' % (kind, rest.rpartition(':')[2]) in allowed

    def _answer(self, handler):
        given = Authorization.from_header(handler.headers['Authorization'])
        if given and self._users.get(given.username, (None,))[0] != given.password:
            return page({'details': 'wrong password'}, 401)(handler)
        scopes = parse_qs(urlsplit(handler.path).query).get('scope', [])
        token = self.token(given and given.username, *' '.join(scopes).split())
        return page({'token': token, 'expires_in': 300})(handler)


def _access(scope):
    kind, _, rest = scope.partition(':')
    name, _, actions = rest.rpartition(':')
    return {'type': kind, 'name': name, 'actions': actions.split(',')}


def _encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b'=')


def _certificate(key):
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ISSUER)]), (
        datetime.datetime.now(datetime.timezone.utc))
    return x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(1).not_valid_before(
        now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
