"""What the logs of the ledger add up to: each history is a fold of one log. Streaming, jobs and serving share these and
nothing else."""
