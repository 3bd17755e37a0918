"""What batch and speed share and serving does without: Spark, its executors, raw tables."""
