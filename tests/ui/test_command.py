"""python app.py as a person starts it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "app.py"), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_missing_checkpoint_is_one_sentence_and_status_1(tmp_path):
    done = _run("--checkpoint", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_status_2():
    assert _run("--colour", "red").returncode == 2


def test_a_port_that_is_no_port_is_one_sentence(tiny_checkpoint):
    done = _run("--checkpoint", str(tiny_checkpoint), "--port", "99999999")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
