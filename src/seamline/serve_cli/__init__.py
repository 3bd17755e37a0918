"""The command `seamline-serve` of a machine that serves alone, and what both commands share."""
