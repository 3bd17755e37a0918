"""The speed layer: a stream's records to epochs of partials, each counted once."""
