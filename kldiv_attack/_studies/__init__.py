"""What compares many runs: the study of divergences, Table 1, the demo."""
