"""The record: schema, journals, store, and the tidy tables made from it."""
