"""Samples that lie in blocks of rows, and the scheduler that computes them."""
