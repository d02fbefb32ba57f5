"""The settings of `fastnn train`: their text, their TOML, and which of them wins."""

from __future__ import annotations

import argparse

import pytest

from fastnn.cli.options import BY_NAME, OPTIONS, UsageError, resolve, usage


def parse(*arguments: str) -> dict:
    parser = argparse.ArgumentParser()
    for options in OPTIONS.values():
        for option in options:
            option.add_to(parser)
    return resolve(vars(parser.parse_args(arguments)), None)


def write(folder, text: str) -> str:
    path = folder / "run.toml"
    path.write_text(text)
    return str(path)


def test_every_default_is_there_when_nothing_is_given():
    assert parse() == {name: option.default for name, option in BY_NAME.items()}


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("--hidden 300,100", "hidden", [300, 100]),
        ("--hidden none", "hidden", []),
        ("--activation tanh", "activation", "tanh"),
        ("--activation tanh,relu", "activation", ["tanh", "relu"]),
        ("--learning-rate 1e-3", "learning_rate", 0.001),
        ("--batch-size 7", "batch_size", 7),
        ("--no-shuffle", "shuffle", False),
        ("--nesterov", "nesterov", True),
        ("--dropout 0.2,0.5", "dropout", [0.2, 0.5]),
        ("--max-norm 3", "max_norm", 3.0),
        ("--max-norm none", "max_norm", None),
        ("--threads none", "threads", None),
        ("--patience 4", "patience", 4),
        ("--label -1", "label", "-1"),
    ],
)
def test_text_becomes_a_value(arguments, name, value):
    assert parse(*arguments.split())[name] == value


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--batch-size", "1.5"], "--batch-size must be a whole number, got '1.5'"),
        (["--learning-rate", "fast"], "--learning-rate must be a number, got 'fast'"),
        (["--hidden", "10,x"], "--hidden must be sizes such as 256,64, or none, got '10,x'"),
    ],
)
def test_text_of_the_wrong_form_is_refused(arguments, sentence):
    with pytest.raises(UsageError) as caught:
        parse(*arguments)
    assert str(caught.value) == sentence


def test_toml_has_the_same_settings_in_its_own_types(tmp_path):
    config = write(
        tmp_path,
        'hidden = [30, 20]\nactivation = ["tanh", "relu"]\ninit = "uniform(-1, 1)"\nlearning_rate = 1\n'
        "shuffle = false\ndropout = 0.25\nlabel = 3\nschedule = 'steps([10, 20], 0.1)'\n",
    )
    settings = resolve({}, config)
    assert settings["hidden"] == [30, 20]
    assert settings["activation"] == ["tanh", "relu"]
    assert settings["init"] == "uniform(-1, 1)"
    assert settings["learning_rate"] == 1.0
    assert settings["shuffle"] is False
    assert settings["dropout"] == 0.25
    assert settings["label"] == "3"
    assert settings["schedule"] == "steps([10, 20], 0.1)"


def test_command_line_wins_over_file_and_file_over_default(tmp_path):
    config = write(tmp_path, "epochs = 3\nbatch_size = 5\nshuffle = false\n")
    settings = resolve({"epochs": "9", "shuffle": True}, config)
    assert (settings["epochs"], settings["batch_size"], settings["shuffle"]) == (9, 5, True)
    assert settings["momentum"] == BY_NAME["momentum"].default


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("learning_rat = 0.1", ["unknown key 'learning_rat'", "did you mean 'learning_rate'?"]),
        ("learning-rate = 0.1", ["unknown key 'learning-rate'", "did you mean 'learning_rate'?"]),
        ("zzzz = 1", ["unknown key 'zzzz'", "it may have hidden, activation"]),
        ("epochs = 'many'", ["epochs must be a whole number, got 'many'"]),
        ("epochs = true", ["epochs must be a whole number, got True"]),
        ("epochs = [1, 2]", ["epochs must be a whole number, got [1, 2]"]),
        ("shuffle = 1", ["shuffle must be true or false, got 1"]),
        ("[training]\nepochs = 1", ["unknown key 'training'"]),
        ("epochs = = 1", ["is not TOML"]),
    ],
)
def test_a_bad_file_is_refused_with_its_name(tmp_path, text, parts):
    config = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        resolve({}, config)
    for part in [config, *parts]:
        assert part in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"--config .*none\.toml cannot be read: No such file"):
        resolve({}, str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("engine", "shown"),
    [
        ("max_epochs must be at least 1, got 0", "--epochs must be at least 1, got 0"),
        ("learning_rate must be above 0", "--learning-rate must be above 0"),
        ("weights must fit", "weights must fit"),
    ],
)
def test_sentences_of_the_engine_name_the_option(engine, shown):
    with pytest.raises(UsageError) as caught, usage():
        raise ValueError(engine)
    assert str(caught.value) == shown
