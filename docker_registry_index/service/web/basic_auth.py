"""What a header Authorization says, when it is Basic. Pure.

https://www.rfc-editor.org/rfc/rfc7617
"""

from __future__ import unicode_literals

import base64

__all__ = ['basic_credentials']


def basic_credentials(header):
    """User and password, as texts; (None, None) where a header gives none:
    one of another kind, no base64, or not of UTF-8.

    :param header: its value as WSGI gives it, a character for each byte; any
        bytes may stand there.
    """
    kind, _, rest = header.partition(' ')
    if kind.lower() != 'basic':
        return None, None
    try:
        told = base64.b64decode(rest.strip(' \t'), validate=True)
        user, _, password = told.decode('utf-8').partition(':')
    except ValueError:
        return None, None
    return user, password
