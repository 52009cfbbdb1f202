"""Local servers as child processes, which listen on 127.0.0.1 only and end with the program that
started it."""
