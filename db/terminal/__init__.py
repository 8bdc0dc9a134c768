"""The command line, `python -m db`: what its commands do and print. The parser is in db/__main__.py."""
