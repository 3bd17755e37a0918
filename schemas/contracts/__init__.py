"""Contracts: what an event must look like, and how its bytes become typed columns or a reason to reject it."""
