"""One reader per data set, all yielding the same `sample.Sample`."""
