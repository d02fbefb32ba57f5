"""FLOOR 3: model files: safetensors, with all that is needed to predict.

Tensors ``0.weight`` (inputs, outputs), ``0.bias`` (outputs,), ``1.weight`` ..., and one metadata key,
``fastnn``, a JSON object. A file is checked against itself before any tensor is read; what is written passed
the same checks.
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import reprlib
import stat
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

import numpy as np

from fastnn._files import replace_file
from fastnn.ops.codes import ACTIVATIONS, OUTPUTS

FORMAT = 1
HEADER_LIMIT = 16 * 2**20  # bytes; room for half a million classes, or scales of as many features
CLASSES_LIMIT = 256 * 2**20  # bytes of the array of classes: one very long label makes all of them long
LAYER_LIMIT = 10_000
DTYPES = {"float32": ("F32", 4), "float64": ("F64", 8)}
_CLASS_DTYPES = ("|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8")
_SCALING_KEYS = ("input_scale", "input_offset")
_KEYS = ("version", "sizes", "activations", "output", "dtype", "classes", *_SCALING_KEYS, "seed")


class ModelFileError(ValueError):
    """A model file that cannot be written or read, or that is none; the sentence says why."""


def save_model(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write a model file; the same content gives the same bytes.

    Parameters
    ----------
    path : str or path-like
        The file, replaced as a whole or not at all.
    arrays : dict of arrays
        ``"0.weight"`` (inputs, outputs), ``"0.bias"`` (outputs,), ``"1.weight"`` ..., all of one dtype,
        float32 or float64.
    meta : dict
        version : str, of fastnn;
        sizes : list of int; activations : list of str, one per hidden layer; output : str;
        dtype : "float32" or "float64", that of the arrays;
        classes : array (n_classes,) of integers, floats, booleans or strings, or None;
        input_scale, input_offset : None, a number, or an array (inputs,);
        seed : int or None.

    Raises
    ------
    ModelFileError
        If the content is inconsistent or not finite, or the file cannot be written; the file that was there
        is unchanged.
    """
    import safetensors.numpy

    name = _name(path)
    try:
        text = json.dumps(_plain(meta), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"cannot write model file {name}: metadata that JSON cannot hold: {error}") from None
    # safetensors writes the bytes as they lie in memory.
    tensors = {key: np.ascontiguousarray(a, a.dtype.newbyteorder("=")) for key, a in arrays.items()}
    try:
        data = safetensors.numpy.save(tensors, metadata={"fastnn": text})
        _read(io.BytesIO(data), len(data))
    except (KeyError, ValueError, safetensors.SafetensorError) as error:
        raise ModelFileError(f"cannot write model file {name}: {error}") from None
    try:
        replace_file(path, data)
    except (OSError, ValueError) as error:
        raise ModelFileError(f"cannot write model file {name}: {_reason(error)}") from error


def load_model(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read and check a model file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    arrays : dict of arrays
        As for `save_model`, in the order of the layers.
    meta : dict
        As for `save_model`; ``classes`` is an array or None, ``input_scale`` and ``input_offset`` are None, a
        float or a float64 array.

    Raises
    ------
    ModelFileError
        If there is no such file, it cannot be read, or it is not a whole and consistent model file.
    """
    name = _name(path)
    try:
        # Asked before opening: opening a pipe would wait for its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            _refuse("it is a folder or a device")
        with open(path, "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size)
    except _FlawError as flaw:
        raise ModelFileError(f"{name} is not a usable model file: {flaw}") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no system call accepts
        raise ModelFileError(f"cannot read model file {name}: {_reason(error)}") from error


class _FlawError(ValueError):
    """What is wrong with the content of a file, without its name."""


def _name(path: str | os.PathLike[str]) -> str:
    return repr(os.fspath(path))


def _reason(error: OSError | ValueError) -> str:
    """The system's words, without number and path."""
    return getattr(error, "strerror", None) or str(error)


def _refuse(sentence: str) -> NoReturn:
    raise _FlawError(sentence)


def _brief(value: Any) -> str:
    """The repr of something that a file says, cut: a foreign file may hold megabytes of it."""
    return reprlib.repr(value)


def _plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata as JSON has it: lists and numbers, and the classes' dtype beside the classes."""
    plain = {key: meta[key] for key in _KEYS if key in meta}
    plain["format"] = FORMAT
    for key in _SCALING_KEYS:
        if plain.get(key) is not None:
            plain[key] = np.asarray(plain[key], dtype=np.float64).tolist()
    plain["classes_dtype"] = None
    if plain.get("classes") is not None:
        classes = np.asarray(plain["classes"])
        if classes.dtype.kind == "U":
            classes = np.array(classes.tolist(), dtype=str)  # no wider than the longest label
        plain["classes"] = classes.tolist()
        plain["classes_dtype"] = classes.dtype.newbyteorder("<").str
    return plain


def _read(file: BinaryIO, length: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return arrays and metadata of a file that is `length` bytes long, or raise `_FlawError`.

    It goes in the file's own order: each step trusts only what the steps before it have checked.
    """
    import safetensors.numpy

    start = file.read(8)
    if len(start) < 8:
        _refuse(f"it is {length} bytes long, too short for any")
    (header_length,) = struct.unpack("<Q", start)
    if header_length > HEADER_LIMIT:
        _refuse(f"its header would be {header_length} bytes, above the limit of {HEADER_LIMIT}; it is foreign")
    if header_length > length - 8:
        _refuse(f"its header would be {header_length} bytes, but {length - 8} follow; it is cut off or foreign")
    header_bytes = file.read(header_length)
    header = _json_object("header", header_bytes)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("fastnn"), str):
        _refuse("it has no metadata of fastnn; it may be a safetensors file of another program")
    meta = _checked_meta(_json_object("metadata", metadata["fastnn"]))
    names = _check_tensors(header, meta, length - 8 - header_length)
    try:
        arrays = safetensors.numpy.load(start + header_bytes + file.read())
    except (ValueError, safetensors.SafetensorError) as error:
        _refuse(f"safetensors cannot read it: {error}")
    for name in names:
        if not np.isfinite(arrays[name]).all():
            _refuse(f"{name} holds NaN or infinity")
    return {name: arrays[name] for name in names}, meta


def _json_object(what: str, text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object strictly: no key twice, no NaN."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            _refuse(f"its {what} has a key twice")
        return found

    def no_constant(word: str) -> NoReturn:
        _refuse(f"its {what} holds {word}")

    try:
        found = json.loads(text, object_pairs_hook=unique, parse_constant=no_constant)
    except _FlawError:
        raise
    except (ValueError, RecursionError):
        _refuse(f"its {what} is not JSON")
    if not isinstance(found, dict):
        _refuse(f"its {what} is not a JSON object")
    return found


def _checked_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata in the form that `load_model` gives it."""
    if meta.get("format") != FORMAT:
        _refuse(
            f"its format is {_brief(meta.get('format'))}, and this fastnn reads format {FORMAT}; "
            "a newer fastnn may have written it"
        )
    missing = [key for key in (*_KEYS, "classes_dtype") if key not in meta]
    if missing:
        _refuse(f"its metadata lacks {', '.join(missing)}")
    sizes, activations = meta["sizes"], meta["activations"]
    if not isinstance(sizes, list) or not 2 <= len(sizes) <= LAYER_LIMIT:
        _refuse(f"sizes must be a list of 2 to {LAYER_LIMIT} numbers, it is {_brief(sizes)}")
    if not all(_is_integer(size) and 1 <= size < 2**31 for size in sizes):
        _refuse(f"sizes must be whole numbers from 1, they are {_brief(sizes)}")
    if not isinstance(activations, list) or len(activations) != len(sizes) - 2:
        _refuse(f"activations must be {len(sizes) - 2}, one per hidden layer, they are {_brief(activations)}")
    for activation in activations:
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            _refuse(f"activation {_brief(activation)} is none of {', '.join(ACTIVATIONS)}")
    if not isinstance(meta["output"], str) or meta["output"] not in OUTPUTS:
        _refuse(f"output {_brief(meta['output'])} is none of {', '.join(OUTPUTS)}")
    if not isinstance(meta["version"], str):
        _refuse(f"version must be text, it is {_brief(meta['version'])}")
    if not isinstance(meta["dtype"], str) or meta["dtype"] not in DTYPES:
        _refuse(f"dtype must be float32 or float64, it is {_brief(meta['dtype'])}")
    if meta["seed"] is not None and not _is_integer(meta["seed"]):
        _refuse(f"seed must be a whole number or null, it is {_brief(meta['seed'])}")
    checked = {key: meta[key] for key in _KEYS}
    checked["classes"] = _checked_classes(meta["classes"], meta["classes_dtype"], sizes[-1])
    for key in _SCALING_KEYS:
        checked[key] = _checked_scaling(key, meta[key], sizes[0])
    return checked


def _checked_classes(classes: Any, dtype: Any, n_outputs: int) -> np.ndarray | None:
    """Return the classes as an array of the dtype that the file names."""
    if classes is None:
        return None
    n_classes = 2 if n_outputs == 1 else n_outputs
    if not isinstance(classes, list) or len(classes) != n_classes:
        _refuse(f"classes must be a list of {n_classes} for {n_outputs} outputs, it is {_brief(classes)}")
    wanted: tuple[type, ...]
    if all(isinstance(label, str) for label in classes):
        width = max(1, *map(len, classes))
        if 4 * width * n_classes > CLASSES_LIMIT:
            _refuse(f"its {n_classes} labels of up to {width} characters pass the limit of {CLASSES_LIMIT} bytes")
        allowed: tuple[str, ...] = (f"<U{width}",)
        wanted = (str,)
    else:
        allowed = _CLASS_DTYPES
        wanted = (float, int) if "f" in str(dtype) else (bool,) if "b" in str(dtype) else (int,)
    if not isinstance(dtype, str) or dtype not in allowed:
        _refuse(f"classes_dtype {_brief(dtype)} does not fit the classes {_brief(classes)}")
    if not all(type(label) in wanted for label in classes):
        _refuse(f"the classes {_brief(classes)} are not all of {dtype}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(classes, dtype=dtype).astype(np.dtype(dtype).newbyteorder("="))
    except OverflowError:
        _refuse(f"the classes {_brief(classes)} are not all of {dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        _refuse(f"the classes {_brief(classes)} are not all finite in {dtype}")
    if len(np.unique(array)) < n_classes:
        _refuse(f"the classes {_brief(classes)} are not all different")
    return array


def _checked_scaling(key: str, value: Any, n_inputs: int) -> float | np.ndarray | None:
    """Return the input scale or offset: None, one float, or one for each input."""
    if value is None:
        return None
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and len(value) != n_inputs:
        _refuse(f"{key} must be null, a number or {n_inputs} numbers, it is {_brief(value)}")
    if not all(_is_integer(v) or isinstance(v, float) for v in values):
        _refuse(f"{key} must hold numbers, it is {_brief(value)}")
    try:
        scaling = np.array(value, dtype=np.float64)
    except OverflowError:
        _refuse(f"{key} must be finite, it is {_brief(value)}")
    if not np.isfinite(scaling).all():
        _refuse(f"{key} must be finite, it is {_brief(value)}")
    return scaling if isinstance(value, list) else float(scaling)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_tensors(header: dict[str, Any], meta: dict[str, Any], length: int) -> list[str]:
    """Check each tensor's entry against the sizes, and all of them against the `length` of the data.

    Returns
    -------
    names : list of str
        The tensors in the order of the layers.
    """
    sizes = meta["sizes"]
    code, itemsize = DTYPES[meta["dtype"]]
    shapes: dict[str, list[int]] = {}
    for i, (n_inputs, n_outputs) in enumerate(itertools.pairwise(sizes)):
        shapes[f"{i}.weight"] = [n_inputs, n_outputs]
        shapes[f"{i}.bias"] = [n_outputs]
    for name in (*(shapes.keys() - header.keys()), *(header.keys() - shapes.keys())):
        problem = "lacks" if name in shapes else "has the unknown"
        _refuse(f"it {problem} tensor {_brief(name)} for layers of {_brief(sizes)}")
    spans = []
    for name, shape in shapes.items():
        entry = header[name]
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            _refuse(f"the entry of {name} must have dtype, shape and data_offsets, it is {_brief(entry)}")
        if entry["dtype"] != code:
            _refuse(f"{name} must be of {code}, it is of {_brief(entry['dtype'])}")
        if entry["shape"] != shape:
            _refuse(f"{name} must have the shape {shape}, as sizes say, it has {_brief(entry['shape'])}")
        offsets = entry["data_offsets"]
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_integer, offsets)):
            _refuse(f"{name} must lie between two offsets, they are {_brief(offsets)}")
        n_bytes = math.prod(shape) * itemsize
        if offsets[1] - offsets[0] != n_bytes:
            _refuse(f"{name} must take {n_bytes} bytes, its offsets are {_brief(offsets)}")
        spans.append((offsets[0], offsets[1], name))
    end = 0
    for first, last, name in sorted(spans):
        if first != end:
            _refuse(f"{name} must begin at byte {end} of the data, it begins at {first}")
        end = last
    if end != length:
        _refuse(f"its tensors take {end} bytes, but {length} follow the header; it is cut off or was changed")
    return list(shapes)
