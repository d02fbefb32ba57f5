"""FLOOR 3: the user's X, checked once and handed to the kernels as it is.

uint8, float32 and float64 in C or Fortran order, strided, read-only or memory-mapped are not copied; the kernels
convert mini-batch by mini-batch. Other numbers are converted here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _checks
from fastnn.kernels.bundles import BYTES, IDLE_PART, SOURCE_TYPES, Samples

# Share of inputs that must be idle in four samples for a training to look for them
IDLE_SHARE = 1 / IDLE_PART
MOST_SAMPLES = 2**31
_CHUNK_BYTES = 16 * 2**20


def as_matrix(X: Any, n_features: int, name: str = "X", finite: bool = True) -> np.ndarray:
    """Return X as (n_samples, n_features) of a type that kernels read, without a copy where that is possible.

    Parameters
    ----------
    X : array-like, (n_samples, ...)
        Axes after the first are flattened.
    n_features : int
        What the network expects.
    finite : bool
        Whether to look for NaN and infinity; a prediction notices them by itself.

    Raises
    ------
    TypeError
        For complex, object, text or sparse X.
    ValueError
        For an empty X, another number of features, NaN or infinity.
    """
    usual = type(X) is np.ndarray and X.dtype in SOURCE_TYPES and X.ndim == 2
    if not (usual and X.shape[1] == n_features and 0 < len(X) < MOST_SAMPLES):
        X = _made_matrix(X, n_features, name)
    if finite:
        check_finite(X, name)
    return X


def _made_matrix(X: Any, n_features: int, name: str) -> np.ndarray:
    """What `as_matrix` makes of anything but the usual array, or why it cannot."""
    if hasattr(X, "tocsr"):
        raise TypeError(f"{name} is a sparse matrix, which is not supported; pass {name}.toarray()")
    _checks.unmasked(name, X)
    try:
        X = np.asanyarray(X)
    except ValueError as error:
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None
    if X.dtype.kind not in "buif":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {X.dtype}; convert it first, "
            f"for example {name}.astype('float32')"
        )
    if X.ndim < 2:
        raise ValueError(
            f"{name} must have one row a sample, got shape {X.shape}; for a single sample pass {name}[None, :]"
        )
    if len(X) >= MOST_SAMPLES:
        raise ValueError(f"{name} must have fewer than 2**31 samples, got {len(X)}; train on parts of it")
    if len(X) == 0:
        raise ValueError(f"{name} must have at least one sample, got shape {X.shape}")
    if X.ndim > 2:
        X = X.reshape(len(X), -1) if X.size else X.reshape(len(X), 0)
    if X.shape[1] != n_features:
        raise ValueError(
            f"{name} must have {n_features} features a sample, as the network has inputs, got {X.shape[1]}"
        )
    if X.dtype not in SOURCE_TYPES:
        narrow = X.dtype.kind == "b" or (X.dtype.kind in "iuf" and X.dtype.itemsize <= 2)
        X = X.astype(np.float32 if narrow else np.float64)
    return X


def check_finite(X: np.ndarray, name: str) -> None:
    """Raise ValueError for NaN or infinity, a chunk of rows at a time so that memory maps stay on disk."""
    if X.dtype.kind != "f":
        return
    rows = max(1, _CHUNK_BYTES // max(1, X.shape[1] * X.itemsize))
    for first in range(0, len(X), rows):
        chunk = X[first : first + rows]
        with np.errstate(all="ignore"):
            if np.isfinite(chunk.sum()):  # a sum is not finite if any term is not; several times cheaper
                continue
        bad = ~np.isfinite(chunk)
        if bad.any():
            r, c = np.argwhere(bad)[0]
            raise ValueError(
                f"{name} must be finite, got {chunk[r, c]} at row {first + r}, column {c}; "
                "remove or impute such samples"
            )


def as_weights(sample_weight: Any, n_samples: int, dtype: np.dtype) -> np.ndarray:
    """Return sample weights (n_samples,) of dtype, or an empty array for None; raises for what cannot be weights."""
    if sample_weight is None:
        return np.empty(0, dtype)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "buif":
        raise TypeError(f"sample_weight must hold numbers, got dtype {weights.dtype}")
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must have shape ({n_samples},), one a sample, got {weights.shape}")
    weights = weights.astype(dtype)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError(
            f"sample_weight must be finite, not negative and not all 0, got {weights.min()} .. {weights.max()}"
        )
    return weights


def has_idle_inputs(X: np.ndarray, offset: float | np.ndarray | None) -> bool:
    """Whether inputs are zero so often that leaving them out of the first layer's sums pays; judged by 64 small groups.

    A tile leaves out what is zero in all its samples.
    """
    groups = X[np.random.default_rng(0).integers(len(X), size=(64, 4))]
    zero = 0.0 if offset is None else offset
    return float((groups == zero).all(axis=1).mean()) > IDLE_SHARE


def checked_scaling(name: str, value: Any, n_features: int) -> float | np.ndarray | None:
    if value is None or np.isscalar(value):
        return value if value is None else _checks.number(name, value)
    array = np.array(value)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be a number or {n_features} numbers, one a feature, got dtype {array.dtype}")
    array = array.astype(np.float64)
    if array.shape != (n_features,):
        raise ValueError(f"{name} must be a number or {n_features} numbers, one a feature, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    array.flags.writeable = False
    return array


class Scaling:
    """input = (x - offset) * scale, each a number or one a feature; None as in `MLP`. Not changed once it is made."""

    def __init__(
        self, scale: float | np.ndarray | None, offset: float | np.ndarray | None, n_features: int, dtype: np.dtype
    ) -> None:
        self.scale = scale
        self.offset = offset
        self._shape = n_features, dtype
        self._vectors: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def vectors(self, kind: int) -> tuple[np.ndarray, np.ndarray]:
        """(scale, offset), each (n_features,) of the network's precision; `kind` of SOURCE_TYPES says what x is."""
        if kind not in self._vectors:
            n_features, dtype = self._shape
            scales, offsets = np.empty(n_features), np.empty(n_features)
            scales[:] = (1 / 255 if kind == BYTES else 1.0) if self.scale is None else self.scale
            offsets[:] = 0.0 if self.offset is None else self.offset
            self._vectors[kind] = scales.astype(dtype), offsets.astype(dtype)
        return self._vectors[kind]


def bundle(X: np.ndarray, scaling: Scaling, labels: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Samples:
    """The kernels' view of checked inputs and targets."""
    kind = SOURCE_TYPES[X.dtype]
    scale, offset = scaling.vectors(kind)
    return Samples(X, kind, scale, offset, labels, targets, weights)
