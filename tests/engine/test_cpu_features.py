"""The same bits on every CPU that has fused multiply-add, and the same numbers without.

Each test forces the features of another CPU on a process of its own, with a cache of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from compare import assert_close
from data import parameters, problem
from reference import HEADS, ReferenceNet
from replay import replay

from fastnn.simd import target

AVX2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+bmi,+bmi2,+lzcnt,+f16c"
AVX512 = AVX2 + ",+avx512f,+avx512dq,+avx512cd,+avx512bw,+avx512vl"
# NUMBA_CPU_NAME, NUMBA_CPU_FEATURES, and the bytes of a vector that they must lead to
CPUS = {
    "AVX-512": ("skylake-avx512", AVX512, 64),
    "AVX2": ("haswell", AVX2, 32),
    "portable": ("x86-64", "+sse2", 16),
}
SIZES = [13, 67, 33, 9, 5]
SETTINGS = {
    "batch_size": 31,
    "max_epochs": 2,
    "dropout": 0.3,
    "input_dropout": 0.1,
    "l1": 1e-4,
    "l2": 1e-3,
    "max_norm": 1.0,
    "seed": 2,
}

# Prints the vector's bytes, fingerprints of every head, and the weights of the last training.
PROGRAM = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from test_cpu_features import train_all
print(json.dumps(train_all()))
"""

pytestmark = pytest.mark.skipif(not target.IS_X86, reason="these are features of x86")


def train_all() -> dict:
    from fastnn import MLP, SGD, Trainer

    prints, nets = {}, {}
    for output, loss in HEADS:
        X, Y = problem(output, 133)
        net = MLP(SIZES, activation=["gelu", "tanh", "elu"], output=output, init=parameters(SIZES, seed=1))
        optimizer = SGD(0.05, momentum=0.9, nesterov=True)
        history = Trainer(net, loss=loss, optimizer=optimizer, n_threads=1, verbose=0, **SETTINGS).fit(X, Y)
        prints[f"{output}+{loss}"] = [net.fingerprint(), history["train_loss"], float(net.outputs(X).sum())]
        nets[f"{output}+{loss}"] = [W.tolist() for W in net.weights]
    rng = np.random.default_rng(3)
    X = rng.standard_normal((150, 50)) * (rng.random((150, 50)) < 0.12)  # zeros are left out, by tiles of any height
    for hidden, settings in [(20, SETTINGS), (90, SETTINGS), (120, SETTINGS), (120, {"batch_size": 7})]:
        net = MLP([50, hidden, 3], seed=1)
        settings = {"optimizer": SGD(0.05)} | settings
        history = Trainer(net, n_threads=1, verbose=0, **settings).fit(X, rng.integers(0, 3, 150))
        name = f"zeros into {hidden}, {settings['batch_size']} at a time"
        prints[name] = [net.fingerprint(), history["train_loss"], float(net.outputs(X).sum())]
    X = rng.integers(0, 256, (150, 50), dtype=np.uint8) * (rng.random((150, 50)) < 0.12)  # a narrow layer keeps bytes
    for hidden, dtype in [(5, "float64"), (14, "float32")]:
        net = MLP([50, hidden, 3], dtype=dtype, seed=1)
        history = Trainer(net, n_threads=1, verbose=0, batch_size=70).fit(X, rng.integers(0, 3, 150))
        prints[f"bytes into {hidden}"] = [net.fingerprint(), history["train_loss"], float(net.outputs(X).sum())]
    return {"vector_bytes": target.VECTOR_BYTES, "prints": prints, "weights": nets}


@pytest.fixture(scope="module")
def trained_on(tmp_path_factory):
    def train(cpu: str) -> dict:
        name, features, vector_bytes = CPUS[cpu]
        environment = os.environ | {
            "NUMBA_CPU_NAME": name,
            "NUMBA_CPU_FEATURES": features,
            "FASTNN_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        }
        here = os.path.dirname(__file__)
        folders = [here, os.path.dirname(here), os.path.dirname(os.path.dirname(here))]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, json.dumps(folders)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["vector_bytes"] == vector_bytes
        return found

    return train


@pytest.mark.skipif(not target.HAS_FMA, reason="this CPU has no fused multiply-add, on which the bits rest")
def test_bits_on_avx2_are_those_of_this_cpu(trained_on):
    assert trained_on("AVX2")["prints"] == train_all()["prints"]


@pytest.mark.slow
@pytest.mark.skipif("avx512vl" not in target.FEATURES, reason="this CPU has no AVX-512")
def test_bits_on_an_older_avx512_are_those_of_this_cpu(trained_on):
    assert trained_on("AVX-512")["prints"] == train_all()["prints"]


def test_the_portable_code_agrees_with_the_oracle(trained_on):
    found = trained_on("portable")
    here = train_all()["prints"]
    names = [name for name in here if name.startswith("zeros into")]
    assert len(names) == 4
    for name in names:
        losses = (np.array(prints[name][1], "float32") for prints in (found["prints"], here))
        assert_close(*losses, "float32", name, terms=10 * 1024)
    for output, loss in HEADS:
        X, Y = problem(output, 133)
        reference = ReferenceNet(
            SIZES, ["gelu", "tanh", "elu"], output, loss, *parameters(SIZES, seed=1), SETTINGS["l1"], SETTINGS["l2"]
        )
        settings = {k: v for k, v in SETTINGS.items() if k not in ("l1", "l2", "max_epochs")}
        replay(reference, X, Y, [[0.05] * 5] * 2, momentum=0.9, nesterov=True, shuffle=True, **settings)
        weights = [np.array(W, np.float32) for W in found["weights"][f"{output}+{loss}"]]
        assert_close(weights, reference.weights, "float32", f"{output}+{loss}", terms=10 * 1024)
