"""The house itself: settings, the embedded server, and the commands behind the Makefile."""
