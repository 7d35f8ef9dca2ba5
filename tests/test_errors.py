"""What a command says of a mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from foodkd.errors import FoodkdError, run_command

ROOT = Path(__file__).resolve().parent.parent


def test_a_mistake_is_one_sentence_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    def mistaken() -> None:
        raise FoodkdError("Two words\nare wrong.")

    with pytest.raises(SystemExit) as ended:
        run_command(mistaken)
    assert ended.value.code == 1 and capsys.readouterr().err == "foodkd: Two words are wrong.\n"


def test_what_the_system_refuses_is_one_sentence_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_command(lambda: (tmp_path / "none/file").read_text())
    assert capsys.readouterr().err == f"foodkd: No such file or directory: {tmp_path / 'none/file'}.\n"


def test_an_error_of_ours_stays_a_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_every_benchmark_ends_in_a_sentence(name: str) -> None:
    assert (ROOT / f"benchmarks/{name}.py").read_text(encoding="utf-8").endswith("\n    run_command(main)\n")


def test_a_benchmark_says_what_is_missing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.reduction",
        tmp_path / "none",
        "--data",
        tmp_path,
        "--out",
        tmp_path / "o",
    ]
    ended = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("foodkd: ") and str(tmp_path / "none") in ended.stderr
