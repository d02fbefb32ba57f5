"""FLOOR 4: the journal: a file with one JSON line for every finished fit, so that an interrupted tuning goes on.

The first line is the specification of the tuning; a journal is continued by no other. A last line that a kill
or a full disk has torn is dropped.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from fastnn._files import replace_file

NAME = "journal.jsonl"


class Journal:
    """The finished fits of one tuning, in a folder or (folder None) in memory only.

    Parameters
    ----------
    folder : Path or None
    specification : dict
        Plain JSON; all that the fits depend on, but for their candidate and fold.

    Raises
    ------
    ValueError
        If the folder belongs to another tuning, or the journal is damaged.
    OSError
        If the journal cannot be read; later, if the folder or the journal cannot be written.
    """

    def __init__(self, folder: Path | None, specification: dict[str, Any]) -> None:
        self._specification = _line(specification)
        self._found: dict[str, dict[str, Any]] = {}
        self._path = None if folder is None else folder / NAME
        self._begun = self._path is None
        if self._path is not None and self._path.exists():
            self._read(self._path, specification)
        elif folder is not None and (folder / "result.json").exists():
            raise ValueError(f"{folder} holds another run, which would be lost; choose another folder")

    def begin(self) -> None:
        """Write the first line, unless it is there: before the first fit, so that a bad folder costs none."""
        if self._path is None or self._begun:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(self._path, self._specification)
        self._begun = True

    def key(self, values: Any, fold: int) -> str:
        """Return what identifies a fit: a hash of the specification, the candidate's values and the fold."""
        return hashlib.sha256(self._specification + _line([values, fold])).hexdigest()

    def find(self, key: str) -> dict[str, Any] | None:
        """Return the record of a finished fit; None if it is not finished."""
        return self._found.get(key)

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Remember a finished fit; when this returns, its line is on the disk."""
        self._found[key] = record
        if self._path is not None:
            self._append(_line({"key": key, **record}))

    def _append(self, line: bytes) -> None:
        assert self._path is not None
        try:
            # without a buffer: Ctrl-C between Python's steps must not leave half a line that is completed later
            with open(self._path, "ab", buffering=0) as file:
                before = file.seek(0, os.SEEK_END)
                if file.write(line) != len(line):
                    file.truncate(before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _read(self, path: Path, specification: dict[str, Any]) -> None:
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        lines = whole.split(b"\n") if whole else []
        records: list[dict[str, Any]] = []
        for i, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or (records and "key" not in record):
                raise ValueError(f"line {i} of {path} is damaged; remove this line, so that its fit is repeated")
            records.append(record)
        if len(records) < 2:
            return  # no fit was finished: the journal belongs to nobody
        _check_same(path.parent, records[0], specification)
        if torn:
            with open(path, "r+b") as file:
                file.truncate(len(whole) + 1)
        self._found = {record["key"]: record for record in records[1:]}
        self._begun = True


def _check_same(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    then, now = _flat(there), _flat(json.loads(_line(here)))
    different = [name for name in {**now, **then} if now.get(name) != then.get(name)]
    if different:
        name, *others = different
        also = f", also in {', '.join(others)}" if others else ""
        raise ValueError(
            f"{folder} belongs to another tuning, which differs in {name} ({_short(then.get(name))} there, "
            f"{_short(now.get(name))} here){also}; choose another folder, or remove this one"
        )


def _flat(specification: dict[str, Any]) -> dict[str, Any]:
    """The entries of dicts under names of their own, such as base.max_epochs."""
    flat: dict[str, Any] = {}
    for name, value in specification.items():
        flat |= {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _line(value: Any) -> bytes:
    """NaN is written as Python's json reads it back; keys keep their order."""
    return json.dumps(value, separators=(", ", ": ")).encode() + b"\n"
