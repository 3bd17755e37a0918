"""What the ledger asks of its store, a folder or an object store: each call is tried again while the store is away.

Raises TransientError STORE_UNAVAILABLE where it stays away.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from seamline.disk import Disk, disk
from seamline.errors import Condition, TransientError

logger = logging.getLogger(__name__)

_retrying = retry(
    retry=retry_if_exception_type(TransientError),
    wait=wait_exponential_jitter(multiplier=0.05, max=2),
    stop=stop_after_delay(20),
    before_sleep=before_sleep_log(logger, logging.WARNING),
    reraise=True,
)


def local_disk(store: Any) -> Disk | None:
    """The folder of a local store."""
    return disk(Path(store.prefix)) if isinstance(store, LocalStore) and store.prefix is not None else None


@_retrying
def put_if_absent(store: Any, path: str, payload: bytes) -> bool:
    """True where the object was put; False where one stands there, perhaps by an earlier try whose answer was lost.

    A store may refuse a put because of another one under way (S3: 409), and then nothing stands: it is tried again.
    """
    local = local_disk(store)
    try:
        if local is not None:
            return local.put_new(path, payload)
        obstore.put(store, path, payload, mode="create")
    except AlreadyExistsError as error:
        if stands(store, path):
            return False
        raise unavailable(error, path) from error
    except (BaseError, OSError) as error:
        raise unavailable(error, path) from error
    return True


def put_once(store: Any, path: str, payload: bytes) -> bool:
    """Puts an object, over what stands there too; False where the store fails it. Neither durable nor tried again: for
    what nobody need find."""
    try:
        obstore.put(store, path, payload)
    except (BaseError, OSError) as error:
        logger.info("%s was not put: %s", path, str(error).partition("\n")[0])
        return False
    return True


@_retrying
def stands(store: Any, path: str) -> bool:
    """Whether there is an object of that path."""
    try:
        obstore.head(store, path)
    except FileNotFoundError:
        return False
    except BaseError as error:
        raise unavailable(error, path) from error
    return True


@_retrying
def get(store: Any, path: str) -> bytes | None:
    """An object's bytes, or None where there is none."""
    try:
        return bytes(obstore.get(store, path).bytes())
    except FileNotFoundError:
        return None
    except BaseError as error:
        raise unavailable(error, path) from error


@_retrying
def paths(store: Any, prefix: str) -> list[str]:
    """The paths of all objects under a prefix, in no order."""
    local = local_disk(store)
    try:
        if local is not None:
            return local.paths(prefix)
        return [item["path"] for batch in obstore.list(store, prefix=prefix) for item in batch]
    except (BaseError, OSError) as error:
        raise unavailable(error, prefix) from error


@_retrying
def stamps(store: Any, prefix: str) -> dict[str, tuple[Any, ...]]:
    """All objects under a prefix by path, each with what is another once it is put anew. A request for each 1,000."""
    try:
        listed = [item for batch in obstore.list(store, prefix=prefix) for item in batch]
    except (BaseError, OSError) as error:
        raise unavailable(error, prefix) from error
    return {item["path"]: (item["e_tag"], item["size"], item["last_modified"]) for item in listed}


@_retrying
def folders(store: Any, prefix: str) -> list[str]:
    """The names of what stands below a prefix, as of folders."""
    try:
        found = obstore.list_with_delimiter(store, prefix=prefix)["common_prefixes"]
    except BaseError as error:
        raise unavailable(error, prefix) from error
    return sorted(one.rstrip("/").rpartition("/")[2] for one in found)


@_retrying
def delete(store: Any, paths: Sequence[str]) -> None:
    """Deletes objects, all at once (S3: one request per 1,000), in no order. One that is gone already is well."""
    try:
        with suppress(FileNotFoundError):  # who says so of one may have left others
            obstore.delete(store, list(paths))
            return
        for path in paths:
            with suppress(FileNotFoundError):
                obstore.delete(store, path)
    except BaseError as error:
        raise unavailable(error, ", ".join(paths[:3])) from error


def unavailable(error: Exception, path: str) -> TransientError:
    """What a store's own error means: it may be there again later."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    return TransientError(
        Condition.STORE_UNAVAILABLE, said[0], hint="see to the store (is it full, or away?)", where=path
    )
