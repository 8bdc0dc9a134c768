"""Kehu's data: one PostgreSQL database, read and written only through this package."""
