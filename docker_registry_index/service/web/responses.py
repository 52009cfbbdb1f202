"""How this service answers what it cannot do: a status and a sentence."""

from __future__ import unicode_literals

import flask

__all__ = ['refusal', 'whole_number']


def refusal(status, sentence, headers=()):
    """A JSON answer {"error": sentence}."""
    answer = flask.jsonify(error=sentence)
    answer.status_code = status
    answer.headers.extend(headers)
    return answer


def whole_number(text, least, most):
    """The whole number that a text says; None when it is none between."""
    if not text.isdigit() or not text.isascii() or len(text) > 9:
        return None
    return int(text) if least <= int(text) <= most else None
