"""Comparison of methods on equal terms: `grid` says what, `cells` trains and measures, `page` writes the results."""
