"""placeholder"""
from typing import Any
class Maintenance:
    def __init__(self, *a: Any) -> None: pass
    def after_epoch(self) -> None: pass
    def between_batches(self) -> None: pass
