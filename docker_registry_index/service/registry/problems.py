"""What a failed request says to a person, without what is secret. Pure."""

from __future__ import unicode_literals

import re

import requests

__all__ = ['problem_of']

_ADDRESS = re.compile(r'https?://\S+|\?\S+')


def problem_of(error, seconds):
    """A clause that says why there is no answer.

    :param error: what requests raised.
    :param seconds: how long the answer was waited for.
    """
    if isinstance(error, requests.exceptions.SSLError):
        return 'shows no certificate to trust: %s' % _reason(error)
    if isinstance(error, requests.Timeout):
        return 'does not answer within %.3g seconds' % seconds
    if isinstance(error, requests.TooManyRedirects):
        return 'redirects without end'
    return 'gives no answer: %s' % _reason(error)


def _reason(error):
    """The innermost cause, in one short line.

    Addresses are left out: that of a blob in S3 has a signature in it.
    """
    inner = error.args[0] if error.args else error
    inner = getattr(inner, 'reason', None) or inner
    text = ' '.join(str(inner).split()).rpartition('>: ')[2]
    return '%s: %.200s' % (type(error).__name__, _ADDRESS.sub('...', text))
