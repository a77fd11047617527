"""One file for each stage of the pipeline; see ``docs/benchmarks``."""
