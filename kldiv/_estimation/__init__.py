"""From two checked samples to a result: options, the estimate, its circumstances."""
