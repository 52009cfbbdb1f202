"""The parts of dev/bootstrap: it installs programs under .local/, and Debian packages."""
