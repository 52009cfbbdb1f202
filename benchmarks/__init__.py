"""Programs that measure what the documentation says of requests and times, with real servers on
this machine: make bench-service."""
