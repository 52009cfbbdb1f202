"""What registries keep: images and repositories, written into a local S3 or pushed to a
registry."""
