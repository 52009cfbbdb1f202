"""YAML with every scalar kept as the text that was written.

``database: 2014`` is '2014', and a secret key of digits keeps its zeros.
Only null and the merge key (``<<: *common``) keep their YAML meaning.

The only importer of PyYAML, which docker-registry brings along.
"""

from __future__ import unicode_literals

from .engine.errors import MissingDependency

__all__ = ['InvalidYAML', 'parse', 'parse_mapping', 'unquote']

_KEPT = ('tag:yaml.org,2002:null', 'tag:yaml.org,2002:merge')
_NULLS = ('', '~', 'null', 'Null', 'NULL')


class InvalidYAML(ValueError):
    """Text that is no YAML. Says where; what stands there may be secret."""


def parse(text):
    """Return the document's value: mappings, lists, text and None.

    :param text: str, or bytes in UTF-8 or UTF-16.
    :raises InvalidYAML: when it is none.
    :raises MissingDependency: without PyYAML.
    """
    loader = _loader()
    try:
        return _yaml().load(text, Loader=loader)
    except Exception as error:
        # Not only YAMLError: what PyYAML builds values with raises ValueError,
        # AttributeError, RecursionError and more, each for invalid input.
        problem = _place(error)
    raise InvalidYAML(problem)


def parse_mapping(text):
    """Return the mapping that the text holds, {} when it is empty.

    :raises InvalidYAML: also when it holds something else.
    """
    value = parse(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidYAML('holds no mapping')
    return value


def unquote(text):
    """Return the text of an environment variable, None when it says nothing.

    docker-registry reads such text as YAML, so that quotes around it are no
    part of it, and users know it that way.
    """
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'replace')
    text = text.strip()
    if text in _NULLS:
        return None
    if text[0] in '"\'':
        try:
            value = parse(text)
        except InvalidYAML:
            return text
        return value if hasattr(value, 'strip') else text
    return text


def _yaml():
    try:
        import yaml
    except ImportError:
        raise MissingDependency('yaml', 'pip install PyYAML')
    return yaml


def _loader():
    """Return a loader class that knows no scalar but text and null."""
    safe = _yaml().SafeLoader
    resolvers = dict(
        (first, [pair for pair in pairs if pair[0] in _KEPT])
        for first, pairs in safe.yaml_implicit_resolvers.items())
    loader = type(str('TextLoader'), (safe,),
                  {'yaml_implicit_resolvers': resolvers})
    # The registry's file may hold tags for others to understand.
    loader.add_constructor(None, _construct_anything)
    return loader


def _construct_anything(loader, node):
    construct = {'scalar': loader.construct_scalar,
                 'sequence': loader.construct_sequence,
                 'mapping': loader.construct_mapping}[node.id]
    return construct(node)


def _place(error):
    mark = getattr(error, 'problem_mark', None)
    if mark is None:
        return 'is not valid YAML'
    return str('is not valid YAML near line %d, column %d'
               % (mark.line + 1, mark.column + 1))
