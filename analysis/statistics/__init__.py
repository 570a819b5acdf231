"""Statistics of a sweep, from its tidy tables to numbers; nothing here draws."""
