"""The report of a sweep: one page with its figures and tables, a page of trials for each task, tables for a paper."""
