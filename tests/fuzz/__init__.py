"""Inputs that nobody would write: short with the other tests, long by __main__."""
