"""Executors: where evaluations run. All are thin, interchangeable, and give the same record."""
