"""The same messy records through Seamline and through what one would write by hand, and what became of them."""
