"""The tasks of the benchmark: one module for each source report, and synthetic functions.

A module is found by the registry when it holds a concrete `harness.task.Task` with a name. Nothing is
imported here: data are loaded by `tasks.datasets`, networks trained by `tasks.engine.training`.
"""
