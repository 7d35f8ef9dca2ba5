"""Downloads: what the open tab shows as one picture, as a zip of arrays and a manifest, or as a report.

Made when asked for and handed to the browser inside a URL: no file stays on the server, so nobody else can fetch it.
"""

import io
import zipfile
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from foodkd.explain import Faithfulness, cover_up
from foodkd.explain.export import Writer
from foodkd.explain.report import report_html
from foodkd.explain.subject import Drawing, Subject
from foodkd.ui import widgets as w
from foodkd.ui.faithfulness import BRUSH_SIDE, Bench, unpacked
from foodkd.ui.session import BOTH, Desk, View, one_of, plain_name

SIDE = 320  # of the pictures' maps, pixels: a zip stays below some 3 MB
# What can be had: a key -> its name in the menu, what is said of it, and what is said while it is made.
OFFERS = {
    "picture": ("Picture", "PNG, as shown on this tab", "the picture"),
    "files": ("Maps and numbers", "ZIP: arrays (.npy), pictures, manifest.json", "the files"),
    "report": ("Report", "one HTML page on this photo, to keep or print", "the report"),
}
MAPPED = ("compare", "iam", "layers", "faithfulness")  # tabs that show maps; the others offer the report only
TYPES = {"png": "image/png", "zip": "application/zip", "html": "text/html", "csv": "text/csv"}


@dataclass(frozen=True)
class Made:
    """One finished download."""

    name: str
    content: bytes

    @property
    def link(self) -> str:
        """A link that saves it; the page's script presses it once."""
        url = f"data:{TYPES[self.name.rpartition('.')[2]]};base64,{b64encode(self.content).decode('ascii')}"
        return f'<a class="fk-save" download="{w.text(self.name)}" href="{url}">Save {w.text(self.name)}</a>'


def menu(view: View, made: Made | None = None) -> str:
    """The menu; open, with the link to save it by, once something was made."""
    buttons = "".join(_offer(key) for key in OFFERS if key == "report" or view.tab in MAPPED)
    done = f"{made.link} <small>{w.amount(len(made.content), 'B')}</small>" if made else ""
    status = f'<p class="fk-made" role="status">{done}</p>'
    marks = " open" if made else ""
    return (
        f'<details class="fk-download"{marks}><summary>Download</summary>'
        f'<div class="fk-menu" role="group" aria-label="Download">{buttons}{status}</div></details>'
    )


def _offer(key: str) -> str:
    name, about, said = OFFERS[key]
    return (
        f'<button type="button" data-download="{key}" data-said="{said}"><b>{name}</b><small>{about}</small></button>'
    )


def make(bench: Bench, view: View, kind: str) -> Made:
    """What a visitor asked for. Raises FoodkdError for anything that is not on offer."""
    kind = one_of(kind, tuple(OFFERS) if view.tab in MAPPED else ("report",), "download")
    subject = _subject(bench.desk, view)
    dish = plain_name(bench.desk.pair.classes[subject.class_index])
    stem = "-".join(dict.fromkeys(["foodkd", view.photo.name, dish]))
    if kind == "report":
        return Made(f"{stem}-report.html", _report(bench, view, subject).encode("utf-8"))
    with TemporaryDirectory(prefix="foodkd-") as folder:
        shown = _written(bench, view, subject, Path(folder))
        if kind == "picture":
            return Made(f"{stem}-{view.tab}.png", (Path(folder) / shown).read_bytes())
        return Made(f"{stem}-{view.tab}.zip", _zipped(Path(folder)))


def _subject(desk: Desk, view: View) -> Subject:
    """What the visitor looks at, as the library writes about it."""
    photo = view.photo
    unrelated = desk.mismatched(desk.iam(view, "teacher"))
    return Subject(
        desk.pair,
        tuple(desk.answer(photo, name) for name in desk.names(alone=view.alone)),
        desk.class_index(view),
        photo.small,
        photo.square,
        photo.name,
        {"crop": list(photo.crop)} | ({"sha256": photo.sha256} if photo.sha256 else {}),
        {"iam": unrelated} if unrelated else {},
    )


def _drawing(view: View) -> Drawing:
    """As the tabs draw: on the scale that was chosen, evidence against the class uncoloured."""
    return Drawing(iam_scale=view.scale, layer_scale=view.scale, signed=False, side=SIDE, singles=False)


def _curves(bench: Bench, view: View) -> list[Faithfulness]:
    """The curves that were measured already."""
    found = (bench.curves(view, name, known=True) for name in BOTH)
    return [result for result in found if result is not None]


def _report(bench: Bench, view: View, subject: Subject) -> str:
    return report_html(
        subject,
        drawing=_drawing(view),
        method=view.method,
        curves=_curves(bench, view),
        unit=view.unit,
        costs=bench.desk.costs,
    )


def _written(bench: Bench, view: View, subject: Subject, folder: Path) -> str:
    """Everything the open tab shows, into a folder; returns the name of the picture that shows it."""
    writer = Writer(folder, subject, _drawing(view))
    if view.tab == "compare":
        writer.answers()
    elif view.tab == "layers":
        writer.layers(view.method)
    else:
        writer.iams()
    curves = _curves(bench, view) if view.tab == "faithfulness" else []
    if curves:
        writer.faithfulness(curves, view.unit)
    if view.tab == "faithfulness":
        mask = unpacked(view.mask, min(BRUSH_SIDE, len(view.photo.small)))
        if mask.any():
            writer.covered(cover_up(subject.pair, subject.small, mask, baseline=view.baseline))
    writer.manifest()
    sheets = {"compare": "compare.png", "iam": "iam.png", "layers": f"{view.method}.png"}
    return sheets.get(view.tab, "curves.png" if curves else "iam.png")


def _zipped(folder: Path) -> bytes:
    """All files of a folder in order and without their time: the same content gives the same zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
