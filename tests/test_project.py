"""What the files around the code promise: pins, README, the import road, tidiness."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RUN = "pip install -r requirements.txt && python app.py"
TEST = "pip install -r requirements.txt && python -m pytest"

# Imported name -> distribution, where they differ. gradio pins its client, and pytest cannot do without packaging.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "pytorch_grad_cam": "grad-cam",
    "gradio_client": "gradio",
    "mcp": "gradio",  # its extra
    "axe_playwright_python": "axe-playwright-python",
    "packaging": "pytest",
}
# Pinned, though no line imports them: torch.utils.tensorboard does, and pytest.
IMPORTED_BY_OTHERS = {"tensorboard", "pytest-xdist"}
HEAVY = {"gradio", "pytorch_grad_cam", "matplotlib", "timm", "torchmetrics", "pandas", "sklearn", "scipy"}

# Imports run from the right to the left only; parts of one group don't know each other.
ROAD = (
    ("errors", "files"),
    ("data",),
    ("nets",),
    ("distill", "explain"),
    ("train",),
    ("export",),
    ("ui",),
    ("bench",),  # measures the app, too
    ("cli",),
    ("__main__",),
)

COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@cache
def tracked() -> tuple[Path, ...]:
    """Files under version control; in a copy without git, all files but the hidden and the generated ones."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        hidden = re.compile(r"(^|/)(\.(?!ci/|git(ignore|attributes)$)|__pycache__|runs/|data/|build/|dist/)")
        paths = [path for path in ROOT.rglob("*") if not hidden.search(path.relative_to(ROOT).as_posix())]
    return tuple(path for path in paths if path.is_file())


def python_files(*parts: str) -> list[Path]:
    return [p for p in tracked() if p.suffix == ".py" and p.relative_to(ROOT).parts[0] in parts]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(node: ast.AST) -> Iterator[str]:
    """Dotted names that a statement imports absolutely."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_start(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: no function bodies, nothing that only type checkers read."""
    for child in ast.iter_child_nodes(node):
        only_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if not only_types and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_start(child)


def third_party(paths: list[Path]) -> dict[str, Path]:
    """Top-level names of foreign imports -> a file that imports them."""
    beside = {path.stem for path in python_files("tests")}  # helpers that tests import from their own folder
    own = {"foodkd", "tests", "app", "benchmarks", "docs", *beside, *sys.stdlib_module_names}
    names = {name.split(".")[0]: path for path in paths for node in ast.walk(tree(path)) for name in imported(node)}
    return {name: path for name, path in names.items() if name not in own}


@cache
def pins() -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    found = {}
    for line in filter(None, lines):
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\d+(?:\.\d+)*)", line)
        assert match, f"requirements.txt: {line!r} is not an exact pin NAME==VERSION"
        found[match[1]] = match[2]
    return found


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.S | re.M)


def results_table_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "docs/results_table.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Requirements


def test_every_third_party_import_is_pinned() -> None:
    names = third_party(python_files("foodkd", "app.py", "tests", "docs", "benchmarks"))
    missing = {n: str(p.relative_to(ROOT)) for n, p in names.items() if DISTRIBUTIONS.get(n, n) not in pins()}
    assert not missing, f"imported, but not in requirements.txt: {missing}"


def test_every_pin_is_used() -> None:
    names = third_party(python_files("foodkd", "app.py", "tests", "docs", "benchmarks"))
    used = {DISTRIBUTIONS.get(name, name) for name in names} | IMPORTED_BY_OTHERS
    assert not set(pins()) - used, "pinned in requirements.txt, but nothing imports them"


def test_the_ranges_of_pyproject_admit_the_pins_and_name_the_same_packages() -> None:
    project = pyproject()["project"]
    ranges = [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]
    assert {requirement.name for requirement in ranges} == set(pins())
    refused = [str(r) for r in ranges if not r.specifier.contains(pins()[r.name])]
    assert not refused, f"these ranges exclude what the tests run with: {refused}"


def test_one_opencv_only() -> None:
    # Both distributions write the same cv2 folder; whichever comes last wins, or breaks.
    assert "opencv-python" not in pins() and "opencv-python-headless" in pins()


# README


def test_the_front_matter_is_what_a_space_reads() -> None:
    from huggingface_hub import metadata_load

    front = metadata_load(ROOT / "README.md")
    assert front is not None
    assert front["sdk"] == "gradio" and front["sdk_version"] == pins()["gradio"]
    assert (ROOT / front["app_file"]).is_file()
    assert isinstance(front["python_version"], str) and front["python_version"] in ("3.11", "3.12")
    assert len(front["short_description"]) <= 60
    assert {front["colorFrom"], front["colorTo"]} <= COLOURS
    assert front["license"] == "apache-2.0" == pyproject()["project"]["license"].lower()
    assert front["title"] and len(front["emoji"]) <= 2 and front["pinned"] is False


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text[:100] and "END OF TERMS AND CONDITIONS" in text and len(text) > 11_000


def test_both_commands_stand_in_readme_and_ci_runs_the_second() -> None:
    bash = [line.strip() for block in blocks(readme(), "bash") for line in block.splitlines()]
    assert RUN in bash and TEST in bash
    assert f"<!-- test command -->\n```bash\n{TEST}\n```\n" in readme()
    assert "readme_command 'test command'" in (ROOT / ".ci/run").read_text()


def test_ci_reads_the_command_out_of_readme() -> None:
    script = (ROOT / ".ci/run").read_text()
    function = re.search(r"^readme_command\(\) \{.*?^\}", script, flags=re.S | re.M)
    assert function
    command = f"{function[0]}\nreadme_command 'test command'"
    printed = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout == f"{TEST}\n"


@pytest.mark.parametrize("path", [p for p in tracked() if p.suffix == ".md"], ids=lambda p: p.name)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    inside = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    broken = [link for link in inside if link and not (path.parent / link).exists()]
    assert not broken


def test_the_results_are_those_of_the_shipped_pair() -> None:
    module = results_table_module()
    tables = module.sections()
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in module.PAGES}
    for page, text in pages.items():
        for name in module.names_in(text):
            assert module.section(text, name) == tables[name], f"{page}: run: python docs/results_table.py --write"
    shown = {name for text in pages.values() for name in module.names_in(text)}
    assert shown == set(tables), "a table that no page shows"


def test_the_results_table_shows_what_was_measured() -> None:
    module = results_table_module()
    measured = {"top1": 0.61234, "top5": 0.8, "ece": 0.02}
    network = {"settings": {"backbone": "resnet18", "size": 96}, "parameters": 11_227_000, "bytes": 22e6}
    network["multiply_adds"] = 333.4e6
    info = {"metrics": {"photos": 25247, "agreement": 0.7, "teacher": measured}, "networks": {"teacher": network}}
    table = module.results_table(info)
    assert "| teacher | `resnet18`, 96 px | 11.23 M | 22.0 MB | 333 M | 61.2 % | 80.0 % | 0.020 |" in table
    assert "25,247" in table and "70.0 %" in table and "student" not in table.split("|---")[1]
    assert module.results_table(None) == module.NO_PAIR
    assert module.results_table({"networks": {}}) == module.NOT_MEASURED


def test_the_papers_students_stand_beside_the_shipped_one_as_measured() -> None:
    module = results_table_module()
    assert "this pair" not in module.paper_table(None) and "90.4 %" in module.paper_table(None)
    teacher, student = ({"settings": {"size": 128}, "parameters": count} for count in (20_000_000, 4_000_000))
    info = {"metrics": {"student": {"top1": 0.61234}}, "networks": {"teacher": teacher, "student": student}}
    row = module.paper_table(info | {"preprocessing": {"resolution": 48}}).splitlines()[-1]
    assert row == "| this pair's student | 48 × 48 pixels, enlarged to 128 | 61.2 % | 4.00 M (5.0 times smaller) |"


def test_writing_the_table_leaves_the_rest_of_readme_alone() -> None:
    module = results_table_module()
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    written = module.with_section(text, "new\ntable")
    assert written == f"before\n{begin}\nnew\ntable\n{end}\nafter\n"
    assert module.section(written) == "new\ntable"
    two = written + text.replace("results", "gain")
    assert module.filled(two, {"results": "1", "gain": "2"}).count("old") == 0 and module.names_in(two) == [
        "results",
        "gain",
    ]
    with pytest.raises(ValueError, match="marker"):
        module.with_section("no markers", "new")


def test_the_library_example_of_readme_runs(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = blocks(readme(), "python")
    assert "checkpoints/food101-64" in example
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "lunch.jpg")
    monkeypatch.chdir(tmp_path)
    exec(example.replace("checkpoints/food101-64", tiny_checkpoint.as_posix()), {})
    answer = capsys.readouterr().out.split()
    assert -1.001 <= float(answer[-1]) <= 1.001


# The house


def part_of(dotted: str) -> str:
    names = dotted.split(".")
    return names[1] if len(names) > 1 else ""


def test_imports_run_down_the_road_only() -> None:
    rank = {part: place for place, group in enumerate(ROAD) for part in group}
    wrong = []
    for path in python_files("foodkd"):
        part = path.relative_to(ROOT / "foodkd").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        names = {part_of(n) for node in ast.walk(tree(path)) for n in imported(node) if n.split(".")[0] == "foodkd"}
        homeless = {part, *names} - set(rank) - {"", "__version__"}
        assert not homeless, f"{path.name}: {homeless} have no place on the road; give them one in this file"
        for other in names - {part, "", "__version__"}:
            if rank[other] > rank[part] or (rank[other] == rank[part] and rank[part] > 0):
                wrong.append(f"{path.relative_to(ROOT)} imports foodkd.{other}")
    assert not wrong


def test_heavy_packages_are_imported_where_they_are_used() -> None:
    """The app is nothing without gradio, so foodkd.ui imports it at once and is itself imported late."""
    early = []
    for path in python_files("foodkd", "app.py"):
        is_ui = path.is_relative_to(ROOT / "foodkd/ui")
        for name in (name for node in at_start(tree(path)) for name in imported(node)):
            heavy = name.split(".")[0] in HEAVY - ({"gradio"} if is_ui else set())
            if heavy or (name.startswith("foodkd.ui") and not is_ui):
                early.append(f"{path.relative_to(ROOT)}: {name}")
    assert not early


def test_the_app_leaves_the_computing_to_explain() -> None:
    paths = python_files("foodkd")
    names = third_party([path for path in paths if path.is_relative_to(ROOT / "foodkd/ui")])
    assert not {"torch", "torchvision", "timm", "pytorch_grad_cam"} & set(names)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def test_functions_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name} has {code_lines(node)} lines"
        for path in python_files("foodkd", "app.py", "tests", "docs", "benchmarks", "assets")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > 40
    ]
    assert not long


def text_files() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content[:4096]:
            yield path, content.decode("utf-8", errors="replace")


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    folders = "|".join(["work", "root", "home/[a-z]", "Users/[A-Za-z]", "opt/[a-z]", "mnt/[a-z]"])
    # A path begins after a quote, a blank or a bracket; in `a/work/b` nothing begins.
    place = re.compile(rf"(?:^|[\s\"'`(=:,])/(?:{folders})[/\w.-]*", flags=re.M)
    allowed = {"/root", "/root/test", "/root/train"}  # prose about a dataset's root
    found = [
        f"{path.relative_to(ROOT)}: {match}"
        for path, text in text_files()
        if path != Path(__file__) and path.name != "LICENSE"
        for match in (hit.strip(" \n\t\"'`(=:,") for hit in place.findall(text))
        if match not in allowed
    ]
    assert not found


def test_nothing_is_pickled_and_nothing_is_too_large() -> None:
    pickles = [p.name for p in tracked() if p.suffix in (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")]
    assert not pickles
    shipped = sum(p.stat().st_size for p in tracked() if p.relative_to(ROOT).parts[0] == "checkpoints")
    assert shipped < 60e6
    pictures = [p for p in tracked() if p.is_relative_to(ROOT / "assets") and p.suffix in (".jpg", ".png", ".webp")]
    assert not [p.name for p in pictures if p.stat().st_size >= 100_000]


def test_no_font_of_a_style_sheet_is_lost_on_the_way() -> None:
    """Gradio writes rules anew: `font` with a variable and one of its parts after it loses all but that part."""
    rule, lost = re.compile(r"\{[^{}]*\}"), re.compile(r"[^-]font: [^;}!]*var\([^;}!]*;[^}]*font-\w+")
    found = [
        body for sheet in (ROOT / "assets" / "ui").glob("*.css") for body in rule.findall(sheet.read_text("utf-8"))
        if lost.search(body)
    ]  # fmt: skip
    assert not found
