"""Views: a statement's text, read, bound to the types of its contracts, checked, and compiled to a definition."""
