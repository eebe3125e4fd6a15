from __future__ import annotations

import json
from datetime import datetime

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient
from tests.routes.swarmui.test_generation_views import PICTURE, data_url


def draw(swarm: SwarmClient, count: int = 1) -> list[str]:
    """Paths of new pictures, below the user's root."""
    images = swarm.call("GenerateText2Image", images=count, **PICTURE)["images"]
    return [str(path).removeprefix("View/local/") for path in images]


def view(house: House, path: str) -> tuple[int, str]:
    """Status and type of what a link leads to."""
    with house.client.get(f"/View/local/{path}") as shown:
        return shown.status_code, shown.mimetype


def listed(swarm: SwarmClient, path: str = "", depth: int = 5, **more: object) -> list[str]:
    return [str(one["src"]) for one in swarm.call("ListImages", path=path, depth=depth, **more)["files"]]


def test_pictures_lie_in_folders_by_day(swarm: SwarmClient) -> None:
    paths = draw(swarm, 2)
    # Two of them on the stroke of midnight.
    days = sorted({path.rpartition("/")[0] for path in paths}, reverse=True)
    assert all(datetime.strptime(day, "raw/%Y-%m-%d") for day in days)
    shown = swarm.call("ListImages", path="", depth=3)
    assert shown["folders"] == [*days, "raw"]
    assert [one["src"] for one in shown["files"]] == sorted(paths, reverse=True)
    assert json.loads(shown["files"][0]["metadata"])["sui_image_params"]["prompt"] == "a red circle"
    assert listed(swarm, "raw", 1) == []
    for day in days:
        names = [path.rpartition("/")[2] for path in sorted(paths, reverse=True) if path.startswith(day)]
        assert listed(swarm, day, 1) == names
    assert listed(swarm, sortBy="Date", sortReverse=True) == sorted(paths)


def test_pictures_of_other_dialects_are_there_too(swarm: SwarmClient, house: House) -> None:
    house.finished(house.submit(prompt="a native one"))
    (path,) = listed(swarm)
    assert "-a native one-demo" in path
    assert view(house, path) == (200, "image/png")


def test_names_stay(swarm: SwarmClient) -> None:
    first, second = draw(swarm, 2)
    assert swarm.call("DeleteImage", path=first) == {"success": True}
    assert listed(swarm) == [second]


@for_each_case(
    ("body", "words"),
    [
        ({"depth": 1}, "Missing required parameter 'path'"),
        ({"path": ""}, "Missing required parameter 'depth'"),
        ({"path": "nowhere", "depth": 1}, "404, path not found."),
        ({"path": "", "depth": 1, "sortBy": "Size"}, "Invalid sort mode 'Size'."),
    ],
)
def test_list_refuses_in_upstreams_words(shared_swarm: SwarmClient, body: dict[str, object], words: str) -> None:
    assert shared_swarm.refusal("ListImages", **body) == words


def test_starred_picture_is_listed_as_its_copy(swarm: SwarmClient, house: House) -> None:
    path, other = draw(swarm, 2)
    assert swarm.call("ToggleImageStarred", path=path) == {"new_state": True}
    assert listed(swarm) == sorted(
        [f"Starred/{path}", other], key=lambda one: one.removeprefix("Starred/"), reverse=True
    )
    assert listed(swarm, "Starred") == [path]
    (starred,) = swarm.call("ListImages", path="Starred", depth=5)["files"]
    assert json.loads(starred["metadata"])["is_starred"] is True
    for place in (path, f"Starred/{path}"):
        assert view(house, f"{place}")[0] == 200
    assert swarm.call("ToggleImageStarred", path=f"Starred/{path}") == {"new_state": False}
    assert view(house, f"Starred/{path}")[0] == 404


def test_starred_copy_survives_and_can_come_back(swarm: SwarmClient, house: House) -> None:
    (path,) = draw(swarm)
    swarm.call("ToggleImageStarred", path=path)
    assert swarm.call("DeleteImage", path=path) == {"success": True}
    assert view(house, f"{path}")[0] == 404
    assert view(house, f"Starred/{path}")[0] == 200
    assert swarm.call("ToggleImageStarred", path=path) == {"new_state": False}
    assert view(house, f"{path}")[0] == 200, "the only copy is moved back"


def test_a_star_is_one_star_here_and_in_the_gallery(swarm: SwarmClient, house: House) -> None:
    first, second = draw(swarm, 2)
    swarm.call("ToggleImageStarred", path=first)
    (starred,) = house.client.get("/gallery?starred=true").get_json()["items"]
    house.client.patch(f"/gallery/{starred['id']}", json={"starred": False})
    assert swarm.refusal("ListImages", path="Starred", depth=5) == "404, path not found."
    swarm.call("ToggleImageStarred", path=first)
    assert house.client.get("/gallery?starred=true").get_json()["total"] == 1
    # Before it has a name here, too.
    house.finished(house.submit())
    newest = house.client.get("/gallery?limit=1").get_json()["items"][0]["id"]
    house.client.patch(f"/gallery/{newest}", json={"starred": True})
    assert len(listed(swarm, "Starred")) == 2
    house.client.delete(f"/gallery/{starred['id']}")
    assert first not in listed(swarm)
    assert second in listed(swarm)


def test_last_copy_takes_the_job_along(swarm: SwarmClient, house: House) -> None:
    (path,) = draw(swarm)
    swarm.call("ToggleImageStarred", path=path)
    swarm.call("DeleteImage", path=path)
    assert swarm.call("DeleteImage", path=f"Starred/{path}") == {"success": True}
    assert listed(swarm) == []
    assert house.runtime.jobs.queue.list(limit=10) == []


@for_each_case(
    "path", ["raw/x.png", "", "..", "../../etc/passwd", "C:\\windows\\win.ini", "raw/%2e%2e/x", "a\u0000b", "x" * 900]
)
def test_hostile_paths_are_no_pictures(shared_swarm: SwarmClient, path: str) -> None:
    if "\0" not in path:
        assert shared_swarm.refusal("ToggleImageStarred", path=path) == "That file does not exist, cannot star."
        assert shared_swarm.refusal("DeleteImage", path=path) == "That file does not exist, cannot delete."
    shown = shared_swarm.client.get("/View/local/" + path.replace("\\", "%5C").replace("\0", "%00"))
    assert shown.status_code in (400, 404)


def test_preview_is_a_small_jpeg(swarm: SwarmClient, house: House) -> None:
    (path,) = draw(swarm)
    assert view(house, f"{path}?preview=true") == (200, "image/jpeg")
    with house.client.get(f"/View/local/{path}", headers={"Range": "bytes=0-7"}) as part:
        assert (part.status_code, part.data[1:4]) == (206, b"PNG")


def test_missing_file_is_told_in_upstreams_words(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.client.get("/View/local/raw/none.png")
    assert (shown.status_code, shown.get_json()["error_id"]) == (404, "file_not_found")


def test_picture_that_is_brought_along_is_kept(swarm: SwarmClient, house: House) -> None:
    (kept,) = swarm.call("AddImageToHistory", image=data_url(size=(48, 32)), prompt="mine", seed=3)["images"]
    assert json.loads(kept["metadata"])["sui_image_params"]["prompt"] == "mine"
    assert listed(swarm) == [kept["image"].removeprefix("View/local/")]
    job = house.runtime.jobs.queue.list(limit=1)[0]
    assert (job.status, job.params["width"], job.params["height"]) == ("completed", 48, 32)
    assert "image" in swarm.refusal("AddImageToHistory", image="data:image/png;base64,AAAA")


def test_nothing_to_draw_anew_answers_with_the_picture(swarm: SwarmClient, house: House) -> None:
    (path,) = swarm.call("GenerateText2Image", images=1, **PICTURE, initimage=data_url(), initimagecreativity=0)[
        "images"
    ]
    job = house.runtime.jobs.queue.list(limit=1)[0]
    assert (job.status, job.timings.native_seconds) == ("completed", 0)
    assert view(house, str(path).removeprefix("View/local/"))[0] == 200


def test_sound_of_videos_is_refused_in_words(swarm: SwarmClient) -> None:
    (path,) = draw(swarm)
    assert swarm.refusal("ExtractVideoAudio", path=path).startswith("That video has no audio")
    assert swarm.refusal("ExtractVideoAudio", path="raw/x.mp4") == "That file does not exist, cannot extract audio."
