"""ckpt-avg, ckpt-freeze and ckpt-onnx of directories as a person runs them."""

import shutil

import pytest
import torch

from britekit.cli import main
from britekit.models.checkpoint import load_checkpoint
from tests.models.test_averaging import save


class Evil:
    def __reduce__(self):
        return print, ("executed",)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    made = tmp_path_factory.mktemp("three")
    for k in range(3):
        save(made / f"v0-e{k}.ckpt", seed=k)
    return made


@pytest.fixture
def folder(three, tmp_path):
    return shutil.copytree(three, tmp_path / "ckpts")


def said(capsys):
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return printed.out, printed.err


def test_average_is_never_its_own_input(folder, capsys):
    assert main(["ckpt-avg", "-i", str(folder)]) == 0
    first = load_checkpoint(folder / "average.ckpt").recognizer.state_dict()
    assert main(["ckpt-avg", "-i", str(folder)]) == 0
    second = load_checkpoint(folder / "average.ckpt").recognizer.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert said(capsys)[0].count("averaged = 3") == 2


@pytest.mark.parametrize("case", ["missing", "file", "empty", "one", "evil", "classes", "output", "input", "cut"])
def test_average_in_one_sentence(folder, capsys, case):
    target, output = folder, folder / "average.ckpt"
    if case == "missing":
        target = folder / "none"
    elif case == "file":
        target = folder / "v0-e0.ckpt"
    elif case == "empty":
        target = folder / "empty"
        target.mkdir()
    elif case == "one":
        for path in sorted(folder.glob("*.ckpt"))[1:]:
            path.unlink()
    elif case == "evil":
        torch.save({"state_dict": {}, "boom": Evil()}, folder / "v0-e9.ckpt")
    elif case == "classes":
        save(folder / "v0-e9.ckpt", names=("a", "z"))
    elif case == "output":
        output = folder / "average.txt"
    elif case == "input":  # which would be missing from the average, and then lost
        output = folder / "v0-e1.ckpt"
    elif case == "cut":
        data = (folder / "v0-e1.ckpt").read_bytes()
        (folder / "v0-e1.ckpt").write_bytes(data[: len(data) // 2])
    assert main(["ckpt-avg", "-i", str(target), "-o", str(output)]) == 1
    out, err = said(capsys)
    assert err.startswith("Error: ") and err.count("\n") == 1
    assert "executed" not in out
    assert output.exists() == (case == "input")


def test_freeze_a_directory_with_one_that_is_damaged(folder, capsys):
    (folder / "v0-e1.ckpt").write_bytes(b"nothing")
    assert main(["ckpt-freeze", "-i", str(folder)]) == 1
    out, err = said(capsys)
    assert out.count("bytes became") == 2
    assert "v0-e1.ckpt" in err and "1 of 3 checkpoints failed" in err
    assert (folder / "v0-e1.ckpt").read_bytes() == b"nothing"
    assert sorted(p.name for p in folder.glob("*.original")) == [
        "v0-e0.ckpt.original", "v0-e2.ckpt.original",
    ]  # fmt: skip
    (folder / "v0-e1.ckpt").unlink()
    assert main(["ckpt-freeze", "-i", str(folder)]) == 0
    out, _ = said(capsys)
    assert out.count("skipped") == 2 and "frozen = 0" in out


def test_freeze_one_and_what_is_none(folder, capsys):
    assert main(["ckpt-freeze", "-i", str(folder / "v0-e0.ckpt")]) == 0
    assert "frozen = 1" in said(capsys)[0]
    torch.save({"state_dict": {}, "boom": Evil()}, folder / "evil.ckpt")
    assert main(["ckpt-freeze", "-i", str(folder / "evil.ckpt")]) == 1
    out, err = said(capsys)
    assert "could run code" in err and "executed" not in out
    assert not (folder / "evil.ckpt.original").exists()


def test_onnx_of_a_directory_finishes_the_others(folder, capsys):
    torch.save({"state_dict": {}, "boom": Evil()}, folder / "v0-e1.ckpt")
    assert main(["ckpt-onnx", "-i", str(folder)]) == 1
    out, err = said(capsys)
    assert sorted(p.name for p in folder.glob("*.onnx")) == ["v0-e0.onnx", "v0-e2.onnx"]
    assert "could run code" in err and "1 of 3 checkpoints failed" in err
    assert out.count("largest difference") == 2 and "executed" not in out
