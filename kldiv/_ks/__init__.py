"""Kolmogorov-Smirnov statistics and tests in one and many dimensions."""
