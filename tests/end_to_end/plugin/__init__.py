"""The plugin inside the real docker-registry 0.9.1."""
