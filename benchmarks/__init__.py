"""Programs that measure the requests and times that the documentation states, with real servers on
this machine: make bench-service."""
