"""Search methods: one module per library, each behind `harness.searcher.Searcher`."""
