"""Archive and speed: what reads Kafka."""
