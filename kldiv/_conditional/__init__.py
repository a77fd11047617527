"""Conditional scoring: one divergence per class of two labelled samples."""
