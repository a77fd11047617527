"""log p/q at rows: from balls, and from reference measures fitted to the samples."""
