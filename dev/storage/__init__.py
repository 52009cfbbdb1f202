"""Images and repositories, which are written into a local S3 or pushed to a registry."""
