"""The engine: an exact substring search over DynamoDB, for any host.

It knows neither docker-registry nor a web framework, and needs boto3 only.
"""

from . import errors
from .index import SearchIndex
from .loader import LoadReport
from .query import Result
from .settings import Settings

__all__ = ['LoadReport', 'Result', 'SearchIndex', 'Settings', 'errors']
