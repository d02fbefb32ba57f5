"""The oracle proves itself: finite differences, scikit-learn, closed forms and hard numbers."""

from __future__ import annotations

import ast
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import reference
from compare import assert_close
from data import classification, dropout_mask, one_hot, parameters, problem, sample_weights
from reference import ACTIVATIONS, HEADS, ReferenceNet, apply_max_norm, sgd_step

SIZES = [4, 5, 3, 3]
N = 7


def make_net(activation="tanh", output="softmax", loss="cross_entropy", sizes=SIZES, seed=0, **penalties):
    weights, biases = parameters(sizes, seed)
    return ReferenceNet(sizes, [activation] * (len(sizes) - 2), output, loss, weights, biases, **penalties)


def numeric_gradient(f, w, h=1e-5):
    """Central differences of f() by every element of w, an array that f reads."""
    gradient = np.empty_like(w)
    for i in np.ndindex(w.shape):
        kept = w[i]
        w[i] = kept + h
        above = f()
        w[i] = kept - h
        below = f()
        w[i] = kept
        gradient[i] = (above - below) / (2 * h)
    return gradient


EXTRAS = {
    "plain": {},
    "l1": {"l1": 0.03},
    "l2": {"l2": 0.07},
    "sample_weight": {"sample_weight": sample_weights(N)},
    "masks": {"masks": [dropout_mask((N, 5), 0.4, seed=1), dropout_mask((N, 3), 0.25, seed=2)]},
    "one_mask": {"masks": [None, dropout_mask((N, 3), 0.25, seed=2)]},
    "input_mask": {"input_mask": dropout_mask((N, 4), 0.3, seed=3)},
}
EXTRAS["all"] = EXTRAS["l1"] | EXTRAS["l2"] | EXTRAS["sample_weight"] | EXTRAS["masks"] | EXTRAS["input_mask"]


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize(("output", "loss"), HEADS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_finite_differences(activation, output, loss, extra):
    batch = dict(EXTRAS[extra])
    penalties = {name: batch.pop(name) for name in ("l1", "l2") if name in batch}
    net = make_net(activation, output, loss, **penalties)
    X, Y = problem(output, N, SIZES[0], SIZES[-1])
    # No kink of relu, leaky_relu, elu or |W| within a difference step, which moves z by less than 1e-4.
    _, zs = net._propagate(X, batch.get("masks"), batch.get("input_mask"))
    assert min(np.abs(z).min() for z in zs[:-1]) > 1e-4
    assert min(np.abs(W).min() for W in net.weights) > 1e-4

    _, dWs, dbs = net.loss_and_gradients(X, Y, **batch)
    for w, gradient in zip(net.parameters, [*dWs, *dbs], strict=True):
        numeric = numeric_gradient(lambda: net.loss_and_gradients(X, Y, **batch)[0] + net.penalty(), w)
        assert_close(gradient, numeric, 1e-8, scale=0.01)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_slopes_at_the_hard_points(activation):
    value, slope = ACTIVATIONS[activation]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        z = np.array([0.0, -0.0, 1e-300, -1e-300, 5e-324, 700.0, -700.0, 1e4, -1e4])
        assert np.isfinite(value(z)).all()
        assert np.isfinite(slope(z)).all()
        z = np.linspace(-6.0, 6.0, 121) + 0.013
        assert_close(slope(z), (value(z + 1e-5) - value(z - 1e-5)) / 2e-5, 1e-8)


def test_activation_values():
    z = np.array([-2.0, 0.0, 1.5])
    expected = {
        "identity": z,
        "logistic": [0.11920292202211755, 0.5, 0.8175744761936437],
        "tanh": [-0.9640275800758169, 0.0, 0.9051482536448664],
        "relu": [0.0, 0.0, 1.5],
        "leaky_relu": [-0.02, 0.0, 1.5],
        "elu": [-0.8646647167633873, 0.0, 1.5],
        "gelu": [-0.04550026389635842, 0.0, 1.3997891980967109],
        "silu": [-0.23840584404423513, 0.0, 1.2263617142904655],
    }
    for name, (value, _) in ACTIVATIONS.items():
        assert_close(value(z), np.array(expected[name]), 1e-14, name)


@pytest.mark.parametrize(("activation", "at_zero"), [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0)])
def test_slope_at_the_kink(activation, at_zero):
    _, slope = ACTIVATIONS[activation]
    assert (slope(np.array([0.0, -0.0])) == at_zero).all()


def test_l1_slope_of_a_zero_weight_is_zero():
    weights, biases = [np.array([[0.0], [2.0], [-2.0]])], [np.zeros(1)]
    net = ReferenceNet([3, 1], [], "identity", "mse", weights, biases, l1=0.5)
    _, [dW], [db] = net.loss_and_gradients(np.zeros((1, 3)), np.zeros((1, 1)))
    assert dW.ravel().tolist() == [0.0, 0.5, -0.5]
    assert db.tolist() == [0.0]


def test_penalty_counts_weights_and_not_biases():
    net = ReferenceNet([2, 1], [], "identity", "mse", [[[3.0], [-4.0]]], [[100.0]], l1=0.1, l2=0.2)
    assert net.penalty() == pytest.approx(0.1 * 7 + 0.1 * 25, rel=1e-15)
    loss, _, _ = net.loss_and_gradients([[0.0, 0.0]], [[100.0]])
    assert loss == 0.0


def test_outputs():
    X, _ = problem("softmax", N, SIZES[0], SIZES[-1])
    identity = make_net(output="identity", loss="mse").forward(X)
    softmax = make_net().forward(X)
    assert_close(make_net(output="logistic").forward(X), 1 / (1 + np.exp(-identity)), "float64")
    assert_close(softmax, np.exp(identity) / np.exp(identity).sum(axis=1)[:, None], "float64")


def test_two_class_softmax_is_logistic_of_the_difference():
    X, y = classification(N, 4, 2)
    [W], [b] = parameters([4, 2])
    two = ReferenceNet([4, 2], [], "softmax", "cross_entropy", [W], [b])
    one = ReferenceNet([4, 1], [], "logistic", "cross_entropy", [W[:, 1:] - W[:, :1]], [b[1:] - b[:1]])
    loss_two, [dW_two], [db_two] = two.loss_and_gradients(X, one_hot(y, 2))
    loss_one, [dW_one], [db_one] = one.loss_and_gradients(X, y[:, None])
    assert_close(loss_two, loss_one, "float64")
    assert_close(dW_two[:, 1:], dW_one, "float64")
    assert_close(db_two[1:], db_one, "float64")


@pytest.mark.parametrize(("output", "loss"), HEADS)
def test_heads_take_targets_that_are_no_classes(output, loss):
    rng = np.random.default_rng(0)
    z, Y = rng.standard_normal((N, 3)), rng.standard_normal((N, 3))
    head = HEADS[output, loss]
    assert_close(head(z, Y)[1], numeric_gradient(lambda: head(z, Y)[0].sum(), z), 1e-8)


@pytest.mark.parametrize(("output", "loss"), HEADS)
def test_heads_at_extreme_logits(output, loss):
    z = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 5e3], [0.0, 0.0, 0.0]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses, delta = HEADS[output, loss](z, np.eye(3))
    assert np.isfinite(losses).all()
    assert (losses >= 0).all()
    assert np.isfinite(delta).all()


def test_confident_cross_entropies_keep_their_digits():
    losses, _ = HEADS["logistic", "cross_entropy"](np.array([[40.0]]), np.array([[1.0]]))
    assert losses[0] == pytest.approx(np.exp(-40.0), rel=1e-14)
    losses, _ = HEADS["softmax", "cross_entropy"](np.array([[1000.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert losses[0] == 1000.0


def test_a_sample_weight_is_a_repeated_row():
    net = make_net(l2=0.1)
    X, Y = problem("softmax", N, SIZES[0], SIZES[-1])
    repeats = np.array([0, 1, 2, 3, 1, 0, 2])
    weighted = net.loss_and_gradients(X, Y, sample_weight=0.5 * repeats)
    repeated = net.loss_and_gradients(np.repeat(X, repeats, axis=0), np.repeat(Y, repeats, axis=0))
    assert_close(weighted, repeated, "float64")


def test_a_masked_unit_is_an_absent_unit():
    net = make_net()
    X, Y = problem("softmax", N, SIZES[0], SIZES[-1])
    keep = np.array([True, False, True, True, False])
    masks = [np.tile(2.0 * keep, (N, 1)), None]
    loss, dWs, _ = net.loss_and_gradients(X, Y, masks=masks)

    weights = [net.weights[0][:, keep], 2.0 * net.weights[1][keep], net.weights[2]]
    biases = [net.biases[0][keep], *net.biases[1:]]
    smaller = ReferenceNet([4, 3, 3, 3], ["tanh", "tanh"], "softmax", "cross_entropy", weights, biases)
    loss_smaller, dWs_smaller, _ = smaller.loss_and_gradients(X, Y)
    assert_close(loss, loss_smaller, "float64")
    assert_close(dWs[0][:, keep], dWs_smaller[0], "float64")
    assert (dWs[0][:, ~keep] == 0).all()
    assert (dWs[1][~keep] == 0).all()
    assert_close(net.forward(X, masks), smaller.forward(X), "float64")


@pytest.mark.parametrize("rule", ["sgd", "momentum", "nesterov"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["classes", "two classes", "labels", "numbers"])
def test_training_is_that_of_scikit_learn(kind, activation, rule):
    from sklearn import neural_network

    n, n_steps, rate, alpha = 23, 6, 0.1, 0.3
    momentum = 0.0 if rule == "sgd" else 0.8
    weight = sample_weights(n)
    output = {"classes": "softmax", "numbers": "identity"}.get(kind, "logistic")
    X, Y = problem(output, n, 4, 3 if kind in ("classes", "labels") else 1)
    theirs = (neural_network.MLPRegressor if kind == "numbers" else neural_network.MLPClassifier)(
        hidden_layer_sizes=(5, 3),
        activation=activation,
        solver="sgd",
        alpha=alpha,
        batch_size=n,
        learning_rate_init=rate,
        momentum=momentum,
        nesterovs_momentum=rule == "nesterov",
        max_iter=1,
        shuffle=False,
        warm_start=True,
        random_state=0,
    )
    y = {"classes": Y.argmax(axis=1), "labels": Y.astype(int)}.get(kind, Y[:, 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns that a few steps are no convergence
        theirs.fit(X, y, sample_weight=weight)  # draws the initial weights, which cannot be given
        ours = ReferenceNet(
            [4, 5, 3, Y.shape[1]],
            [activation] * 2,
            output,
            "mse" if kind == "numbers" else "cross_entropy",
            theirs.coefs_,
            theirs.intercepts_,
            l2=alpha / weight.sum(),
        )
        theirs.set_params(max_iter=n_steps).fit(X, y, sample_weight=weight)

    losses = []
    velocities = [np.zeros_like(w) for w in ours.parameters]
    for _ in range(n_steps):
        loss, dWs, dbs = ours.loss_and_gradients(X, Y, weight)
        losses.append(loss + ours.penalty())
        sgd_step(ours.parameters, [*dWs, *dbs], velocities, rate, momentum, rule == "nesterov")
    assert_close(np.array(losses), np.array(theirs.loss_curve_[-n_steps:]), "float64")
    assert_close(ours.weights, theirs.coefs_, "float64")
    assert_close(ours.biases, theirs.intercepts_, "float64")


def test_sgd_step_by_hand():
    def two_steps(**kwargs):
        w, v = np.array([1.0]), np.zeros(1)
        for gradient in (2.0, 4.0):
            sgd_step([w], [np.array([gradient])], [v], 0.25, **kwargs)
        return w[0]

    assert two_steps() == 1.0 - 0.5 - 1.0
    assert two_steps(momentum=0.5) == 1.0 - 0.5 - 1.25
    assert two_steps(momentum=0.5, nesterov=True) == 1.0 - 0.75 - 1.625


def test_max_norm_scales_only_the_columns_above_it():
    W = np.array([[3.0, 0.3, 0.0, 1.0], [4.0, 0.4, 0.0, 0.0]])
    apply_max_norm(W, 1.0)
    assert_close(W, np.array([[0.6, 0.3, 0.0, 1.0], [0.8, 0.4, 0.0, 0.0]]), "float64")
    assert W[:, 1:].tolist() == [[0.3, 0.0, 1.0], [0.4, 0.0, 0.0]]


def test_the_network_keeps_its_own_float64_parameters():
    weights, biases = parameters([4, 3])
    net = ReferenceNet([4, 3], [], "softmax", "cross_entropy", [weights[0].astype(np.float32)], biases)
    assert net.weights[0].dtype == np.float64
    net.biases[0] += 1.0
    assert (net.biases[0] != biases[0]).all()


def test_mistakes_of_a_test_are_refused():
    with pytest.raises(ValueError, match="make no head"):
        make_net(output="identity")
    weights, biases = parameters(SIZES)
    with pytest.raises(ValueError, match=r"weights must have shape \(4, 5\), got \(5, 4\)"):
        ReferenceNet(SIZES, ["relu"] * 2, "softmax", "mse", [weights[0].T, *weights[1:]], biases)
    with pytest.raises(ValueError, match="3 layers need 2 activations"):
        ReferenceNet(SIZES, ["relu"], "softmax", "mse", weights, biases)
    net = make_net()
    X, Y = problem("softmax", N, SIZES[0], SIZES[-1])
    with pytest.raises(ValueError, match="Y must have shape"):
        net.loss_and_gradients(X, Y[:, 0])
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        net.loss_and_gradients(X, Y, sample_weight=np.ones((N, 1)))
    with pytest.raises(ValueError, match="masks must have one entry per hidden layer"):
        net.forward(X, masks=[None])
    with pytest.raises(ValueError, match=r"masks\[1\] must have shape"):
        net.forward(X, masks=[None, np.ones(3)])


def test_the_oracle_is_independent():
    tree = ast.parse(Path(reference.__file__).read_text(encoding="utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {module.split(".")[0] for module in modules}
    assert roots - sys.stdlib_module_names == {"numpy"}
