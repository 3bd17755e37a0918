"""What ends a process, as its log tells it. Apart from what logs are made of, which no short command loads."""

from __future__ import annotations

import logging

from seamline.errors import SeamlineError


def log_error(error: SeamlineError) -> bool:
    """Logs what ends this process, where it logs JSON. False where it does not: then it is told as any command's is."""
    if not any(getattr(handler, "as_json", False) for handler in logging.getLogger().handlers):
        return False
    said = {"condition": str(error.condition), "detail": error.detail, "hint": error.hint, "where": error.where}
    said["runbook"] = error.runbook
    head = f"[{error.condition}] {f'{error.where}: ' if error.where else ''}{error.message}"
    logging.getLogger("seamline").error("%s", head, extra={name: one for name, one in said.items() if one})
    return True
