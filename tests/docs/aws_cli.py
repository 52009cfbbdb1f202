"""Understands the aws commands of the documentation, as far as it uses them, so that tests can make
them."""
import json
import shlex

import botocore.session
import botocore.validate

from tests.docs import pages


def requests(page):
    """Return (method of the boto3 client, arguments) for each `aws dynamodb` command of a page but
    the waits."""
    made = [_request(command) for command in pages.commands(page, 'aws dynamodb')]
    return [request for request in made if request[0] != 'wait']


def _request(command):
    words = shlex.split(command)[2:]
    arguments, option = {}, None
    for word in words[1:]:
        if word.startswith('--'):
            option = ''.join(part.capitalize() for part in word[2:].split('-'))
            arguments[option] = []
        elif option:
            arguments[option].append(_value(word))
    lists = ('AttributeDefinitions', 'KeySchema')
    return words[0].replace('-', '_'), {name: values if name in lists else values[0] for name,
                                        values in arguments.items()}


def _value(word):
    if word.startswith('{'):
        return json.loads(word)
    if '=' not in word:
        return word
    pairs = dict(pair.split('=') for pair in word.split(','))
    return {name: {'true': True, 'false': False}.get(value, value) for name, value in pairs.items()}


def problems(method, arguments):
    """Return what the API's own model has against a request, '' for nothing."""
    model = botocore.session.get_session().get_service_model('dynamodb')
    operation = ''.join(part.capitalize() for part in method.split('_'))
    return botocore.validate.ParamValidator().validate(
        arguments, model.operation_model(operation).input_shape).generate_report()
