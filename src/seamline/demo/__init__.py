"""The demonstration: the whole loop on an example that comes with it, and the proof that every answer was exact."""
