"""The endpoints as MCP tools, spoken to by the protocol's own client."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio.route_utils import delete_files_created_by_app
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult

from foodkd.explain import METHODS, faithfulness
from foodkd.explain.faithfulness import BASELINES

TOOLS = {
    "compare": {"photo"},
    "instance_activation_map": {"photo", "dish"},
    "layer_maps": {"photo", "dish", "method"},
    "faithfulness": {"photo", "dish", "baseline"},
}


@pytest.fixture(scope="module")
def speak(app_url: str) -> Callable[..., Any]:
    """speak(what) runs `await what(session)` in a session of its own."""

    async def spoken(what: Callable[[ClientSession], Awaitable[Any]]) -> Any:
        async with (
            streamablehttp_client(f"{app_url.rstrip('/')}/gradio_api/mcp/", timeout=120) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await what(session)

    def elsewhere(what: Callable[[ClientSession], Awaitable[Any]]) -> Any:
        # In a thread of its own: where browser tests ran before, this one still has Playwright's loop running.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, spoken(what)).result()

    return elsewhere


@pytest.fixture(scope="module")
def call(speak: Callable[..., Any]) -> Callable[..., CallToolResult]:
    """call(tool, **arguments) -> what the client gets."""
    return lambda tool, **arguments: speak(lambda session: session.call_tool(tool, arguments))


def answer(result: CallToolResult) -> Any:
    """The one JSON value that a tool answered with."""
    assert not result.isError, result.content
    assert len(result.content) == 1
    return json.loads(result.content[0].text)


def refusal(result: CallToolResult) -> str:
    """The sentence that a tool refused with."""
    assert result.isError and len(result.content) == 1
    text = result.content[0].text
    assert "Traceback" not in text and "\n" not in text and len(text) < 500, text
    return text


def data_url(path: str, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{b64encode(Path(path).read_bytes()).decode('ascii')}"


def test_the_endpoints_are_the_tools_and_say_what_they_take_and_give(speak):
    tools = {tool.name: tool for tool in speak(lambda session: session.list_tools()).tools}
    assert {name: set(tool.inputSchema["properties"]) for name, tool in tools.items()} == TOOLS
    for tool in tools.values():
        assert tool.inputSchema["required"] == ["photo"]
        for argument in tool.inputSchema["properties"].values():
            assert argument["type"] == "string" and len(argument["description"]) > 10
        assert 'Returns: {"' in tool.description and ",," not in tool.description
    assert tools["layer_maps"].inputSchema["properties"]["method"]["enum"] == list(METHODS)
    assert tools["faithfulness"].inputSchema["properties"]["baseline"]["enum"] == list(BASELINES)


def test_every_tool_answers_as_the_library_does(call, desk, photos):
    photo, url = desk.photo(photos[3]), data_url(photos[3])
    answers = {name: desk.answer(photo, name) for name in ("teacher", "student")}
    target = desk.pair.classes.index("disc_0")
    got = answer(call("compare", photo=url))
    assert [guess["dish"] for guess in got["student"]["top5"]] == [
        desk.pair.classes[index] for index, _ in answers["student"].top(5)
    ]
    got = answer(call("instance_activation_map", photo=url, dish="disc 0"))
    assert np.allclose(got["teacher"]["values"], answers["teacher"].iam(target).values, atol=1e-4)
    got = answer(call("layer_maps", photo=url, dish="disc_0", method="layercam"))
    wanted = answers["student"].layer(1, "layercam", target)
    assert np.allclose(got["stages"][1]["student"]["values"], wanted.values, atol=1e-4)
    got = answer(call("faithfulness", photo=url, dish="disc_0", baseline="grey"))
    wanted = faithfulness(desk.pair, photo.small, answers["teacher"].iam(target), baseline="grey")
    assert got["teacher"]["insertion"]["logit"]["area"] == pytest.approx(wanted.to_json()["insertion"]["logit"]["area"])


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("compare", {"photo": "data:image/png;base64,aGVsbG8="}, "not a photo"),
        ("compare", {"photo": "data:image/png;base64,"}, "empty"),
        ("compare", {"photo": "/etc/hostname"}, "http"),
        ("compare", {"photo": "http://127.0.0.1:9/meal.jpg"}, "No photo can be fetched from http://127.0.0.1:9"),
        ("compare", {}, "'photo' is a required"),
        ("instance_activation_map", {"dish": "gruel"}, "no class 'gruel'"),
        ("layer_maps", {"method": "tea-leaves"}, "'tea-leaves' is not one of"),
        ("faithfulness", {"baseline": "gravy"}, "'gravy' is not one of"),
        ("restore", {}, "Unknown tool"),  # an event of the page is no tool
    ],
)
def test_what_can_not_be_done_gets_one_sentence(call, photos, tool, arguments, words):
    given = arguments if tool == "compare" else {"photo": data_url(photos[0])} | arguments
    assert words in refusal(call(tool, **given))


def test_a_photo_sent_as_data_is_deleted_like_every_upload(app, call, photos, tmp_path):
    from PIL import Image

    Image.open(photos[4]).resize((50, 50)).save(tmp_path / "secret.png")
    content = (tmp_path / "secret.png").read_bytes()

    def kept() -> list[Path]:
        folder = Path(app.app.uploaded_file_dir)
        return [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == content]

    answer(call("compare", photo=data_url(str(tmp_path / "secret.png"))))
    assert kept()
    delete_files_created_by_app(app, -1)  # what Gradio does every minute, for files of any age
    assert not kept()
