"""The `aws` commands of a page: read, compared with the API, and run on moto."""
import datetime
import re
import shlex

import botocore.session
import botocore.validate

from tests.docs import pages

#: Options of every command, which no request contains.
_OF_THE_OUTPUT = ('--query', '--output')
_SESSION = botocore.session.get_session()


def commands(page, section=None):
    """Return the words of each `aws` command of a page, or of the part below one heading."""
    return [shlex.split(line)[1:] for line in pages.commands(page, 'aws', section)]


def request(words):
    """Return (service, operation, arguments) of a command that is no wait."""
    service, command, *options = words
    operation = next(name for name in _model(service).operation_names
                     if botocore.xform_name(name, '-') == command)
    members = {name.lower(): (name, shape) for name, shape in
               _model(service).operation_model(operation).input_shape.members.items()}
    given = {}
    for option, values in _grouped(options):
        word = option[2:].replace('-', '')
        is_negated = word.startswith('no') and word not in members
        name, shape = members[word[2:] if is_negated else word]
        given[name] = not is_negated if shape.type_name == 'boolean' else _value(shape, values)
    return service, operation, given


def problems(words):
    """Return what the API would refuse in a command, '' if nothing."""
    service, operation, given = request(words)
    return botocore.validate.ParamValidator().validate(
        given, _model(service).operation_model(operation).input_shape).generate_report()


def run(client, words):
    """Run a command with a boto3 client of its service."""
    if words[1] == 'wait':
        _, _, waiter, *options = words
        [(_, [table])] = _grouped(options)
        return client.get_waiter(waiter.replace('-', '_')).wait(TableName=table)
    _, operation, given = request(words)
    return getattr(client, botocore.xform_name(operation))(**given)


def _model(service):
    return _SESSION.get_service_model(service)


def _grouped(options):
    found = []
    for word in options:
        if word.startswith('--'):
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return [each for each in found if each[0] not in _OF_THE_OUTPUT]


def _value(shape, values):
    """Return the value of an option, whose words botocore wants in the type of a shape."""
    if shape.type_name == 'list':
        return [_value(shape.member, [value]) for value in values]
    [value] = values
    if shape.type_name == 'structure':
        return {key: _value(shape.members[key], [text]) for key, text in re.findall(
            r'(\w+)=([^,]*)', value)}
    return {'integer': int, 'double': float, 'boolean': lambda text: text == 'true',
            'timestamp': datetime.datetime.fromisoformat}.get(
                shape.type_name, str)(value.replace('Z', '+00:00'))
