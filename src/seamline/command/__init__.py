"""What every command shares, the commands of a machine that serves alone among them."""
