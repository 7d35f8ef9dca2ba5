"""The named endpoints, spoken to over the network as any client would."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file

from foodkd.explain import METHODS, compare, faithfulness

ROOT = Path(__file__).resolve().parents[2]
FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def client(app_url):
    return Client(app_url, verbose=False, httpx_kwargs={"timeout": 120})  # patient with a slow machine


def test_only_the_documented_endpoints_are_open(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {"/compare", "/instance_activation_map", "/layer_maps", "/faithfulness"}
    names = {name: [one["parameter_name"] for one in api["parameters"]] for name, api in described.items()}
    assert names["/compare"] == ["photo"] and names["/layer_maps"] == ["photo", "dish", "method"]
    for api in described.values():
        photo, *others = api["parameters"]
        assert not photo["parameter_has_default"] and all(one["parameter_has_default"] for one in others)
        assert 'Returns: {"' in api["description"]


def test_the_documented_example_runs_as_it_stands(app_url, photos, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.S | re.M)
    shutil.copy(photos[0], tmp_path / "meal.jpg")
    monkeypatch.chdir(tmp_path)
    exec(example.replace("http://127.0.0.1:7860", app_url), {})
    assert "probability" in capsys.readouterr().out
    (configuration,) = re.findall(r"^```json\n(.*?)^```", page, flags=re.S | re.M)
    address = json.loads(configuration)["mcpServers"]["foodkd"]["url"]
    assert address == "http://127.0.0.1:7860/gradio_api/mcp/"  # where tests/ui/test_mcp.py speaks to it


def test_compare_gives_the_librarys_answers(client, desk, photos):
    answer = client.predict(handle_file(photos[0]), api_name="/compare")
    photo = desk.photo(photos[0])
    for name in ("teacher", "student"):
        expected = [(desk.pair.classes[index], value) for index, value in desk.answer(photo, name).top(5)]
        got = [(guess["dish"], guess["probability"]) for guess in answer[name]["top5"]]
        assert [dish for dish, _ in got] == [dish for dish, _ in expected]
        assert np.allclose([value for _, value in got], [value for _, value in expected], atol=1e-4)
        assert answer[name]["parameters"] == desk.costs[name]["parameters"]
        assert answer[name]["seconds"] > 0
    assert answer["agree"] == (desk.best(photo, "teacher")[0] == desk.best(photo, "student")[0])
    assert answer["crop"] == pytest.approx([1 / 6, 0, 5 / 6, 1])
    json.dumps(answer)


def test_the_instance_map_adds_up_to_the_logit(client, desk, photos):
    dish = desk.pair.classes[1].replace("_", " ")
    answer = client.predict(handle_file(photos[1]), dish, api_name="/instance_activation_map")
    assert answer["dish"] == desk.pair.classes[1]
    for name in ("teacher", "student"):
        one = answer[name]
        assert one["additive"] is True
        assert np.mean(one["values"]) + one["bias"] == pytest.approx(one["logit"], abs=1e-3)
    assert -1 <= answer["agreement"]["cosine"] <= 1


@pytest.mark.parametrize("method", ["mean", "gradcam"])
def test_layer_maps_come_for_every_stage(client, desk, photos, method):
    answer = client.predict(handle_file(photos[2]), "", method, api_name="/layer_maps")
    photo = desk.photo(photos[2])
    assert [row["stage"] for row in answer["stages"]] == list(range(1, desk.stages + 1))
    target = desk.pair.classes.index(answer["dish"])
    for index, row in enumerate(answer["stages"]):
        maps = [desk.answer(photo, name).layer(index, method, target) for name in ("teacher", "student")]
        assert np.allclose(row["teacher"]["values"], maps[0].values, atol=1e-4)
        assert row["agreement"]["cosine"] == pytest.approx(compare(*maps).cosine, abs=1e-3)


def test_faithfulness_gives_the_librarys_curves(client, desk, photos):
    answer = client.predict(handle_file(photos[0]), "", "grey", api_name="/faithfulness")
    photo = desk.photo(photos[0])
    target = desk.pair.classes.index(answer["dish"])
    for name in ("teacher", "student"):
        iam = desk.answer(photo, name).iam(target)
        expected = faithfulness(desk.pair, photo.small, iam, baseline="grey").to_json()
        got, wanted = (one["deletion"]["logit"]["values"] for one in (answer[name], expected))
        assert np.allclose(got, wanted, atol=1e-3)
        assert answer[name]["baseline"] == "grey"


def test_errors_are_one_sentence(client, photos, tmp_path):
    (tmp_path / "soup.png").write_text("not a photo")
    with pytest.raises(Exception, match=r"soup\.png") as caught:
        client.predict(handle_file(str(tmp_path / "soup.png")), api_name="/compare")
    assert "Traceback" not in str(caught.value)
    with pytest.raises(Exception, match="gruel"):
        client.predict(handle_file(photos[0]), "gruel", api_name="/instance_activation_map")
    with pytest.raises(Exception, match=next(iter(METHODS))):
        client.predict(handle_file(photos[0]), "", "tea-leaves", api_name="/layer_maps")
    with pytest.raises(Exception, match=r"gravy.*blur"):
        client.predict(handle_file(photos[0]), "", "gravy", api_name="/faithfulness")
    with pytest.raises(Exception, match=r"No photo can be fetched from http://127\.0\.0\.1:9"):
        client.predict({"path": "http://127.0.0.1:9/meal.jpg", "meta": FILE}, api_name="/compare")


def test_no_file_of_the_server_can_be_named(client):
    stolen = {"path": "/etc/hostname", "meta": FILE}
    bare = {"path": "/etc/hostname"}
    for payload in (stolen, bare):
        with pytest.raises(Exception):  # noqa: B017 (whatever the client calls it: it must not answer)
            client.predict(payload, api_name="/compare")


def test_twenty_visitors_at_once_each_get_their_own_answer(app, client, desk, photos):
    jobs = [client.submit(handle_file(path), api_name="/compare") for path in photos]
    for path, job in zip(photos, jobs, strict=True):
        best = job.result(timeout=300)["student"]["top5"][0]
        index, probability = desk.best(desk.photo(path), "student")
        assert best["dish"] == desk.pair.classes[index]
        assert best["probability"] == pytest.approx(probability, abs=1e-4)
    delete_files_created_by_app(app, -1)  # what Gradio does every minute, for files of any age
    own = {Path(path).read_bytes() for path in photos}
    kept = [file for file in Path(app.app.uploaded_file_dir).rglob("*.png") if file.read_bytes() in own]
    assert kept == []


def test_endpoints_and_page_wait_in_one_bounded_queue(app):
    waiting = [event for event in app.fns.values() if event.fn is not None and event.queue]
    assert {event.concurrency_limit for event in waiting} == {1}
    assert {event.concurrency_id for event in waiting} == {"answers"}
    assert app._queue.max_size == 64
