"""config/cloudformation.yml, with the functions of CloudFormation that it uses."""
import re

import yaml

from tests.docs import pages

PATH = 'config/cloudformation.yml'
#: What CloudFormation itself sets, as in docs/iam-policy.json.
PSEUDO = {'AWS::Partition': 'aws', 'AWS::Region': 'us-east-1', 'AWS::AccountId': '123456789012',
          'AWS::URLSuffix': 'amazonaws.com', 'AWS::NoValue': None}


class _Loader(yaml.SafeLoader):
    """Reads !Ref as {'Ref': ...}, and so on."""


def _read_function(loader, name, node):
    return {name: loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode)
            else loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor('!', _read_function)


class Template:
    """The template with these parameters; the others have their defaults.

    :ivar document: the template as it was read.
    :ivar tables: the properties of each table.
    :ivar policy: the document of the policy."""

    def __init__(self, **parameters):
        self.document = yaml.load(pages.read(PATH), _Loader)
        self._functions = {'Ref': self._ref, 'Sub': self._sub, 'GetAtt': self._arn, 'If': self._if,
                           'Not': lambda argument: not self._value(argument[0]),
                           'Equals': lambda pair: self._value(pair[0]) == self._value(pair[1])}
        self._values = dict({name: each.get('Default') for name, each
                             in self.document['Parameters'].items()}, **PSEUDO)
        assert set(parameters) <= set(self.document['Parameters'])
        self._values.update(parameters)
        self.tables = self._of_type('AWS::DynamoDB::Table')
        [policy] = self._of_type('AWS::IAM::ManagedPolicy')
        self.policy = policy['PolicyDocument']

    def _of_type(self, kind):
        return [self._value(each['Properties']) for each in self.document['Resources'].values()
                if each['Type'] == kind]

    def _value(self, value):
        """Return a value with its functions applied, without what is AWS::NoValue."""
        if isinstance(value, list):
            return [each for each in map(self._value, value) if each is not None]
        if not isinstance(value, dict):
            return value
        for name, function in self._functions.items():
            if list(value) == [name]:
                return function(value[name])
        found = {key: self._value(each) for key, each in value.items()}
        return {key: each for key, each in found.items() if each is not None}

    def _ref(self, name):
        return self._values[name]

    def _sub(self, text):
        return re.sub(r'\${([^}]+)}', lambda found: self._values[found.group(1)], text)

    def _arn(self, argument):
        name, attribute = argument.split('.')
        assert attribute == 'Arn'
        table = self._value(self.document['Resources'][name]['Properties']['TableName'])
        return self._sub('arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/'
                         + table)

    def _if(self, argument):
        condition, yes, no = argument
        return self._value(yes if self._value(self.document['Conditions'][condition]) else no)
