"""What readers outside get of a view: a Delta table of its batch versions, a topic of its changes, and their marks."""
