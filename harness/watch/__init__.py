"""A progress page in the browser: what a sweep has done so far, read from its record while it runs."""
