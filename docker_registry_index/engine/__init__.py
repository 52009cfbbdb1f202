"""The engine: an exact substring search over DynamoDB, for any program. It needs boto3 only."""

from . import errors
from .index import SearchIndex
from .search.ranking import Result
from .search.search import Results
from .sync.loader import LoadReport
from .settings.options import Settings
from .sync.source import ListSource, Source

__all__ = ['ListSource', 'LoadReport', 'Result', 'Results', 'SearchIndex', 'Settings',
           'Source', 'errors']
