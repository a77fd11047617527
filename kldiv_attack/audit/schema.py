"""Reports as JSON and back; the version says what a reader may expect."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

SCHEMA = "kldiv.audit"
SCHEMA_VERSION = 3


def to_json(report: Any) -> str:
    """A report as JSON text with the name and version of its schema."""
    content = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(report)}
    if report.gate is not None:
        content["gate"] |= {
            "outcome": report.gate.outcome,
            "exit_code": report.gate.exit_code,
        }
    return json.dumps(_plain(content), indent=2, allow_nan=False, ensure_ascii=False)


def read(kind: type[Any], text: str, name: str) -> Any:
    """A report from JSON text that :func:`to_json` wrote.

    Raises
    ------
    ValueError
        If the text is no report of this schema and version.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"{name} is no report of kldiv audit.")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{name} has version {content.get('schema_version')} of the schema; "
            f"this program reads version {SCHEMA_VERSION}."
        )
    try:
        return _build(kind, content)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{name} is damaged: {error!r} is missing or wrong."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _build(kind: Any, value: Any) -> Any:
    """A value of the annotated kind: data classes, and lists and dicts of them."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if value is None:
        return None
    if origin is types.UnionType:
        kind = next(k for k in inner if k is not types.NoneType)
        return _build(kind, value)
    if origin is list:
        return [_build(inner[0], item) for item in value]
    if origin is dict:
        return {key: _build(inner[1], item) for key, item in value.items()}
    if is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(
            **{f.name: _build(hints[f.name], value[f.name]) for f in fields(kind)}
        )
    return value
