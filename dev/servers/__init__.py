"""Local servers as child processes: each listens on 127.0.0.1 only and ends with the program that
started it."""
