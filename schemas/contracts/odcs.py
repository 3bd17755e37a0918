"""One ODCS file as its published model reads it, and what the model does not check: nested keys and required ones."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator

from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import BaseModel, ValidationError

from seamline.schemas.contracts.yamlmarks import Marks, NodePath

API_VERSIONS = ("v3.1.0", "v3.2.0")
REQUIRED = ("version", "apiVersion", "kind", "id", "schema")


def read_model(marks: Marks) -> OpenDataContractStandard:
    """The document as the model. Raises UserError CONTRACT_INVALID with the line of the first fault."""
    for key in REQUIRED:
        if marks.data.get(key) in (None, "", []):
            at = (key,) if key in marks.data else ()
            raise marks.error(at, f"{key!r} is missing", ", ".join(REQUIRED), f"add {key!r} at the top level")
    _check_keys(OpenDataContractStandard, marks.data, marks, ())
    try:
        model = OpenDataContractStandard.model_validate(marks.data)
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(part for part in first["loc"] if not _is_tag(part))
        message = f"{_dotted(path)}: {first['msg']}"
        raise marks.error(path, message, "what ODCS 3.1 says of it", "correct the value, or quote it") from error
    if model.kind != "DataContract":
        raise marks.error(("kind",), f"kind is {model.kind!r}", "DataContract", "write DataContract")
    if model.apiVersion not in API_VERSIONS:
        detail = ", ".join(API_VERSIONS)
        raise marks.error(("apiVersion",), f"apiVersion is {model.apiVersion!r}", detail, "write v3.1.0")
    return model


def _check_keys(model: type[BaseModel], data: dict[str, object], marks: Marks, path: NodePath) -> None:
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for key, value in data.items():
        if key not in known:
            raise marks.unknown(path, key, known)
        for kind in _shapes(known[key]):
            _check_value(kind, value, marks, (*path, key))


def _check_value(kind: object, value: object, marks: Marks, path: NodePath) -> None:
    if typing.get_origin(kind) is list and isinstance(value, list):
        for index, item in enumerate(value):
            _check_value(typing.get_args(kind)[0], item, marks, (*path, index))
    elif isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
        _check_keys(kind, value, marks, path)


def _shapes(annotation: object) -> Iterator[object]:
    """The members of a union, or the one type itself."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from _shapes(member)
    else:
        yield annotation


def _is_tag(part: str | int) -> bool:
    """pydantic puts the tried member of a union into the location: `list[TeamMember]`, `Team`, `str`."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part or part in ("str", "float", "int", "bool"))


def _dotted(path: NodePath) -> str:
    return ".".join(str(part) for part in path)
