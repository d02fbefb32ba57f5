"""Model files: what is written reads back exactly, whole or not at all; all else is refused in a sentence."""

from __future__ import annotations

import copy
import errno
import json
import os
import stat
import struct

import numpy as np
import pytest
import safetensors.numpy

from fastnn import _files
from fastnn.engine import model_file
from fastnn.engine.model_file import ModelFileError, load_model, save_model

SIZES = [3, 4, 2]


def arrays(dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = {"0.weight": (3, 4), "0.bias": (4,), "1.weight": (4, 2), "1.bias": (2,)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def meta(**changes):
    return {
        "version": "0.1.0",
        "sizes": SIZES,
        "activations": ["relu"],
        "output": "softmax",
        "dtype": "float32",
        "classes": np.array(["no", "yes"]),
        "input_scale": 1 / 255,
        "input_offset": None,
        "seed": 0,
        **changes,
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


# What is written reads back.


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_read_back_bit_for_bit_in_the_order_of_the_layers(path, dtype):
    save_model(path, dict(reversed(arrays(dtype).items())), meta(dtype=dtype))
    found, _ = load_model(path)
    assert list(found) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    for name, expected in arrays(dtype).items():
        assert found[name].dtype == dtype
        assert np.array_equal(found[name], expected)
        found[name][...] = 0  # writable


def test_any_layout_in_memory_is_written_in_c_order(path):
    given = {name: np.asfortranarray(a).astype(">f4") for name, a in arrays().items()}
    save_model(path, given, meta())
    assert all(np.array_equal(a, given[name]) for name, a in load_model(path)[0].items())


@pytest.mark.parametrize(
    "classes",
    [
        np.array([7, 3]),
        np.array([-1, 1], dtype=np.int8),
        np.array([0, 2**64 - 1], dtype=np.uint64),
        np.array([0.1, 1e-300]),
        np.array([0.1, 2.0], dtype=np.float32),
        np.array([False, True]),
        np.array(["", "été 🙂"]),
        None,
    ],
    ids=str,
)
def test_classes_read_back_with_their_dtype(path, classes):
    save_model(path, arrays(), meta(classes=classes))
    found = load_model(path)[1]["classes"]
    if classes is None:
        assert found is None
    else:
        assert found.dtype == classes.dtype
        assert np.array_equal(found, classes)


def test_text_classes_lose_their_unused_width(path):
    save_model(path, arrays(), meta(classes=np.array(["a", "bc"], dtype="<U50")))
    assert load_model(path)[1]["classes"].dtype == "<U2"


def test_one_output_may_have_two_classes(path):
    tensors = {"0.weight": np.ones((3, 1), np.float32), "0.bias": np.zeros(1, np.float32)}
    save_model(path, tensors, meta(sizes=[3, 1], activations=[], output="logistic"))
    assert list(load_model(path)[1]["classes"]) == ["no", "yes"]


@pytest.mark.parametrize("scaling", [None, 0.1 + 0.2, 2, np.array([0.1, 1e-300, -3.0])], ids=str)
def test_scaling_reads_back(path, scaling):
    save_model(path, arrays(), meta(input_scale=scaling, input_offset=scaling))
    found = load_model(path)[1]
    for key in ("input_scale", "input_offset"):
        assert type(found[key]) is (float if isinstance(scaling, int) else type(scaling))
        assert np.array_equal(found[key], scaling)


def test_other_metadata_reads_back(path):
    save_model(path, arrays(), meta(seed=None))
    found = load_model(path)[1]
    expected = meta(seed=None)
    for key in ("version", "sizes", "activations", "output", "dtype", "seed"):
        assert found[key] == expected[key]


def test_plain_safetensors_reads_it(path):
    save_model(path, arrays(), meta())
    found = safetensors.numpy.load_file(path)
    assert all(np.array_equal(found[name], a) for name, a in arrays().items())


def test_the_same_content_gives_the_same_bytes(path):
    save_model(path, arrays(), meta())
    first = path.read_bytes()
    save_model(str(path), dict(reversed(arrays().items())), dict(reversed(meta().items())))
    assert path.read_bytes() == first


# It is written whole or not at all.


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch, call, error):
    path.write_bytes(b"old")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, call, fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else ModelFileError
    with pytest.raises(expected) as caught:
        save_model(path, arrays(), meta())
    if expected is ModelFileError:
        assert str(caught.value) == f"cannot write model file {str(path)!r}: No space left on device"
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_file_is_synced_before_it_is_renamed_and_the_folder_after(path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor):
        calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def record_replace(source, target):
        calls.append("rename")
        assert os.path.dirname(source) == os.path.dirname(target)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    _files.replace_file(path, b"new")
    assert calls == (["file", "rename", "folder"] if os.name == "posix" else ["file", "rename"])
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_the_file_has_the_usual_permissions_and_a_link_stays_a_link(tmp_path):
    plain, link, target = tmp_path / "plain", tmp_path / "link", tmp_path / "target"
    plain.touch()
    link.symlink_to(target)
    _files.replace_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode == plain.stat().st_mode


def test_an_unwritable_place_gets_a_sentence(tmp_path):
    with pytest.raises(ModelFileError, match=r"cannot write model file .*absent.*: No such file or directory"):
        save_model(tmp_path / "absent" / "model", arrays(), meta())
    with pytest.raises(ModelFileError, match=r"cannot write model file .*: Is a directory"):
        save_model(tmp_path, arrays(), meta())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dtype": "float64"}, r"0.weight must be of F64, it is of 'F32'"),
        ({"sizes": [3, 5, 2]}, r"0.weight must have the shape \[3, 5\], as sizes say, it has \[3, 4\]"),
        ({"activations": []}, "activations must be 1, one per hidden layer"),
        ({"classes": np.array([1, 2, 3])}, "classes must be a list of 2 for 2 outputs"),
        ({"classes": np.array([1, 1])}, r"classes \[1, 1\] are not all different"),
        ({"classes": np.array([1, "a"], dtype=object)}, r"classes_dtype '\|O' does not fit"),
        ({"classes": np.array([1.0, np.nan])}, "metadata that JSON cannot hold: Out of range float"),
        ({"input_scale": np.ones(4)}, "input_scale must be null, a number or 3 numbers"),
        ({"seed": 1.5}, "seed must be a whole number or null, it is 1.5"),
    ],
)
def test_what_could_not_be_read_is_not_written(path, change, sentence):
    with pytest.raises(ModelFileError, match=sentence):
        save_model(path, arrays(), meta(**change))
    assert not path.exists()


def test_weights_that_are_not_finite_are_not_written(path):
    bad = arrays()
    bad["1.bias"][1] = np.nan
    with pytest.raises(ModelFileError, match=r"cannot write .*: 1.bias holds NaN or infinity"):
        save_model(path, bad, meta())


# Anything that is not a whole model file is refused.


def parts(path):
    """Return header, fastnn's metadata and data of the good file at `path`."""
    content = path.read_bytes()
    (n,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + n])
    return header, json.loads(header["__metadata__"]["fastnn"]), content[8 + n :]


def write(path, header, data, fastnn=None):
    if fastnn is not None:
        header["__metadata__"]["fastnn"] = fastnn if isinstance(fastnn, str) else json.dumps(fastnn)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def good(path):
    save_model(path, arrays(), meta())
    return path


def refused(path, sentence):
    with pytest.raises(ModelFileError, match=sentence) as caught:
        load_model(path)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_no_file_a_folder_and_a_pipe(tmp_path):
    refused(tmp_path / "absent", "cannot read model file '.*absent': No such file or directory")
    refused(tmp_path, "is not a usable model file: it is a folder or a device")
    refused("a\0b", "cannot read model file .*null")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        refused(tmp_path / "pipe", "it is a folder or a device")


def test_a_file_that_may_not_be_read(good, monkeypatch):
    def deny(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", deny)
    with pytest.raises(ModelFileError, match=r"cannot read model file .*: Permission denied"):
        load_model(good)


def test_every_truncation_and_a_longer_file(good):
    content = good.read_bytes()
    for n in range(len(content)):
        good.write_bytes(content[:n])
        refused(good, "is not a usable model file")
    good.write_bytes(content + b"\0")
    refused(good, "its tensors take 104 bytes, but 105 follow the header")


def test_any_changed_byte_is_refused_or_leaves_a_consistent_model(good):
    content = good.read_bytes()
    rng = np.random.default_rng(1)
    n_refused = 0
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= int(rng.integers(1, 256))
        good.write_bytes(changed)
        try:
            found, found_meta = load_model(good)
        except ModelFileError:
            n_refused += 1
        else:
            shapes = [found[name].shape for name in arrays()]
            assert shapes == [(3, 4), (4,), (4, 2), (2,)]
            assert found_meta["sizes"] == SIZES
    assert n_refused > len(content) / 2  # most of the file is header and metadata


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "it is 0 bytes long, too short"),
        (struct.pack("<Q", 99) + b"\0" * 36, "would be 99 bytes, but 36 follow; it is cut off or foreign"),
        (b"\x80\x04\x95" + b"\xff" * 40, "above the limit of 16777216; it is foreign"),
        (struct.pack("<Q", 2) + b"{}", "it has no metadata of fastnn"),
        (struct.pack("<Q", 2) + b"[]", "its header is not a JSON object"),
        (struct.pack("<Q", 2) + b"{'", "its header is not JSON"),
        (struct.pack("<Q", 2) + b"\xff\xff", "its header is not JSON"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "its header is not JSON"),
        (struct.pack("<Q", 13) + b'{"a":1,"a":2}', "its header has a key twice"),
        (struct.pack("<Q", 9) + b'{"a":NaN}', "its header holds NaN"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_foreign_files(path, content, sentence):
    path.write_bytes(content)
    refused(path, sentence)


def test_safetensors_of_another_program(path):
    safetensors.numpy.save_file({"0.weight": np.zeros((2, 2), np.float32)}, path, metadata={"format": "pt"})
    refused(path, "it may be a safetensors file of another program")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("format", 2, "its format is 2, and this fastnn reads format 1; a newer fastnn may have written it"),
        ("sizes", "3, 4, 2", "sizes must be a list"),
        ("sizes", [3], "sizes must be a list of 2 to 10000 numbers"),
        ("sizes", [1] * 10_001, "sizes must be a list of 2 to 10000 numbers"),
        ("sizes", [3, 0, 2], "sizes must be whole numbers from 1"),
        ("sizes", [3, True, 2], "sizes must be whole numbers from 1"),
        ("sizes", [3, 4.0, 2], "sizes must be whole numbers from 1"),
        ("sizes", [3, 10**30, 2], "sizes must be whole numbers from 1"),
        ("sizes", [3, 2**30, 2], "0.weight must have the shape"),
        ("activations", None, "activations must be 1"),
        ("activations", [5], "activation 5 is none of identity, logistic, tanh"),
        ("activations", ["swish"], "activation 'swish' is none of identity, logistic, tanh"),
        ("output", ["softmax"], r"output \['softmax'\] is none of softmax, logistic, identity"),
        ("output", "soft", "output 'soft' is none of softmax, logistic, identity"),
        ("version", 1, "version must be text, it is 1"),
        ("version", "x" * 10**6, None),
        ("dtype", "float16", "dtype must be float32 or float64"),
        ("dtype", ["float32"], "dtype must be float32 or float64"),
        ("seed", True, "seed must be a whole number or null, it is True"),
        ("classes", {"a": 1}, "classes must be a list of 2"),
        ("classes", ["a", 1], "classes_dtype '<U3' does not fit"),
        ("classes", [1, 2], "classes_dtype '<U3' does not fit"),
        ("classes", ["a", "b"], "classes_dtype '<U3' does not fit"),
        ("classes", ["no", "yes\0"], "classes_dtype '<U3' does not fit"),
        ("classes", ["x" * 2**22 + str(i) for i in range(2)], "does not fit"),
        ("classes_dtype", "<U1000000000", "classes_dtype '<U1000000000' does not fit"),
        ("classes_dtype", "object", "classes_dtype 'object' does not fit"),
        ("classes_dtype", None, "classes_dtype None does not fit"),
        ("input_scale", True, "input_scale must hold numbers"),
        ("input_scale", [1, 2], "input_scale must be null, a number or 3 numbers"),
        ("input_scale", [1, 2, "3"], "input_scale must hold numbers"),
        ("input_offset", 10**400, "input_offset must be finite"),
    ],
)
def test_metadata_that_is_wrong(good, key, value, sentence):
    header, fastnn, data = parts(good)
    assert key in fastnn
    write(good, header, data, {**fastnn, key: value})
    if sentence is None:
        load_model(good)
    else:
        refused(good, sentence)


@pytest.mark.parametrize(
    ("dtype", "classes", "sentence"),
    [
        ("|u1", [0, 256], "are not all of |u1"),
        ("<i8", [0, 10**30], "are not all of <i8"),
        ("<i8", [0, True], "are not all of <i8"),
        ("<i8", [0, 1.0], "are not all of <i8"),
        ("|b1", [0, 1], "are not all of |b1"),
        ("<f8", [0, False], "are not all of <f8"),
        ("<f4", [0.0, 1e300], "are not all finite in <f4"),
        ("<f8", [0.5, 0.5], "are not all different"),
        ("<M8[s]", [0, 1], "does not fit"),
    ],
)
def test_classes_that_are_not_of_their_dtype(good, dtype, classes, sentence):
    header, fastnn, data = parts(good)
    write(good, header, data, {**fastnn, "classes_dtype": dtype, "classes": classes})
    refused(good, sentence.replace("|", r"\|"))


def test_labels_may_not_ask_for_more_memory_than_the_limit(good, monkeypatch):
    monkeypatch.setattr(model_file, "CLASSES_LIMIT", 23)
    refused(good, "its 2 labels of up to 3 characters pass the limit of 23 bytes")


@pytest.mark.parametrize("key", ["version", "sizes", "classes", "classes_dtype", "input_offset"])
def test_metadata_that_is_missing(good, key):
    header, fastnn, data = parts(good)
    del fastnn[key]
    write(good, header, data, fastnn)
    refused(good, f"its metadata lacks {key}")


@pytest.mark.parametrize("text", ["", "[1]", '{"format": Infinity}', '{"a": 1, "a": 1}', "{" * 10_000])
def test_metadata_that_is_no_json_object(good, text):
    header, _, data = parts(good)
    write(good, header, data, text)
    refused(good, "its metadata")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda h: h.pop("1.bias"), "it lacks tensor '1.bias'"),
        (lambda h: h.update({"2.bias": h["1.bias"]}), "it has the unknown tensor '2.bias'"),
        (
            lambda h: h.update({"1.bias": 3}),
            "the entry of 1.bias must have dtype, shape and data_offsets, it is 3",
        ),
        (lambda h: h["1.bias"].update(extra=1), "the entry of 1.bias must have"),
        (lambda h: h["1.bias"].update(dtype="F16"), "1.bias must be of F32, it is of 'F16'"),
        (
            lambda h: h["1.bias"].update(shape=[1, 2]),
            r"1.bias must have the shape \[2\], as sizes say, it has \[1, 2\]",
        ),
        (
            lambda h: h["1.bias"].update(data_offsets=[0]),
            r"1.bias must lie between two offsets, they are \[0\]",
        ),
        (lambda h: h["1.bias"].update(data_offsets=[0.0, 8.0]), r"they are \[0.0, 8.0\]"),
        (lambda h: h["1.bias"].update(data_offsets=[0, 9]), "1.bias must take 8 bytes"),
        (lambda h: h["1.bias"].update(data_offsets=[0, 8]), "must begin at byte .* it begins at 0"),
        (lambda h: h["1.bias"].update(data_offsets=[-8, 0]), "1.bias must begin at byte 0 of the data"),
        (lambda h: h["1.bias"].update(data_offsets=[2**62, 2**62 + 8]), "must begin at byte"),
    ],
)
def test_tensors_that_do_not_fit(good, change, sentence):
    header, _, data = parts(good)
    header = copy.deepcopy(header)
    change(header)
    write(good, header, data)
    refused(good, sentence)


def test_what_passes_our_checks_but_not_safetensors_is_refused_too(good):
    header, _, data = parts(good)
    header["__metadata__"]["number"] = 1
    write(good, header, data)
    refused(good, "safetensors cannot read it")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(good, value):
    header, _, data = parts(good)
    first, last = header["0.weight"]["data_offsets"]
    bad = np.frombuffer(data[first:last], "<f4").copy()
    bad[5] = value
    write(good, header, data[:first] + bad.tobytes() + data[last:])
    refused(good, "0.weight holds NaN or infinity")


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link"):
        with pytest.raises(ModelFileError, match=r"cannot write .*: it is a device or a pipe, not a file"):
            save_model(path, arrays(), meta())
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_disk_names_the_file_and_not_the_temporary_one(path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left on device") as caught:
        _files.replace_file(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
