"""Analysis: curves, ranks, figures and the report, as pure functions of a sweep's tidy tables.

Nothing of TensorFlow or Ray is imported here, so that a laptop without either can plot.
"""
