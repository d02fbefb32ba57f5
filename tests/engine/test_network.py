"""MLP: construction and its sentences, parameters in and out, prediction, fingerprint, save and load."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from data import classification, parameters, problem
from reference import ACTIVATIONS, OUTPUTS

import fastnn
from fastnn import MLP, Trainer

SIZES = [13, 67, 9, 5]


def test_defaults():
    net = MLP([4, 3, 2])
    assert net.sizes == [4, 3, 2]
    assert net.activations == ["relu"]
    assert net.output == "softmax"
    assert net.dtype == np.float32
    assert net.classes is None
    assert net.n_parameters == 5 * 3 + 4 * 2
    assert [W.shape for W in net.weights] == [(4, 3), (3, 2)]
    assert [b.shape for b in net.biases] == [(3,), (2,)]
    assert not any(b.any() for b in net.biases)


def test_sizes_may_be_any_sequence_of_whole_numbers():
    for sizes in ([4, 3, 2], (4, 3, 2), np.array([4, 3, 2]), [np.int8(4), 3, np.uint64(2)]):
        assert MLP(sizes).fingerprint() == MLP([4, 3, 2]).fingerprint()


def test_activations_one_for_all_or_one_each():
    assert MLP(SIZES, activation="tanh").activations == ["tanh", "tanh"]
    assert MLP(SIZES, activation=["tanh", "elu"]).activations == ["tanh", "elu"]
    assert MLP(SIZES, activation=("tanh", "elu")).activations == ["tanh", "elu"]
    assert MLP([4, 2]).activations == []


def test_the_seed_decides_and_precisions_begin_alike():
    assert MLP(SIZES, seed=3).fingerprint() == MLP(SIZES, seed=3).fingerprint()
    assert MLP(SIZES, seed=3).fingerprint() != MLP(SIZES, seed=4).fingerprint()
    for single, double in zip(MLP(SIZES).weights, MLP(SIZES, dtype="float64").weights, strict=True):
        np.testing.assert_array_equal(single, double.astype("float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, np.dtype("float64"), float, "f4"])
def test_dtype(dtype):
    net = MLP([4, 2], dtype=dtype)
    assert net.dtype == np.dtype(dtype)
    assert net.weights[0].dtype == net.dtype
    assert net.outputs(np.ones((1, 4))).dtype == net.dtype


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (
            {"sizes": [784]},
            ValueError,
            r"sizes must name at least inputs and outputs, .*, got \[784\]",
        ),
        ({"sizes": []}, ValueError, "sizes must name at least inputs and outputs"),
        ({"sizes": [4, 0, 2]}, ValueError, r"sizes\[1\] must be at least 1, got 0"),
        ({"sizes": [4, -3]}, ValueError, r"sizes\[1\] must be at least 1, got -3"),
        ({"sizes": [4, 2.0]}, TypeError, r"sizes\[1\] must be a whole number, got 2.0"),
        ({"sizes": [4, True]}, TypeError, r"sizes\[1\] must be a whole number, got True"),
        ({"sizes": [4, 2**31]}, ValueError, r"sizes\[1\] must be at most"),
        ({"sizes": "784"}, TypeError, "sizes must be a list such as .*, got '784'"),
        ({"sizes": 784}, TypeError, "sizes must be a list such as .*, got 784"),
        ({"activation": "rely"}, ValueError, "activation must be one of .*, got 'rely'; did you mean 'relu'"),
        ({"activation": ["relu"]}, ValueError, r"activation must be one name or one a hidden layer \(2\), got 1 names"),
        ({"activation": ["relu", "thanh"]}, ValueError, "got 'thanh'; did you mean 'tanh'"),
        ({"activation": None}, TypeError, "activation must be a name such as 'relu', or a list of names, got None"),
        ({"output": "soft"}, ValueError, "output must be one of softmax, logistic, identity, got 'soft'"),
        (
            {"sizes": [4, 1]},
            ValueError,
            "'softmax' needs at least 2 outputs, got 1; for two classes use 'logistic'",
        ),
        ({"init": "hee"}, ValueError, "init.*'hee'.*did you mean 'he'"),
        ({"init": [np.zeros((4, 2))]}, ValueError, "weights must be 3 arrays, one per layer, got 1"),
        ({"dtype": "float16"}, ValueError, "dtype must be one of float32, float64, got 'float16'"),
        ({"dtype": "quick"}, ValueError, "dtype must be one of float32, float64, got 'quick'"),
        ({"dtype": int}, ValueError, "dtype must be one of float32, float64, got 'int64'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"seed": 0.5}, TypeError, "seed must be a whole number, got 0.5"),
        ({"input_scale": np.nan}, ValueError, "input_scale must be finite, got nan"),
        ({"input_scale": "big"}, (TypeError, ValueError), "input_scale must be a number, got 'big'"),
        ({"input_scale": np.ones(3)}, ValueError, r"input_scale must be a number or 13 numbers.*\(3,\)"),
        ({"input_offset": np.full(13, np.inf)}, ValueError, "input_offset must be finite, got inf"),
    ],
)
def test_refused(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        MLP(**({"sizes": SIZES} | arguments))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [SIZES, [1, 1], [1, 1, 2], [3, 64, 128, 2], [2, 130, 257, 3]], ids=str)
def test_parameters_come_out_as_they_went_in(sizes, dtype):
    weights, biases = ([a.astype(dtype) for a in arrays] for arrays in parameters(sizes))
    net = MLP(sizes, output="logistic", init=(weights, biases), dtype=dtype)
    twin = MLP(sizes, output="logistic", dtype=dtype)
    twin.weights = weights
    twin.biases = biases
    for found in (net, twin):
        for a, b in zip([*found.weights, *found.biases], [*weights, *biases], strict=True):
            assert a.dtype == dtype
            np.testing.assert_array_equal(a, b)
    assert net.fingerprint() == twin.fingerprint()


def test_weights_and_biases_are_copies_that_cannot_be_written_by_mistake():
    net = MLP(SIZES)
    before = net.fingerprint()
    with pytest.raises(ValueError, match="read-only"):
        net.weights[0][0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        net.biases[0] += 1
    own = parameters(SIZES)[0]
    net.weights = own
    assert net.fingerprint() != before
    after = net.fingerprint()
    own[0][:] = 0
    assert net.fingerprint() == after


@pytest.mark.parametrize("name", ["weights", "biases"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: arrays[:-1],
        lambda arrays: [*arrays, arrays[0]],
        lambda arrays: [a.T[:-1].T for a in arrays],
        lambda arrays: [*arrays[:-1], arrays[-1] * np.nan],
        lambda arrays: [*arrays[:-1], np.full(arrays[-1].shape, 1e300)],
        lambda arrays: [*arrays[:-1], arrays[-1] + 1j],
        lambda arrays: [*arrays[:-1], "text"],
        lambda arrays: [*arrays[:-1], [[1.0], [2.0, 3.0]]],
    ],
)
def test_a_bad_assignment_names_the_argument_and_changes_nothing(name, spoil):
    net = MLP(SIZES, seed=1)
    before = net.fingerprint()
    good = dict(zip(("weights", "biases"), parameters(SIZES), strict=True))[name]
    with pytest.raises((TypeError, ValueError), match=name):
        setattr(net, name, spoil(good))
    assert net.fingerprint() == before


def test_predict_proba():
    X, _ = problem("softmax", 133)
    for output in ("softmax", "logistic"):
        P = MLP(SIZES, output=output).predict_proba(X)
        assert P.shape == (133, 5)
        assert (P >= 0).all() and (P <= 1).all()
        if output == "softmax":
            np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="a network with output 'identity' has no probabilities; use predict"):
        MLP(SIZES, output="identity").predict_proba(X)


@pytest.mark.parametrize(
    ("output", "n_outputs", "shape", "kind"),
    [
        ("softmax", 5, (37,), "i"),
        ("logistic", 5, (37, 5), "i"),
        ("logistic", 1, (37,), "i"),
        ("identity", 5, (37, 5), "f"),
        ("identity", 1, (37,), "f"),
    ],
)
def test_predict_before_any_training(output, n_outputs, shape, kind):
    X, _ = problem("softmax")
    predicted = MLP([13, 7, n_outputs], output=output).predict(X)
    assert predicted.shape == shape
    assert predicted.dtype.kind == kind


@pytest.mark.parametrize(
    ("X", "error", "sentence"),
    [
        (np.zeros((3, 12)), ValueError, "X must have 13 features a sample, as the network has inputs, got 12"),
        (np.zeros((3, 14), np.uint8), ValueError, "X must have 13 features a sample.*, got 14"),
        (np.zeros((3, 13, 2)), ValueError, "got 26"),
        (np.zeros((0, 13)), ValueError, r"X must have at least one sample, got shape \(0, 13\)"),
        (
            np.zeros(13),
            ValueError,
            r"one row a sample, got shape \(13,\); for a single sample pass X\[None, :\]",
        ),
        (3.0, ValueError, r"X must have one row a sample, got shape \(\)"),
        (np.full((3, 13), np.nan), ValueError, "X must be finite, got nan at row 0, column 0"),
        (np.zeros((3, 13)) + 1j, TypeError, "X must hold real numbers, got dtype complex128"),
        (np.zeros((3, 13), object), TypeError, "X must hold real numbers, got dtype object"),
        (np.full((3, 13), "1"), TypeError, "X must hold real numbers, got dtype <U1"),
        ([[1.0] * 13, [1.0] * 12], ValueError, "X must be a rectangular array of numbers"),
        (None, TypeError, "X must hold real numbers, got dtype object"),
    ],
)
@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_bad_inputs_of_predict(method, X, error, sentence):
    with pytest.raises(error, match=sentence):
        getattr(MLP(SIZES), method)(X)


def test_where_the_first_bad_number_is():
    X = np.zeros((300_000, 13), "float32")
    X[299_998, 7] = -np.inf
    with pytest.raises(ValueError, match="X must be finite, got -inf at row 299998, column 7; remove or impute"):
        MLP(SIZES).predict(X)
    X[:] = np.finfo("float32").max / 2  # finite, though its sum is not
    MLP(SIZES, input_scale=0.0).predict(X)


def test_a_sparse_matrix_is_refused():
    from scipy import sparse

    with pytest.raises(TypeError, match=r"X is a sparse matrix, which is not supported; pass X.toarray\(\)"):
        MLP(SIZES).predict(sparse.csr_matrix(np.zeros((3, 13))))


def test_fingerprint_sees_every_choice():
    base = {"sizes": SIZES, "activation": "relu", "output": "softmax", "init": parameters(SIZES)}
    nudged = [W.copy() for W in base["init"][0]], base["init"][1]
    nudged[0][1][3, 2] = np.nextafter(np.float32(nudged[0][1][3, 2]), np.float32(9))
    changes = [
        {},
        {"activation": "tanh"},
        {"activation": ["relu", "tanh"]},
        {"output": "logistic"},
        {"dtype": "float64"},
        {"init": nudged},
        {"input_scale": 0.5},
        {"input_offset": 0.5},
        {"input_scale": np.full(13, 0.5)},
    ]
    prints = [MLP(**(base | change)).fingerprint() for change in changes]
    named = MLP(**base)
    named.classes = np.array(list("abcde"))
    prints.append(named.fingerprint())
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 64 and int(p, 16) >= 0 for p in prints)
    assert MLP(**base).fingerprint() == prints[0]
    assert MLP(**(base | {"seed": 9})).fingerprint() == prints[0]  # given weights: nothing was drawn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_saved_and_loaded(activation, output, dtype, tmp_path):
    X, _ = problem("softmax")
    net = MLP(SIZES, activation=activation, output=output, init=parameters(SIZES), dtype=dtype)
    net.save(tmp_path / "net.safetensors")
    same = fastnn.load(tmp_path / "net.safetensors")
    assert same.fingerprint() == net.fingerprint()
    assert repr(same) == repr(net)
    np.testing.assert_array_equal(same.outputs(X), net.outputs(X))
    np.testing.assert_array_equal(same.predict(X), net.predict(X))


@pytest.mark.parametrize(
    "choices",
    [
        {"sizes": [1, 1], "output": "identity"},
        {"sizes": [13, 5]},
        {"sizes": [13, *[3] * 20, 5], "activation": list(ACTIVATIONS) * 2 + ["relu"] * 4},
        {"sizes": SIZES, "input_scale": 0.1, "input_offset": -3.0},
        {"sizes": SIZES, "input_scale": np.linspace(0.1, 1, 13), "input_offset": np.linspace(-1 / 3, 1, 13)},
        {"sizes": SIZES, "seed": 77},
    ],
)
def test_choices_that_are_saved_and_loaded(choices, tmp_path):
    net = MLP(**choices)
    net.save(tmp_path / "net")
    same = fastnn.load(tmp_path / "net")
    assert same.fingerprint() == net.fingerprint()
    assert same.activations == net.activations
    assert same.seed == net.seed
    X = np.random.default_rng(0).standard_normal((9, net.sizes[0]))
    np.testing.assert_array_equal(same.outputs(X), net.outputs(X))


@pytest.mark.parametrize("names", [[0, 1, 2], [-5, 2, 2**40], ["ä", "bee", "wasp"], [0.1, 0.2, 0.3]], ids=str)
def test_classes_are_saved_and_loaded_with_their_type(names, tmp_path):
    X, index = classification(30, 6, 3)
    y = np.array(names)[index]
    net = MLP([6, 3])
    Trainer(net, max_epochs=3, verbose=0).fit(X, y)
    net.save(tmp_path / "net")
    same = fastnn.load(tmp_path / "net")
    assert same.classes.dtype == net.classes.dtype == y.dtype
    assert same.fingerprint() == net.fingerprint()
    np.testing.assert_array_equal(same.predict(X), net.predict(X))


def test_training_goes_on_after_loading_as_if_it_had_not_been_saved(tmp_path):
    X, y = classification(67)
    net = MLP([13, 7, 5])
    Trainer(net, max_epochs=2, batch_size=10, verbose=0).fit(X, y)
    net.save(tmp_path / "net")
    same = fastnn.load(tmp_path / "net")
    for each in (net, same):
        Trainer(each, max_epochs=2, batch_size=10, verbose=0).fit(X, y)
    assert same.fingerprint() == net.fingerprint()


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "net").write_text("no network")
    with pytest.raises(fastnn.ModelFileError, match="net"):
        fastnn.load(tmp_path / "net")
    with pytest.raises(fastnn.ModelFileError, match="missing"):
        fastnn.load(tmp_path / "missing")


@pytest.mark.parametrize("classes", [[1, 2], [1, 1, 2], [3, 2, 1], [[1, 2, 3]]])
def test_classes_that_do_not_fit_the_outputs_are_refused(classes):
    net = MLP([2, 3])
    with pytest.raises(ValueError, match="classes must be 3 different labels in ascending order"):
        net.classes = classes
    net.classes = ["a", "b", "c"]
    assert net.classes.tolist() == ["a", "b", "c"]


def test_copies_are_aligned_and_predict_the_same():
    net = MLP([5, 7, 3], seed=1)
    X = np.ones((2, 5))
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied._parameters.flat.ctypes.data % 64 == 0
        np.testing.assert_array_equal(copied.predict_proba(X), net.predict_proba(X))
        copied.biases = [np.ones(7), np.ones(3)]
        assert copied.fingerprint() != net.fingerprint()


def test_masked_samples_are_refused():
    net = MLP([2, 2])
    X = np.ma.masked_array([[1.0, np.nan], [0.0, 1.0]], mask=[[False, True], [False, False]])
    with pytest.raises(ValueError, match="X has 1 masked entries; fill them"):
        net.predict(X)
    assert len(net.predict(X[1:])) == 1


@pytest.mark.parametrize("width", [2**20, 2**31 - 1])
def test_sizes_that_no_machine_can_hold(width):
    with pytest.raises(MemoryError, match=rf"sizes \[{width}, {width}\] take [\d,]+ GB of parameters; choose smaller"):
        MLP([width, width])


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"dtype": None}, ValueError, "dtype must be one of float32, float64, got 'None'"),
        ({"input_scale": ["a", "b"]}, TypeError, "input_scale must be a number or 2 numbers, .* got dtype <U1"),
        ({"input_offset": [1j, 0]}, TypeError, "input_offset must be a number or 2 numbers, .* got dtype complex128"),
        ({"input_scale": 10**400}, ValueError, "input_scale must be finite"),
    ],
)
def test_values_that_numpy_would_take_or_explain_badly(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        MLP([2, 2], **arguments)
