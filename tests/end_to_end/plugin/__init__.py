"""The plugin inside the real docker-registry 0.9.1, and its reading of the registry's
configuration."""
