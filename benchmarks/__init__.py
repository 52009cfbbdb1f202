"""Programs that measure what docs/performance.md states: make bench and make bench-full."""
