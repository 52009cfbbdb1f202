"""Search for private Docker registries, kept in Amazon DynamoDB."""

__version__ = '0.5.0'
