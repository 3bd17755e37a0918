"""Live updates: what changed in a view, or a query's answer, at each new epoch, looked at once for all."""
