"""Rows of the benchmark of solver accuracy, one module for each group of solvers."""
