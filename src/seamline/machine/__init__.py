"""What runs on one machine: Java and jars, the embedded broker, processes and those who watch them."""
