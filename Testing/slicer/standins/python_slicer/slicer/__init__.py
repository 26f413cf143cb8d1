"""Stands for the package `slicer` in PythonSlicer: no application, no window, no Qt."""
