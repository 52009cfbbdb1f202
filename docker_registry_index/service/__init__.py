"""The service: search and catalog beside a registry of v2 or v3. Python 3."""
