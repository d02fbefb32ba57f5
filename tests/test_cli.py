"""The command `fastnn`: results on standard output, sentences on standard error, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import commands
import numpy as np
import pytest
from commands import run, start

import fastnn
from fastnn import _machine_code
from fastnn.cli import main
from fastnn.engine import matrix_unit
from fastnn.simd import target

QUICK = ["--hidden", "16", "--epochs", "2", "--verbose", "0"]

folder = commands.folder


@pytest.fixture
def model() -> str:
    """A model of the digits, quickly trained."""
    assert main(["train", "digits", *QUICK, "--save", "model.safetensors"]) == 0
    return "model.safetensors"


def write_iris(path, rows: int = 150) -> str:
    """A CSV file with features of very different size and text labels, header included."""
    from sklearn.datasets import load_iris

    data = load_iris()
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "species"])
        for x, y in zip(data.data[:rows].tolist(), data.target[:rows], strict=True):
            writer.writerow([1e6 * x[0], x[1], x[2], 1e-3 * x[3], data.target_names[y]])
    return str(path)


def test_train_digits_with_defaults_is_good_and_quick(capsys, folder):
    code, out, _ = run(capsys, "train", "digits", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["part"] == "test" and report["n_samples"] == 450
    assert report["accuracy"] >= 0.97
    assert report["f1_macro"] >= 0.97
    assert report["seconds"] < 5
    assert len(report["history"]) == report["epochs"] == 30
    net = fastnn.load(folder / "digits.safetensors")
    assert net.fingerprint() == report["fingerprint"]


def test_train_says_what_a_person_wants_to_know(capsys):
    code, out, err = run(capsys, "train", "digits", "--epochs", "3", "--verbose", "2")
    assert code == 0
    for name in ("test accuracy", "macro F1", "speed", "fingerprint", "saved"):
        assert name in out
    assert out.rstrip().endswith("fastnn predict digits.safetensors digits")
    assert err.count("epoch") == 3


def test_predict_after_train(capsys, model):
    code, out, _ = run(capsys, "predict", model, "digits")
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 0
    assert rows[0] == ["prediction"] and len(rows) == 451
    assert {row[0] for row in rows[1:]} <= set("0123456789")


def test_predict_writes_probabilities_that_belong_to_the_predictions(capsys, model):
    code, out, _ = run(capsys, "predict", model, "digits", "--proba")
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 0
    assert rows[0] == ["prediction", *(f"probability_{k}" for k in range(10))]
    values = np.array(rows[1:], float)
    np.testing.assert_allclose(values[:, 1:].sum(axis=1), 1, rtol=1e-5)
    assert (values[:, 1:].argmax(axis=1) == values[:, 0]).all()


def test_predict_for_kaggle_to_a_file(capsys, folder, model):
    code, out, err = run(capsys, "predict", model, "digits", "--kaggle", "--output", "submission.csv")
    lines = (folder / "submission.csv").read_text().splitlines()
    assert code == 0 and out == "" and "450 predictions" in err
    assert lines[0] == "ImageId,Label" and lines[1].startswith("1,") and lines[-1].startswith("450,")


def test_predict_json(capsys, model):
    code, out, err = run(capsys, "predict", model, "digits", "--json", "--proba", "--part", "train")
    document = json.loads(out)
    assert code == 0 and err == ""
    assert document["part"] == "training" and len(document["predictions"]) == document["n_samples"] == 1347
    assert document["classes"] == list(range(10)) and len(document["probabilities"][0]) == 10


def test_evaluate_agrees_with_train(capsys):
    _, out, _ = run(capsys, "train", "digits", *QUICK, "--json")
    trained = json.loads(out)
    code, out, _ = run(capsys, "evaluate", "digits.safetensors", "digits", "--json")
    scores = json.loads(out)
    assert code == 0
    assert [scores[k] for k in ("loss", "accuracy", "f1_macro")] == [
        trained[k] for k in ("loss", "accuracy", "f1_macro")
    ]
    code, out, _ = run(capsys, "evaluate", "digits.safetensors", "digits")
    assert code == 0 and "test accuracy" in out


def test_csv_with_text_labels_and_features_of_any_size(capsys, folder):
    path = write_iris(folder / "iris.csv")
    code, out, _ = run(capsys, "train", path, "--label", "species", "--hidden", "16", "--epochs", "60", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["part"] == "validation" and report["n_samples"] == 15
    assert report["model"] == "iris.safetensors"
    code, out, _ = run(capsys, "evaluate", "iris.safetensors", path, "--label", "species", "--json")
    assert json.loads(out)["accuracy"] > 0.9
    code, out, _ = run(capsys, "predict", "iris.safetensors", path, "--label", "species")
    assert out.splitlines()[:2] == ["prediction", "setosa"]


def test_regression(capsys, folder):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 3))
    np.savez(folder / "line.npz", X=X, y=X @ [1.0, -2.0, 0.5])
    options = ["--output", "identity", "--hidden", "none", "--learning-rate", "0.05"]
    code, out, _ = run(capsys, "train", "line.npz", *options, "--json")
    assert code == 0
    assert json.loads(out)["r2"] > 0.999
    assert run(capsys, "evaluate", "line.safetensors", "line.npz")[0] == 0
    code, out, _ = run(capsys, "predict", "line.safetensors", "line.npz")
    assert code == 0 and out.startswith("prediction\n")
    assert run(capsys, "predict", "line.safetensors", "line.npz", "--proba")[0] == 2
    code, _, err = run(capsys, "train", "line.npz")
    assert code == 2 and "give --output identity" in err


def test_two_classes_with_one_logistic_output(capsys, folder):
    path = write_iris(folder / "two.csv", rows=100)
    code, out, _ = run(capsys, "train", path, "--label", "4", "--output", "logistic", "--json", "--verbose", "0")
    assert code == 0 and json.loads(out)["accuracy"] == 1
    assert fastnn.load("two.safetensors").sizes[-1] == 1
    code, out, _ = run(capsys, "predict", "two.safetensors", path, "--label", "4", "--proba")
    assert code == 0 and out.startswith("prediction,probability_versicolor\nsetosa,")


def test_config_file_and_command_line(capsys, folder):
    (folder / "run.toml").write_text('hidden = [8]\nepochs = 4\nactivation = "tanh"\nverbose = 0\n')
    code, out, _ = run(capsys, "train", "digits", "--config", "run.toml", "--epochs", "2", "--json")
    report = json.loads(out)
    net = fastnn.load("digits.safetensors")
    assert code == 0 and report["epochs"] == 2
    assert net.sizes == [64, 8, 10] and net.activations == ["tanh"]


def test_every_hyperparameter_reaches_the_trainer(capsys, folder):
    options = (
        "--hidden 12,9 --activation tanh,silu --init glorot --dtype float64 --scaling standard --seed 3 "
        "--loss mse --learning-rate 0.02 --momentum 0.8 --nesterov --schedule exponential(0.9) "
        "--batch-size 50 --epochs 3 --no-shuffle --l1 1e-6 --l2 1e-5 --dropout 0.1,0.2 --input-dropout 0.05 "
        "--max-norm 4 --threads 2 --validation 0.2 --patience 9 --csv-log log.csv --verbose 0 --json "
        "--checkpoint best-{epoch}.safetensors --save here.safetensors"
    )
    code, out, _ = run(capsys, "train", "digits", *options.split())
    report = json.loads(out)
    assert code == 0 and report["part"] == "test"
    assert report["history"][-1]["learning_rate"] == pytest.approx(0.02 * 0.81)
    assert len((folder / "log.csv").read_text().splitlines()) == 4
    assert list(folder.glob("best-*.safetensors"))
    net = fastnn.load("here.safetensors")
    assert (net.sizes, net.activations, net.dtype) == ([64, 12, 9, 10], ["tanh", "silu"], np.float64)


def test_the_test_part_chooses_nothing_unless_asked(capsys):
    _, out, _ = run(capsys, "train", "digits", *QUICK, "--json")
    watched = json.loads(out)["history"][-1]["val_accuracy"]
    assert watched == json.loads(out)["accuracy"]  # watched: the test part itself
    _, out, _ = run(capsys, "train", "digits", *QUICK, "--json", "--patience", "2")
    assert json.loads(out)["history"][-1]["val_accuracy"] * 135 % 1 == pytest.approx(0, abs=1e-9)
    _, out, _ = run(capsys, "train", "digits", *QUICK, "--json", "--patience", "2", "--validation", "0")
    assert json.loads(out)["history"][-1]["val_accuracy"] * 450 % 1 == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["required: COMMAND", "fastnn --help"]),
        (["train"], ["required: DATA", "fastnn train --help"]),
        (["trian", "digits"], ["invalid choice: 'trian'", "did you mean train?"]),
        (["train", "digits", "--hiden", "3"], ["--hiden 3; did you mean --hidden?; see fastnn train --help"]),
        (["train", "digits", "other"], ["unrecognized arguments: other; see fastnn train --help"]),
        (["train", "digits", "--epochs", "0"], ["--epochs must be at least 1, got 0"]),
        (["train", "digits", "--hidden", "8,0"], ["--hidden must be at least 1, got 0"]),
        (["train", "digits", "--batch-size", "0"], ["--batch-size must be at least 1, got 0"]),
        (["train", "digits", "--learning-rate", "-1"], ["--learning-rate must be above 0, got -1"]),
        (["train", "digits", "--dropout", "1"], ["--dropout must be below 1, got 1"]),
        (["train", "digits", "--activation", "relo"], ["--activation", "did you mean 'relu'?"]),
        (["train", "digits", "--optimizer", "adam"], ["--optimizer must be one of sgd, got 'adam'"]),
        (["train", "digits", "--scaling", "max"], ["--scaling must be one of auto, minmax, standard, none"]),
        (["train", "digits", "--output", "identity", "--loss", "cross_entropy"], ["makes no sense"]),
        (["train", "digits", "--validation", "1"], ["--validation must be below 1, got 1"]),
        (["predict", "m", "digits", "--kaggle", "--proba"], ["not allowed with"]),
        (["evaluate", "MODEL", "digits", "--part", "some"], ["--part"]),
    ],
)
def test_bad_usage_is_2_and_one_sentence(capsys, folder, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == "" and err.count("\n") == 1 and err.startswith("fastnn: ")
    for word in words:
        assert word in err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "digitz"], ["'digitz'", "did you mean 'digits'"]),
        (["train", "none.csv"], ["none.csv"]),
        (["train", "digits", "--label", "y"], ["label='y'"]),
        (
            ["train", "digits", "--save", "no/folder/m.safetensors"],
            ["there is no folder no/folder", "--save"],
        ),
        (["train", "digits", "--save", "."], [". is a folder"]),
        (["train", "digits", "--save", ""], [". is a folder"]),
        (["train", "digits", "--csv-log", "no/log.csv"], ["there is no folder no", "--csv-log"]),
        (["train", "digits", "--validation", "0.001"], ["--validation"]),
        (
            ["train", "digits", "--verbose", "0", "--learning-rate", "1e8"],
            ["NaN or infinite", "learning_rate"],
        ),
        (["predict", "none.safetensors", "digits"], ["none.safetensors"]),
        (["evaluate", "none.safetensors", "digits"], ["none.safetensors"]),
    ],
)
def test_a_failed_job_is_1_and_one_sentence(capsys, folder, arguments, words):
    code, out, err = run(capsys, *arguments)
    assert code == 1
    sentences = [line for line in err.splitlines() if "compiling" not in line]
    assert out == "" and len(sentences) == 1 and sentences[0].startswith("fastnn: ")
    for word in words:
        assert word in err
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_written_is_noticed_before_the_data_are_loaded(capsys, monkeypatch):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    monkeypatch.setattr("fastnn.datasets.load", lambda *_, **__: pytest.fail("data loaded"))
    code, _, err = run(capsys, "train", "digits")
    assert code == 1
    assert err == "fastnn: digits.safetensors cannot be written: Read-only file system; choose another --save\n"


def test_data_of_another_shape_is_a_sentence(capsys, folder, model):
    np.savez(folder / "other.npz", X=np.zeros((3, 5)))
    code, _, err = run(capsys, "predict", model, "other.npz")
    assert code == 1 and "64 features" in err
    code, _, err = run(capsys, "evaluate", model, "other.npz")
    assert code == 1 and "has no labels" in err


@pytest.mark.parametrize("command", ["describe", "train", "evaluate", "predict", "info", "warmup"])
def test_help(capsys, command):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0 and out.startswith(f"usage: fastnn {command}") and "--json" in out
    assert main(["--help"]) == 0


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"fastnn {fastnn.__version__}\n", "")


def test_info(capsys):
    code, out, _ = run(capsys, "info", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["versions"]["fastnn"] == fastnn.__version__
    assert document["threads"]["default"] >= 1
    assert set(document["tile"]) == {"float32", "float64"}
    assert document["matrix_unit"] is matrix_unit.is_allowed()
    code, out, _ = run(capsys, "info")
    assert code == 0 and "tile float32" in out and "cache" in out


def test_warmup(capsys):
    code, out, _ = run(capsys, "warmup", "--dtype", "float32", "--json")
    document = json.loads(out)
    assert code == 0 and list(document["seconds"]) == ["float32"] and document["seconds"]["float32"] > 0
    code, out, _ = run(capsys, "warmup", "--dtype", "float32")
    assert code == 0 and out.startswith("float32")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_keeps_its_model(folder, signum):
    with start("train", "digits", "--epochs", "1000000", "--verbose", "2") as process:
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    last = err.splitlines()[-1]
    assert "interrupted after" in last and "digits.safetensors" in last
    assert "Traceback" not in err
    assert fastnn.load(folder / "digits.safetensors").classes.tolist() == list(range(10))


def test_ctrl_c_while_there_is_nothing_to_keep_is_130_and_a_word(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.datasets.load", interrupted)
    assert run(capsys, "train", "digits") == (130, "", "fastnn: interrupted\n")


def console_script() -> list[str]:
    """What pip makes of pyproject.toml's entry, for Python."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, function = project["scripts"]["fastnn"].partition(":")
    return ["-c", f"import sys; from {module} import {function}; sys.exit({function}())"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("entry", [["-m", "fastnn"], console_script()], ids=["module", "script"])
@pytest.mark.parametrize("module", ["argparse", "numpy", "llvmlite", "fastnn._files"])
def test_ctrl_c_during_the_imports_is_130_and_a_word(entry, module):
    arguments = [sys.executable, "-X", "importtime", *entry, "train", "digits", "--epochs", "1000000"]
    with commands.process(arguments, stderr=subprocess.PIPE, env=commands.environment()) as process:
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == module:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    # the end by the signal, which a shell calls 130 too, is Python's own: after eval has raised KeyboardInterrupt
    assert process.returncode in (130, -signal.SIGINT)
    assert [line for line in err.splitlines() if not line.startswith("import time:")] == ["fastnn: interrupted"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_command_in_the_background_of_a_shell_still_ignores_ctrl_c():
    code = "import signal; from fastnn.__main__ import main; signal.signal(signal.SIGINT, signal.SIG_IGN); main()"
    arguments = [sys.executable, "-c", f"{code}; print(signal.getsignal(signal.SIGINT).name)", "--version"]
    done = subprocess.run(arguments, capture_output=True, text=True, env=commands.environment(), check=True)
    assert done.stdout.split() == ["fastnn", fastnn.__version__, "SIG_IGN"]


def test_a_training_that_is_stopped_in_its_first_epoch_replaces_no_model(folder, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastnn.cli.train.prepare_kernels", lambda dtype, matmul: 0.0)
    monkeypatch.setattr(fastnn.Trainer, "fit", interrupted)
    code, _, err = run(capsys, "train", "digits", "--save", "new.safetensors")
    assert code == 1 and "interrupted after 0 of 30 epochs; the model so far is in new.safetensors" in err
    before = (folder / "new.safetensors").read_bytes()
    code, _, err = run(capsys, "train", "digits", "--save", "new.safetensors", "--seed", "7")
    assert code == 1 and "interrupted after 0 of 30 epochs; new.safetensors is as it was" in err
    assert (folder / "new.safetensors").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_leaves_is_no_traceback(model):
    with start("predict", model, "digits", "--part", "train", "--proba") as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 1 and err == ""


@pytest.mark.parametrize("option", ["--csv-log", "--checkpoint"])
def test_a_log_or_checkpoint_that_can_no_longer_be_written_does_not_cost_the_training(
    capsys, folder, monkeypatch, option
):
    name = "CSVLogger" if option == "--csv-log" else "ModelCheckpoint"
    write = getattr(fastnn, name).on_epoch_end

    def fill_the_disk(self, epoch, logs):
        if epoch == 3:
            raise OSError(28, "No space left on device", self.path)
        write(self, epoch, logs)

    monkeypatch.setattr(getattr(fastnn, name), "on_epoch_end", fill_the_disk)
    code, out, err = run(capsys, "train", "digits", "--epochs", "9", "--verbose", "0", option, "here")
    assert code == 1 and out == ""
    assert err.splitlines()[-1] == (
        "fastnn: here: No space left on device, stopped after 4 of 9 epochs; the model so far is in digits.safetensors"
    )
    assert fastnn.load(folder / "digits.safetensors").classes.tolist() == list(range(10))


def test_a_log_that_cannot_be_begun_replaces_no_model(capsys, folder, model):
    before = (folder / model).read_bytes()
    (folder / "log").mkdir()
    (folder / "log" / "link.csv").symlink_to(folder / "nowhere" / "log.csv")
    code, _, err = run(capsys, "train", "digits", *QUICK, "--save", model, "--csv-log", "log/link.csv")
    assert code == 1 and "log/link.csv" in err
    assert (folder / model).read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
@pytest.mark.parametrize(
    "arguments", [["train", "digits", "--save"], ["train", "digits", "--csv-log"], ["predict", "m", "digits", "-o"]]
)
def test_a_device_is_no_place_for_a_file(capsys, arguments):
    code, _, err = run(capsys, *arguments, os.devnull)
    assert code == 1
    assert f"{os.devnull} is a device or a pipe, not a file; choose another --" in err


@pytest.mark.skipif(os.name != "posix", reason="descriptors of POSIX")
@pytest.mark.parametrize("closed", [1, 2])
def test_closed_standard_streams_are_no_traceback(model, closed):
    command = [sys.executable, "-m", "fastnn", "predict", model, "digits"]
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}>&-', *command]
    done = subprocess.run(shell, capture_output=True, text=True, env=commands.environment(), timeout=60)
    assert done.returncode == 0 and "Traceback" not in done.stdout + done.stderr
    assert done.stderr == "" and bool(done.stdout) == (closed == 2)


def test_labels_that_standard_output_cannot_show_are_a_sentence(folder):
    np.savez("t.npz", X=np.eye(40), y=["\u4e09", "b"] * 20)
    assert main(["train", "t.npz", *QUICK]) == 0
    arguments = [sys.executable, "-m", "fastnn", "predict", "t.safetensors", "t.npz"]
    environment = commands.environment() | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fastnn: standard output cannot show '\\u4e09' in cp1252; set PYTHONIOENCODING=utf-8\n"


def test_without_a_home_folder_there_is_a_sentence(capsys, monkeypatch):
    def refuse(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", classmethod(refuse))
    for name in ("FASTNN_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_machine_code, "cache_folder", _machine_code.cache_folder.__wrapped__)
    code, out, _ = run(capsys, "info")
    assert code == 0 and "set FASTNN_CACHE_DIR to a private folder" in out


@pytest.mark.skipif("fma" not in target.cpu_features(), reason="other bits without fma")
def test_the_fingerprint_of_the_readme_is_that_of_the_demo(capsys):
    _, out, _ = run(capsys, "train", "digits", "--verbose", "0", "--json")
    readme = Path(__file__).parents[1] / "README.md"
    assert json.loads(out)["fingerprint"] in readme.read_text(encoding="utf-8")
