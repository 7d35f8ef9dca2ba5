"""Named endpoints, for gradio_client and as MCP tools: the same answers as plain numbers.

    from gradio_client import Client, handle_file
    client = Client("http://127.0.0.1:7860")
    client.predict(handle_file("meal.jpg"), api_name="/compare")

Each takes the photo as a file. Uploads pass through components, whose file handling is Gradio's, so that no path of the
server can be named. What each answers is in docs/api.md.
"""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict

import gradio as gr

from foodkd.errors import FoodkdError
from foodkd.explain import METHODS, ActivationMap, compare, find_class
from foodkd.explain import faithfulness as put_to_the_test
from foodkd.explain.faithfulness import BASELINES
from foodkd.ui.session import BOTH, UNSURE_BELOW, Desk, Photo, View
from foodkd.ui.widgets import photo_input


class Guess(TypedDict):
    """A class and its calibrated probability, 0 to 1."""

    dish: str
    probability: float


class Answer(TypedDict):
    """What one network answered and cost; `seconds` of this pass on this machine, `bytes` of its weights as stored."""

    network: str
    top5: list[Guess]
    parameters: int
    multiply_adds: int
    bytes: int
    seconds: float


class Comparison(TypedDict):
    """Both networks' answers. `crop`: left, top, right, bottom of the square they saw, as fractions of the photo."""

    teacher: Answer
    student: Answer
    agree: bool
    sure: bool
    crop: list[float]
    resolution: int


class Map(TypedDict):
    """A map: `values` in rows; the centre of cell i lies at (start + step * i + 0.5) / size of the square's side."""

    network: str
    stage: int
    stage_name: str
    method: str
    values: list[list[float]]
    start: float
    step: float
    size: int


class Likeness(TypedDict):
    """How alike two maps are; `cosine_unrelated`: what maps of unrelated photos reach, null where unmeasured."""

    cosine: float
    cosine_unrelated: float | None
    overlap: float
    centre_distance: float


class InstanceMap(Map):
    """An instance activation map: the mean of `values` plus `bias` is the class's `logit` where `additive` is true.

    The logit is centred: the class's lead over the average class.
    """

    bias: float
    logit: float
    additive: bool


class InstanceMaps(TypedDict):
    """Both networks' instance activation maps of one class."""

    dish: str
    teacher: InstanceMap
    student: InstanceMap
    agreement: Likeness


class StageMaps(TypedDict):
    """One stage of both networks, counted from 1, early to late."""

    stage: int
    teacher: Map
    student: Map
    agreement: Likeness


class LayerMaps(TypedDict):
    """A map of every stage of both networks."""

    dish: str
    method: str
    stages: list[StageMaps]


class Endpoints:
    """The functions behind the endpoints; usable without a server."""

    def __init__(self, desk: Desk) -> None:
        """Answer from this desk."""
        self.desk = desk

    def compare(self, photo: str | None) -> Comparison:
        """Ask both networks what dish a photo shows.

        Args:
            photo: an image of a meal, whose centre square the networks see: a web address, or its bytes as a data: URL.

        Returns:
            {"teacher", "student": {"network", "top5": [{"dish", "probability": 0 to 1, calibrated}], "parameters",
            "multiply_adds": for one photo, "bytes": of the weights, "seconds": of this pass},
            "agree": same first answer, "sure": a first answer has probability 0.35 or more,
            "crop": [left, top, right, bottom] as fractions, "resolution": side of what the networks see, pixels}
        """
        opened = self._opened(photo)
        best = [self.desk.best(opened, name) for name in BOTH]
        return {
            "teacher": self._answer(opened, "teacher"),
            "student": self._answer(opened, "student"),
            "agree": best[0][0] == best[1][0],
            "sure": max(probability for _, probability in best) >= UNSURE_BELOW,
            "crop": [float(edge) for edge in opened.crop],
            "resolution": self.desk.pair.preprocessing.resolution,
        }

    def instance_activation_map(self, photo: str | None, dish: str = "") -> InstanceMaps:
        """Where both networks find the evidence for a dish in a photo.

        Args:
            photo: an image of a meal: a web address, or its bytes as a data: URL.
            dish: a class name ("apple_pie" or "apple pie"); empty for the teacher's first answer.

        Returns:
            {"dish", "teacher", "student": {"values": rows from the top of the map, in logits, "start", "step", "size":
            the centre of cell i lies at (start + step * i + 0.5) / size of the crop's side, "bias", "logit": the
            dish's lead over the average dish, "additive": whether the mean of values + bias is the logit, "network",
            "stage", "stage_name", "method"},
            "agreement": {"cosine": -1 to 1, "cosine_unrelated": of unrelated photos or null,
            "overlap": of the strongest fifths, 0 to 1, "centre_distance": fraction of the side}}
        """
        opened = self._opened(photo)
        target = self._class(opened, dish)
        maps = {name: self.desk.answer(opened, name).iam(target) for name in BOTH}
        return {
            "dish": self.desk.pair.classes[target],
            "teacher": self._instance(opened, maps["teacher"]),
            "student": self._instance(opened, maps["student"]),
            "agreement": self._likeness(maps["teacher"], maps["student"]),
        }

    def layer_maps(self, photo: str | None, dish: str = "", method: str = "gradcam") -> LayerMaps:
        """A map of every stage of both networks, early to late.

        Args:
            photo: an image of a meal: a web address, or its bytes as a data: URL.
            dish: a class name; empty for the teacher's first answer. Methods without a class ignore it.
            method: how maps are made; "scorecam" passes hundreds of pictures and takes long.

        Returns:
            {"dish", "method", "stages": [{"stage" from 1, "teacher", "student": {"values": rows from the top, "start",
            "step", "size": the centre of cell i lies at (start + step * i + 0.5) / size of the crop's side, "network",
            "stage", "stage_name", "method"}, "agreement": {"cosine": -1 to 1, "cosine_unrelated": of unrelated photos
            or null, "overlap": of the strongest fifths, 0 to 1, "centre_distance": fraction of the side}}]}
        """
        opened = self._opened(photo)
        if method not in METHODS:
            raise FoodkdError(f"There is no map method '{method}'; there are {', '.join(METHODS)}.")
        target = self._class(opened, dish)
        rows = [self._stage(opened, stage, method, target) for stage in range(self.desk.stages)]
        return {"dish": self.desk.pair.classes[target], "method": method, "stages": rows}

    def faithfulness(self, photo: str | None, dish: str = "", baseline: str = "blur") -> dict[str, Any]:
        """Deletion and insertion curves of both networks' instance activation maps (Petsiuk et al., BMVC 2018).

        Args:
            photo: an image of a meal: a web address, or its bytes as a data: URL.
            dish: a class name; empty for the teacher's first answer.
            baseline: what covers a place.

        Returns:
            {"dish", "teacher", "student": {"fractions": {"deletion", "insertion": shares of the area, 0 to 1, in the
            order of values}, "deletion", "insertion": {"probability", "logit": {"values": of the class after each
            share, "area": under them, "random_area", "random_spread": mean and standard deviation of places by chance,
            "lead": how much better than chance, "random_values"}}, "random_orders", "baseline", "control"}}
        """
        opened = self._opened(photo)
        target = self._class(opened, dish)
        curves: dict[str, Any] = {"dish": self.desk.pair.classes[target]}
        for name in BOTH:
            iam = self.desk.answer(opened, name).iam(target)
            curves[name] = put_to_the_test(self.desk.pair, opened.small, iam, baseline=baseline).to_json()
        return curves

    def _opened(self, photo: str | None) -> Photo:
        if photo is None:
            raise FoodkdError("No photo was given; give an image file.")
        return self.desk.photo(photo)

    def _class(self, photo: Photo, dish: str) -> int:
        return find_class(self.desk.pair.classes, dish) if dish else self.desk.class_index(View(photo))

    def _answer(self, photo: Photo, name: str) -> Answer:
        explanation, costs, classes = self.desk.answer(photo, name), self.desk.costs[name], self.desk.pair.classes
        top: list[Guess] = [{"dish": classes[index], "probability": value} for index, value in explanation.top(5)]
        return {
            "network": self.desk.pair.settings[name].backbone,
            "top5": top,
            "parameters": costs["parameters"],
            "multiply_adds": costs["multiply_adds"],
            "bytes": costs["bytes"],
            "seconds": explanation.seconds,
        }

    def _instance(self, photo: Photo, one: ActivationMap) -> InstanceMap:
        logits = self.desk.answer(photo, one.network).logits
        logit = float(logits[one.class_index if one.class_index is not None else 0])
        return {**_plain(one), "bias": one.bias, "logit": logit, "additive": one.additive}

    def _stage(self, photo: Photo, stage: int, method: str, target: int) -> StageMaps:
        teacher, student = (self.desk.answer(photo, name).layer(stage, method, target) for name in BOTH)
        likeness = self._likeness(teacher, student)
        return {"stage": stage + 1, "teacher": _plain(teacher), "student": _plain(student), "agreement": likeness}

    def _likeness(self, teacher: ActivationMap, student: ActivationMap) -> Likeness:
        measured, unrelated = compare(teacher, student), self.desk.mismatched(teacher)
        return {
            "cosine": measured.cosine,
            "cosine_unrelated": unrelated.mismatched.cosine if unrelated else None,
            "overlap": measured.overlap,
            "centre_distance": measured.centre_distance,
        }


def _plain(one: ActivationMap) -> Map:
    return {
        "network": one.network,
        "stage": one.stage + 1,
        "stage_name": one.stage_name,
        "method": one.method,
        "values": one.values.tolist(),
        "start": one.start,
        "step": one.step,
        "size": one.size,
    }


def add(desk: Desk) -> None:
    """Register the endpoints in the current Blocks; their components stay invisible."""
    functions = Endpoints(desk)
    with gr.Column(visible=False):
        photo = photo_input(label="photo")
        dish, method = gr.Textbox("", label="dish"), gr.Dropdown(list(METHODS), value="gradcam", label="method")
        baseline = gr.Dropdown(list(BASELINES), value="blur", label="baseline")
        button, result = gr.Button("call"), gr.JSON(label="answer")
    for function, inputs in (
        (functions.compare, [photo]),
        (functions.instance_activation_map, [photo, dish]),
        (functions.layer_maps, [photo, dish, method]),
        (functions.faithfulness, [photo, dish, baseline]),
    ):
        options: dict[str, Any] = {"api_name": function.__name__, "api_description": _described(function)}
        button.click(_told(function), inputs, result, concurrency_id="answers", concurrency_limit=1, **options)


def _described(function: Callable[..., Any]) -> str:
    """What a client reads about an endpoint: the docstring without its arguments, which are described one by one."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    kept = (" ".join(part.split()) for part in paragraphs if not part.startswith("Args:"))
    return " ".join(kept)


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its errors as one sentence for the client."""

    @wraps(function)
    def told(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except FoodkdError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return told
