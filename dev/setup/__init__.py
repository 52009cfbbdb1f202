"""The modules of dev/bootstrap, which installs programs under .local/, and Debian packages."""
