"""Programs that measure the requests and times in docs/measurements.md: make bench-service."""
