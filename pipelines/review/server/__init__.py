"""The review page: a local web server and what it shows."""
