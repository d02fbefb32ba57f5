"""FLOOR 3: MLP: sizes and choices, validated; weights and biases as arrays; prediction."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._version import __version__
from fastnn.engine import initializers, model_file
from fastnn.engine.labels import Encoded
from fastnn.engine.parameters import Parameters
from fastnn.engine.predictor import Predictor
from fastnn.engine.samples import Scaling, as_matrix, checked_scaling
from fastnn.ops.codes import ACTIVATIONS, HEADS, OUTPUTS


class MLP:
    """A multilayer perceptron.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, hidden layers ..., outputs; ``[784, 10]`` has no hidden layer.
    activation : str or list of str
        identity, logistic, tanh, relu, leaky_relu (slope 0.01), elu, gelu (exact) or silu; one for all hidden
        layers or one each.
    output : {"softmax", "logistic", "identity"}
        Link of the output layer: one class of several; yes or no for each output; plain numbers.
    init : str or arrays
        First weights: he, glorot, lecun, inverse_sqrt, standard_normal, normal(std), uniform(low, high), a list of
        weight arrays (inputs, outputs), or a pair (weights, biases). Biases start at zero unless given.
    dtype : {"float32", "float64"}
    seed : int
        Draws the first weights.
    input_scale, input_offset : None, float or array (inputs,)
        The network sees ``(x - input_offset) * input_scale``. None: 1/255 for uint8 samples, 1 otherwise; no offset.

    Attributes
    ----------
    classes : array or None
        The labels that the outputs stand for, sorted; set by the first training of a classifier.

    Raises
    ------
    TypeError, ValueError
        With a sentence, for a value that cannot be.

    Examples
    --------
    >>> net = MLP([64, 32, 10], activation="tanh", seed=1)
    >>> net
    MLP([64, 32, 10], activation='tanh', output='softmax', dtype='float32')
    >>> net.n_parameters
    2410
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        output: str = "softmax",
        init: Any = "he",
        dtype: Any = "float32",
        seed: int = 0,
        input_scale: Any = None,
        input_offset: Any = None,
    ) -> None:
        self.sizes = _checked_sizes(sizes)
        self.activations = _checked_activations(activation, len(self.sizes) - 2)
        self.output = _checks.choice("output", output, OUTPUTS)
        if self.output == "softmax" and self.sizes[-1] == 1:
            raise ValueError("output 'softmax' needs at least 2 outputs, got 1; for two classes use 'logistic'")
        self.dtype = _checked_dtype(dtype)
        self.seed = _checks.integer("seed", seed, 0)
        self.scaling = Scaling(None, None, self.sizes[0], self.dtype)
        self.input_scale = input_scale
        self.input_offset = input_offset
        self._classes: np.ndarray | None = None
        try:
            self._parameters = Parameters(self.sizes, self.dtype)
        except (MemoryError, ValueError):  # ValueError: NumPy cannot even count so many bytes
            gigabytes = sum((i + 1) * o for i, o in itertools.pairwise(self.sizes)) * self.dtype.itemsize / 1e9
            raise MemoryError(
                f"sizes {self.sizes} take {gigabytes:,.0f} GB of parameters; choose smaller layers"
            ) from None
        rng = np.random.default_rng(self.seed)
        self._parameters.set(*initializers.make_weights(init, self.sizes, rng, self.dtype))
        self._predictor = Predictor(self)

    def __repr__(self) -> str:
        names = set(self.activations)
        activation = self.activations if len(names) > 1 else next(iter(names), "relu")
        return f"MLP({self.sizes}, activation={activation!r}, output={self.output!r}, dtype={self.dtype.name!r})"

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases."""
        return self._parameters.count

    @property
    def weights(self) -> list[np.ndarray]:
        """Read-only copies, (inputs, outputs) for each layer; assign a list of arrays to change them."""
        return _read_only(self._parameters.get()[0])

    @weights.setter
    def weights(self, arrays: Sequence[Any]) -> None:
        self.set_parameters(arrays, self.biases)

    @property
    def biases(self) -> list[np.ndarray]:
        """Read-only copies, (outputs,) for each layer; assign a list of arrays to change them."""
        return _read_only(self._parameters.get()[1])

    @biases.setter
    def biases(self, arrays: Sequence[Any]) -> None:
        self.set_parameters(self.weights, arrays)

    @property
    def classes(self) -> np.ndarray | None:
        """The labels that the outputs stand for, sorted and different; None before the first training and without."""
        return self._classes

    @classes.setter
    def classes(self, labels: Any) -> None:
        if labels is not None:
            labels = np.array(labels)
            wanted = 2 if self.output == "logistic" and self.sizes[-1] == 1 else self.sizes[-1]
            if labels.shape != (wanted,) or not np.array_equal(np.unique(labels), labels):
                raise ValueError(f"classes must be {wanted} different labels in ascending order, got {labels}")
        self._classes = labels

    def set_parameters(self, weights: Sequence[Any], biases: Sequence[Any]) -> None:
        """Set all weights, (inputs, outputs) a layer, and biases, (outputs,); nothing changes if one does not fit."""
        rng = np.random.default_rng(0)
        made = initializers.make_weights((list(weights), list(biases)), self.sizes, rng, self.dtype)
        self._parameters.set(*made)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Outputs of the network: probabilities of the classes (softmax), or of each label (logistic).

        Parameters
        ----------
        X : array-like, (n_samples, n_features) or (n_samples, ...)

        Returns
        -------
        array of the network's dtype, (n_samples, n_outputs)
        """
        if self.output == "identity":
            raise ValueError("a network with output 'identity' has no probabilities; use predict")
        return self.outputs(X)

    def predict(self, X: Any) -> np.ndarray:
        """Labels, or numbers where the output is 'identity'.

        Returns
        -------
        array
            (n_samples,) of the dtype of the training labels for classes; (n_samples, n_outputs) of 0 and 1 for
            several labels; (n_samples,) or (n_samples, n_outputs) numbers for output 'identity'.
        """
        return self.decide(self.outputs(X))

    def outputs(
        self, X: Any, encoded: Encoded | None = None, loss: str | None = None, n_threads: int | None = None
    ) -> Any:
        """Raw outputs (n_samples, n_outputs); with encoded targets and a loss also the losses (n_samples,)."""
        X = as_matrix(X, self.sizes[0], finite=False)
        outputs, losses = self._predictor.run(
            X, encoded, HEADS[self.output, loss] if loss is not None else 0, n_threads
        )
        return outputs if encoded is None else (outputs, losses)

    def decide(self, outputs: np.ndarray) -> np.ndarray:
        """What `predict` returns for these outputs (n_samples, n_outputs)."""
        if self.output == "identity":
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        if self.output == "logistic" and (outputs.shape[1] == 1 or self.classes is None):
            yes = (outputs >= 0.5).astype(np.int64)
            if outputs.shape[1] > 1:
                return yes
            return yes[:, 0] if self.classes is None else self.classes[yes[:, 0]]
        best = outputs.argmax(axis=1)
        return best if self.classes is None else self.classes[best]

    @property
    def input_scale(self) -> float | np.ndarray | None:
        """What inputs are multiplied by; see the parameter."""
        return self.scaling.scale

    @input_scale.setter
    def input_scale(self, value: Any) -> None:
        scale = checked_scaling("input_scale", value, self.sizes[0])
        self.scaling = Scaling(scale, self.input_offset, self.sizes[0], self.dtype)

    @property
    def input_offset(self) -> float | np.ndarray | None:
        """What is subtracted from inputs first; see the parameter."""
        return self.scaling.offset

    @input_offset.setter
    def input_offset(self, value: Any) -> None:
        offset = checked_scaling("input_offset", value, self.sizes[0])
        self.scaling = Scaling(self.input_scale, offset, self.sizes[0], self.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_predictor"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._predictor = Predictor(self)

    def _choices(self) -> dict[str, Any]:
        """Everything but the parameters, as a model file keeps it."""
        keys = ("sizes", "activations", "output", "classes", "input_scale", "input_offset", "seed")
        return {key: getattr(self, key) for key in keys} | {"dtype": self.dtype.name}

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) of all that predictions depend on: sizes, choices, classes, parameters."""
        choices = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self._choices().items()}
        del choices["seed"]
        digest = hashlib.sha256(json.dumps(choices, sort_keys=True).encode())
        for arrays in self._parameters.get():
            for array in arrays:
                digest.update(array.astype(self.dtype.newbyteorder("<")).tobytes())
        return digest.hexdigest()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file from which `fastnn.load` makes the same network; never half a file.

        Raises
        ------
        ModelFileError
            If it cannot be written.
        """
        weights, biases = self._parameters.get()
        arrays: dict[str, np.ndarray] = {}
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            arrays |= {f"{i}.weight": w, f"{i}.bias": b}
        model_file.save_model(path, arrays, self._choices() | {"version": __version__})


def load(path: str | os.PathLike[str]) -> MLP:
    """Read a network that `MLP.save` wrote.

    Raises
    ------
    ModelFileError
        If the file is none, is damaged or does not fit together.
    """
    arrays, meta = model_file.load_model(path)
    n_layers = len(meta["sizes"]) - 1
    init = ([arrays[f"{i}.weight"] for i in range(n_layers)], [arrays[f"{i}.bias"] for i in range(n_layers)])
    keys = ("output", "dtype", "input_scale", "input_offset")
    try:
        net = MLP(
            meta["sizes"],
            activation=meta["activations"],
            init=init,
            seed=meta["seed"] or 0,
            **{k: meta[k] for k in keys},
        )
        net.classes = meta["classes"]
    except (TypeError, ValueError) as error:
        raise model_file.ModelFileError(f"{os.fspath(path)} is not a usable model file: {error}") from None
    return net


def _read_only(arrays: list[np.ndarray]) -> list[np.ndarray]:
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _checked_sizes(sizes: Any) -> list[int]:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence | np.ndarray):
        raise TypeError(f"sizes must be a list such as [784, 64, 10], got {sizes!r}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must name at least inputs and outputs, such as [784, 10], got {list(sizes)}")
    return [_checks.integer(f"sizes[{i}]", n, 1, 2**31 - 1) for i, n in enumerate(sizes)]


def _checked_activations(activation: Any, n_hidden: int) -> list[str]:
    if not isinstance(activation, str | Sequence | np.ndarray):
        raise TypeError(f"activation must be a name such as 'relu', or a list of names, got {activation!r}")
    names = [activation] * n_hidden if isinstance(activation, str) else list(activation)
    if isinstance(activation, str):
        _checks.choice("activation", activation, ACTIVATIONS)
    if len(names) != n_hidden:
        raise ValueError(f"activation must be one name or one a hidden layer ({n_hidden}), got {len(names)} names")
    return [_checks.choice("activation", name, ACTIVATIONS) for name in names]


def _checked_dtype(dtype: Any) -> np.dtype:
    try:
        name = "None" if dtype is None else np.dtype(dtype).name  # np.dtype(None) is float64
    except TypeError:
        name = str(dtype)
    return np.dtype(_checks.choice("dtype", name, ("float32", "float64")))
