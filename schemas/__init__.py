"""Contracts, types, the view language and the algebra."""
