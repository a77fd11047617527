"""Compiled loops: searches, masses of balls, distances, Kolmogorov-Smirnov gaps."""
