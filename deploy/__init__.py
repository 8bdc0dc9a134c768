"""Bringing Kehu up on one machine: database, worker and web server together."""
