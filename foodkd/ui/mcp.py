"""The endpoints as tools of the Model Context Protocol: Gradio's own server, with two things mended."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import gradio as gr
from gradio.mcp import GradioMCPServer


class Tools(GradioMCPServer):
    """Gradio's MCP server, whose answers are JSON and whose photos are deleted like other uploads."""

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """Gradio saves a data URL to a file and forgets it: have it deleted with the other uploads."""
        converted = super().convert_strings_to_filedata(value, filedata_positions)
        saved = {name for name, given in value.items() if str(given).startswith("data:")}
        self.blocks.upload_file_set.update(converted[name]["path"] for name in saved if "path" in converted[name])
        return converted

    def postprocess_output_data(self, data: Any, root_url: str) -> list[Any]:
        """Gradio would write an answer as Python does: True, None and single quotes, which no JSON reader takes."""
        return [self.types.TextContent(type="text", text=json.dumps(answer)) for answer in data]


def mended(app: gr.Blocks) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """A lifespan for `launch(app_kwargs=...)`: once the server is there, its tools become `Tools`.

    Gradio makes its MCP server inside `launch` and offers no setting for the class.
    """

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        if app.mcp_server_obj is not None:
            app.mcp_server_obj.__class__ = Tools
        yield

    return lifespan
