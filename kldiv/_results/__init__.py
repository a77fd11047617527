"""Results: what they hold, and how they become text, tables, files and pages."""
