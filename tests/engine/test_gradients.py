"""Gradients of every activation x head x penalty and dropout against the oracle.

One step of plain SGD on all samples at once moves the weights by -rate * gradient. A large rate (a power of
two, so it rounds nothing) lets the gradient dominate the new weights: what is read back has all its digits.
"""

from __future__ import annotations

import numpy as np
import pytest
import randomness
from compare import assert_close
from data import parameters, problem, sample_weights
from reference import ACTIVATIONS, HEADS
from replay import reference_of

import fastnn

RATE = 64.0
N = 37
VARIANTS = {
    "plain": {},
    "l1": {"l1": 0.01},
    "l2": {"l2": 0.03},
    "dropout": {"dropout": 0.4},
    "input dropout": {"input_dropout": 0.25},
    "sample weights": {"sample_weight": sample_weights(N)},
    "everything": {"l1": 0.01, "l2": 0.03, "dropout": 0.4, "input_dropout": 0.25, "sample_weight": sample_weights(N)},
}


def make_net(sizes, activation, output, dtype):
    return fastnn.MLP(sizes, activation=activation, output=output, init=parameters(sizes, seed=1), dtype=dtype)


def check_gradients(
    net, loss, X, Y, y=None, *, sample_weight=None, dropout=0.0, input_dropout=0.0, l1=0.0, l2=0.0, terms=1024
):
    """Compare one step on (X, y) with the oracle's gradients for targets Y."""
    reference = reference_of(net, loss, l1, l2)
    input_mask, masks = randomness.masks(net.sizes, [input_dropout] + [dropout] * len(net.activations), len(X), seed=5)
    expected_loss, dWs, dbs = reference.loss_and_gradients(X, Y, sample_weight, masks, input_mask)
    trainer = fastnn.Trainer(
        net,
        loss=loss,
        optimizer=fastnn.SGD(RATE),
        batch_size=len(X),
        max_epochs=1,
        shuffle=False,
        l1=l1,
        l2=l2,
        dropout=dropout,
        input_dropout=input_dropout,
        seed=5,
        verbose=0,
    )
    history = trainer.fit(X, Y if y is None else y, sample_weight=sample_weight)
    moved = [(b - a) / b.dtype.type(RATE) for b, a in zip(reference.weights, net.weights, strict=True)]
    assert_close([m.astype(net.dtype) for m in moved], dWs, net.dtype, "dW", terms=terms)
    moved = [(b - a) / b.dtype.type(RATE) for b, a in zip(reference.biases, net.biases, strict=True)]
    # The terms of a bias' gradient cancel, so its rounding is that of the gradients beside it.
    scale = float(np.sqrt(np.mean(dWs[-1] ** 2)))
    assert_close([m.astype(net.dtype) for m in moved], dbs, net.dtype, "db", terms=terms, scale=scale)
    tolerance = 1e-12 if net.dtype == np.float64 else 1e-5
    assert history["train_loss"] == [pytest.approx(expected_loss, rel=tolerance)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS, ids="+".join)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients(variant, activation, head, dtype):
    output, loss = head
    X, Y = problem(output, N)
    check_gradients(make_net([13, 17, 9, 5], activation, output, dtype), loss, X, Y, **VARIANTS[variant])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", HEADS, ids="+".join)
def test_gradients_with_another_activation_in_every_layer(head, dtype):
    output, loss = head
    X, Y = problem(output, N)
    sizes = [13, *range(5, 5 + len(ACTIVATIONS)), 5]
    check_gradients(make_net(sizes, list(ACTIVATIONS), output, dtype), loss, X, Y, **VARIANTS["everything"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", [h for h in HEADS if h[0] != "identity"], ids="+".join)
def test_gradients_with_class_labels(head, dtype):
    """Labels take another way through the kernels than rows of targets."""
    output, loss = head
    X, Y = problem("softmax", N)
    names = np.array(["e", "b", "d", "a", "c"])
    order = np.argsort(names)  # classes are sorted: column i of the outputs is the i-th name in the alphabet
    y = names[Y.argmax(axis=1)]
    check_gradients(make_net([13, 17, 5], "tanh", output, dtype), loss, X, Y[:, order], y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gradients_with_probabilities_as_targets(loss, dtype):
    X, Y = problem("softmax", N)
    soft = 0.75 * Y + 0.05  # every row sums to 1
    check_gradients(make_net([13, 17, 5], "tanh", "softmax", dtype), loss, X, soft)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gradients_of_two_classes_with_one_output(loss, dtype):
    X, Y = problem("logistic", N, n_outputs=1)
    y = np.where(Y[:, 0] > 0, "yes", "no")
    check_gradients(make_net([13, 7, 1], "silu", "logistic", dtype), loss, X, Y, y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("head", [h for h in HEADS if h != ("logistic", "mse")], ids="+".join)
def test_gradients_stay_right_where_outputs_are_sure(head, dtype):
    """Logits of hundreds: a plain exp would overflow. (logistic + mse has gradients of nearly 0 there.)"""
    output, loss = head
    X, Y = problem("softmax", N)
    net = make_net([13, 5], "identity", output, dtype)
    net.weights = [100 * W for W in net.weights]
    # A logit z carries its rounding, eps |z|, into exp(z): a hundred times more than usual.
    check_gradients(net, loss, X, Y, Y.argmax(axis=1) if output != "identity" else Y, terms=100 * 1024)
