"""FLOOR 1: the names of what users choose, activations, outputs, losses, rules, and the codes that kernels know."""

from __future__ import annotations

ACTIVATIONS = {
    "identity": 0, "logistic": 1, "tanh": 2, "relu": 3, "leaky_relu": 4, "elu": 5, "gelu": 6, "silu": 7,
}  # fmt: skip
# those whose slope is computed from the pre-activation z, for the activation does not determine it
NEEDS_Z = frozenset({"gelu", "silu"})

OUTPUTS = {"softmax": 0, "logistic": 1, "identity": 2}
LOSSES = ("cross_entropy", "mse")
# (output, loss) -> code of the head; a pair that is not here makes no sense together
HEADS = {
    ("softmax", "cross_entropy"): 0,
    ("logistic", "cross_entropy"): 1,
    ("identity", "mse"): 2,
    ("logistic", "mse"): 3,
    ("softmax", "mse"): 4,
}

# how products are formed (see kernels.matmul and kernels.triples)
MATMULS = ("fma", "bf16x3")

RULES = {"sgd": 0, "momentum": 1, "nesterov": 2}
# numbers that a rule keeps for every weight
SLOTS = {"sgd": 0, "momentum": 1, "nesterov": 1}
