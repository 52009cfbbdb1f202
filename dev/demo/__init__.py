"""The demonstrations: make run and make run-service."""
