"""What dev/bootstrap does: everything that is installed under .local/, and the Debian packages."""
