"""Figures of a sweep: each a drawing with its caption, its content in words and the numbers drawn."""
