"""X goes in as it is: every type and layout with the same values gives the same training, and none is copied whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from data import problem

from fastnn import MLP, Trainer
from fastnn.engine.samples import as_matrix

N, FEATURES = 67, 23


def pixels(n=N, features=FEATURES):
    return np.random.default_rng(0).integers(0, 256, (n, features)).astype(np.uint8)


def labels(n=N):
    return np.arange(n) % 3


def trained(X, *, dtype="float32", n_threads=2, **network):
    """Fingerprint after training on X, and the outputs for X."""
    features = int(np.prod(np.shape(X)[1:]))
    net = MLP([features, 11, 3], dtype=dtype, seed=1, **network)
    Trainer(net, batch_size=16, max_epochs=2, verbose=0, n_threads=n_threads).fit(X, labels(len(X)))
    return net.fingerprint(), net.outputs(X).tobytes()


def reordered(X, make):
    """An array with the values of X in the memory that `make` gives."""
    out = make()
    out[...] = X
    return out


LAYOUTS = {
    "C": lambda X: X.copy(),
    "Fortran": lambda X: np.asfortranarray(X),
    "transposed": lambda X: X.T.copy().T,
    "every second row": lambda X: reordered(X, lambda: np.zeros((2 * N, FEATURES), X.dtype)[::2]),
    "every third column": lambda X: reordered(X, lambda: np.zeros((N, 3 * FEATURES), X.dtype)[:, 1::3]),
    "columns of a wider table": lambda X: reordered(X, lambda: np.zeros((N, FEATURES + 5), X.dtype)[:, 2:-3]),
    "rows backwards": lambda X: reordered(X, lambda: np.zeros((N, FEATURES), X.dtype)[::-1]),
    "columns backwards": lambda X: reordered(X, lambda: np.zeros((N, FEATURES), X.dtype)[:, ::-1]),
    "both backwards, strided": lambda X: reordered(X, lambda: np.zeros((3 * N, 2 * FEATURES), X.dtype)[::-3, ::-2]),
    "unaligned": lambda X: reordered(X, lambda: np.zeros(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, source, dtype):
    X = pixels().astype(source)
    view = LAYOUTS[layout](X)
    np.testing.assert_array_equal(view, X)
    assert trained(view, dtype=dtype) == trained(X, dtype=dtype)
    assert as_matrix(view, FEATURES).ctypes.data == view.ctypes.data, "it was copied"


def test_one_row_for_all_samples():
    """A stride of 0."""
    X = np.broadcast_to(pixels(1), (N, FEATURES))
    assert trained(X) == trained(X.copy())


@pytest.mark.parametrize(
    "source",
    ["float32", "float64", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "longdouble"],
)
@pytest.mark.parametrize("byte_order", ["=", ">", "<"])
def test_types_with_the_same_values(source, byte_order):
    X = pixels() // 2  # fits int8
    dtype = np.dtype(source).newbyteorder(byte_order)
    assert trained(X.astype(dtype)) == trained(X.astype("float32"))


def test_booleans_are_0_and_1():
    X = pixels() > 127
    assert trained(X) == trained(X.astype("float32"))


def test_uint8_is_divided_by_255():
    X = pixels()
    (_, outputs), (_, expected) = trained(X), trained(X.astype("float32"), input_scale=1 / 255)
    assert outputs == expected


def test_scale_and_offset():
    X = pixels()
    scale = np.linspace(0.5, 2.0, FEATURES) / 256
    offset = np.linspace(-5, 200, FEATURES)
    net, twin = (
        MLP([FEATURES, 11, 3], dtype="float64", seed=1, **k)
        for k in ({"input_scale": scale, "input_offset": offset}, {})
    )
    np.testing.assert_allclose(net.outputs(X), twin.outputs((X - offset) * scale), rtol=1e-12)


def test_read_only_and_untouched():
    X = pixels().astype("float32")
    before = X.copy()
    X.flags.writeable = False
    assert trained(X) == trained(before)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
@pytest.mark.parametrize("source", ["uint8", "float32", "float64"])
def test_memory_map(source, mode, tmp_path):
    X = pixels().astype(source)
    np.save(tmp_path / "X.npy", X)
    assert trained(np.load(tmp_path / "X.npy", mmap_mode=mode)) == trained(X)


def test_images_are_flattened():
    X = pixels(N, 28 * 28)
    assert trained(X.reshape(N, 28, 28)) == trained(X)
    assert trained(X.reshape(N, 7, 4, 28)) == trained(X)
    assert trained(np.asfortranarray(X.reshape(N, 28, 28))) == trained(X)
    assert trained(X.reshape(N, 28, 28)[:, ::-1, ::-1]) == trained(X[:, ::-1])


class Table:
    """What a data frame is to NumPy."""

    def __init__(self, X):
        self.X, self.shape = X, X.shape

    def __len__(self):
        return len(self.X)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.X, dtype)


def test_lists_and_tables():
    X = pixels().astype("float64")
    assert trained(X.tolist()) == trained(X)
    assert trained(Table(X)) == trained(X)


def test_float64_values_are_rounded_once():
    X, _ = problem("softmax", N, FEATURES, 3)
    nudged = X + 1e-12
    assert trained(nudged) == trained(nudged.astype("float32"))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("source", ["uint8", "float32"])
def test_47_megabytes_are_not_copied(source, order):
    n = 60_000 if source == "uint8" else 15_000
    X = np.zeros((n, 784), source, order=order)
    X[::7, ::5] = 1
    y = labels(n)
    net = MLP([784, 4, 3], seed=1)
    trainer = Trainer(net, batch_size=1000, max_epochs=1, verbose=0)
    trainer.fit(X[:10], y[:10], X[:10], y[:10])
    tracemalloc.start()
    try:
        trainer.fit(X, y, X, y)
        net.predict(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Labels, order and losses of 60,000 samples take 1.4 MB, outputs and their comparison about as much; the check
    # for NaN looks at 16 MB of a float array at a time, and holds no copy of them.
    assert peak < X.nbytes / 6, f"{peak / 1e6:.1f} MB"


def test_a_prediction_refuses_what_its_precision_cannot_hold():
    net = MLP([3, 4, 2], activation="logistic", seed=0)  # logistic makes finite numbers of infinite ones
    rows = np.ones((200, 3))
    assert np.isfinite(net.predict_proba(rows)).all()
    rows[150, 1] = 1e39
    with pytest.raises(ValueError, match="X must be within the range of float32 once it is scaled"):
        net.predict_proba(rows)
    net.input_scale = 1e-30
    assert np.isfinite(net.predict_proba(np.full((2, 3), 1e30))).all()
    for bad in (np.nan, np.inf, -np.inf):
        rows[150, 1] = bad
        with pytest.raises(ValueError, match=f"X must be finite, got {bad} at row 150, column 1"):
            net.predict_proba(rows)
