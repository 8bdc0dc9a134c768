"""Background jobs: `python -m worker` beside the app, as many processes as wanted."""
