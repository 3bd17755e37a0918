"""The merged answer as a view in a Spark session."""

from seamline.serving.spark.view import Registered, register

__all__ = ["Registered", "register"]
