"""PyTorch, eager and compiled, as its performance guide advises.

Eager: nn.Sequential, autograd, the fused SGD (10 us a step less than the others). Compiled: one functional step,
gather, gradients and update in one graph, called through the C++ wrapper (measured on 784-30-10: 87 us a step, 105
without the wrapper, 319 with only the forward pass compiled).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.data import SCALES, Parameters, Samples
from peers.jobs import Prediction, Training

_ACTIVATIONS = {"relu": nn.ReLU, "logistic": nn.Sigmoid}
_FUNCTIONS = {"relu": functional.relu, "logistic": torch.sigmoid}


def _settle(n_threads: int) -> None:
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(True)


def _tensors(parameters: Parameters) -> list[Tensor]:
    """Weights (outputs, inputs) and biases, in the order of nn.Module.parameters."""
    return [
        torch.from_numpy(np.ascontiguousarray(array))
        for W, b in zip(*parameters, strict=True)
        for array in (W.T, b.copy())
    ]


def _network(job: Training | Prediction, parameters: Parameters) -> nn.Sequential:
    if job.output != "softmax":
        raise NotImplementedError("only softmax outputs are written for PyTorch")
    layers: list[nn.Module] = []
    for i, o in pairwise(job.sizes):
        layers += [nn.Linear(i, o, dtype=getattr(torch, job.dtype)), _ACTIVATIONS[job.activation]()]
    net = nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for p, first in zip(net.parameters(), _tensors(parameters), strict=True):
            p.copy_(first)
    return net


def _scaled(job: Training | Prediction, x: Tensor) -> Tensor:
    """Bytes as the numbers that the others get."""
    return x.to(getattr(torch, job.dtype)).mul_(SCALES[job.data]) if x.dtype == torch.uint8 else x


def _arrays(tensors: list[Tensor]) -> Parameters:
    arrays = [t.detach().numpy() for t in tensors]
    return [a.T for a in arrays[::2]], arrays[1::2]


class _Training:
    def __init__(self, job: Training, n_threads: int) -> None:
        _settle(n_threads)
        self.job = job

    def _take(self, samples: Samples) -> None:
        self.X, self.y = torch.from_numpy(samples.X), torch.from_numpy(samples.y)
        self.whole = not self.job.shuffle and self.job.batch_size >= len(samples.X)
        self.batches = [rows for order in samples.order for rows in torch.from_numpy(order).split(self.job.batch_size)]


class Trains(_Training):
    """Eager."""

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        self._take(samples)
        self.net = _network(self.job, parameters)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=self.job.rate, momentum=self.job.momentum, fused=True
        )

    def run(self) -> None:
        X, y, net, optimizer = self.X, self.y, self.net, self.optimizer
        for rows in self.batches:
            x, labels = (X, y) if self.whole else (X[rows], y[rows])
            loss = functional.cross_entropy(net(_scaled(self.job, x)), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    def parameters(self) -> Parameters:
        return _arrays(list(self.net.parameters()))


class TrainsCompiled(_Training):
    """torch.compile; a second graph for the last, smaller mini-batch is compiled before the clock runs."""

    def __init__(self, job: Training, n_threads: int) -> None:
        super().__init__(job, n_threads)
        torch._dynamo.reset()  # it counts the shapes of former jobs, and gives up at eight
        torch._dynamo.config.automatic_dynamic_shapes = False
        self.step = torch.compile(_functional_step(job), fullgraph=True, options={"cpp_wrapper": True})
        self.compiled: set[int] = set()  # sizes of mini-batches

    def begin(self, samples: Samples, parameters: Parameters) -> None:
        self._take(samples)
        # One graph for any number of samples, and one for each size of mini-batch
        for tensor in (self.X, self.y):
            torch._dynamo.mark_dynamic(tensor, 0)
        for size, rows in {len(rows): rows for rows in self.batches}.items():
            if size not in self.compiled:
                self.compiled.add(size)
                self._start(parameters)
                self._steps([rows])
        self._start(parameters)

    def _start(self, parameters: Parameters) -> None:
        self.tensors = _tensors(parameters)
        self.velocities = [torch.zeros_like(p) for p in self.tensors]

    @torch.no_grad()
    def _steps(self, batches: list[Tensor]) -> None:
        for rows in batches:
            self.step(self.tensors, self.velocities, self.X, self.y, rows)

    def run(self) -> None:
        self._steps(self.batches)

    def parameters(self) -> Parameters:
        return _arrays(self.tensors)


def _functional_step(job: Training) -> Any:
    activation = _FUNCTIONS[job.activation]

    def loss(parameters: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
        for i in range(0, len(parameters) - 2, 2):
            x = activation(functional.linear(x, parameters[i], parameters[i + 1]))
        return functional.cross_entropy(functional.linear(x, *parameters[-2:]), y)

    gradients_of = torch.func.grad(loss)

    def step(parameters: list[Tensor], velocities: list[Tensor], X: Tensor, y: Tensor, rows: Tensor) -> None:
        gradients = gradients_of(parameters, X[rows], y[rows])
        for p, v, g in zip(parameters, velocities, gradients, strict=True):
            v.mul_(job.momentum).add_(g)
            p.add_(v, alpha=-job.rate)

    return step


class Predicts:
    """Eager, in inference mode; input and output are NumPy's, as for the others, which costs no copy."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        _settle(n_threads)
        self.job = job

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        self.X = X
        self.net: Any = nn.Sequential(*_network(self.job, parameters), nn.Softmax(dim=1)).eval()

    @torch.inference_mode()
    def run(self) -> np.ndarray:
        return self.net(_scaled(self.job, torch.from_numpy(self.X))).numpy()


class PredictsCompiled(Predicts):
    """torch.compile with frozen weights."""

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        torch._dynamo.reset()
        super().begin(X, parameters)
        self.net = torch.compile(self.net, dynamic=False, fullgraph=True, options={"freezing": True})
