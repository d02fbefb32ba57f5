"""ONNX Runtime: prediction only, from a graph made by hand: Gemm, activation, ..., Softmax."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

from peers.data import SCALES, Parameters
from peers.jobs import Prediction

_ACTIVATIONS = {"relu": "Relu", "logistic": "Sigmoid"}


def _model(job: Prediction, X: np.ndarray, parameters: Parameters) -> bytes:
    nodes, constants = [], []
    last, kind = "X", TensorProto.FLOAT
    if X.dtype == np.uint8:
        kind = TensorProto.UINT8
        nodes.append(helper.make_node("Cast", ["X"], ["numbers"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["numbers", "scale"], ["inputs"]))
        constants.append(numpy_helper.from_array(np.float32(SCALES[job.data]), "scale"))
        last = "inputs"
    for layer, (W, b) in enumerate(zip(*parameters, strict=True)):
        constants += [numpy_helper.from_array(W, f"W{layer}"), numpy_helper.from_array(b, f"b{layer}")]
        nodes.append(helper.make_node("Gemm", [last, f"W{layer}", f"b{layer}"], [f"z{layer}"]))
        link = "Softmax" if layer == len(parameters[0]) - 1 else _ACTIVATIONS[job.activation]
        last = f"a{layer}"
        nodes.append(helper.make_node(link, [f"z{layer}"], [last]))
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("X", kind, [len(X), job.sizes[0]])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [len(X), job.sizes[-1]])],
        constants,
    )
    # Runtimes read older formats than the newest that the helper writes
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


class Predicts:
    """A session with all optimisations, which are the default, on `n_threads` threads."""

    def __init__(self, job: Prediction, n_threads: int) -> None:
        self.job = job
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = n_threads
        self.options.inter_op_num_threads = 1

    def begin(self, X: np.ndarray, parameters: Parameters) -> None:
        model = _model(self.job, X, parameters)
        self.session = onnxruntime.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])
        self.inputs = {"X": X}

    def run(self) -> np.ndarray:
        return self.session.run(None, self.inputs)[0]
