"""The hub is a local stand-in that takes what the client sends."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest

from animelm.errors import UserError
from animelm.export.publish.push import push


class Hub(ThreadingHTTPServer):
    """Answers as the hub does, and keeps every request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, bytes]] = []
        self.status = 200
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.path, body))
        self._answer(self.server.status, self._reply(body))

    def do_GET(self) -> None:
        self._answer(404, {})

    def _reply(self, body: bytes) -> dict[str, object]:
        if self.path.endswith("/preupload/main"):
            files = [each["path"] for each in json.loads(body)["files"]]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            return {"files": [mode | {"path": path} for path in files]}
        if self.path.endswith("/commit/main"):
            return {
                "commitUrl": f"{self.server.address}/me/anime/commit/1",
                "commitOid": "1",
                "success": True,
            }
        return {"url": f"{self.server.address}/me/anime", "errors": [], "warnings": []}

    def _answer(self, status: int, reply: dict[str, object]) -> None:
        content = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.address)
    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("---\nlicense: other\n---\n", encoding="utf-8")
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("public", [False, True])
def test_a_repository_is_made_and_every_file_is_sent(hub: Hub, export: Path, public: bool) -> None:
    assert push(export, "me/anime", public) == f"{hub.address}/me/anime/commit/1"
    created = json.loads(next(body for path, body in hub.requests if path == "/api/repos/create"))
    assert (created["organization"], created["name"]) == ("me", "anime")
    assert created["visibility"] == ("public" if public else "private")
    commit = next(body for path, body in hub.requests if path.endswith("/commit/main"))
    sent = {json.loads(line)["value"].get("path") for line in commit.splitlines()}
    assert {"README.md", "adapter_config.json"} <= sent


def test_a_hub_that_refuses_is_one_message_and_the_export_stays(hub: Hub, export: Path) -> None:
    hub.status = 403
    with pytest.raises(UserError, match=r"--push me/anime: .* is complete, and could not be sent"):
        push(export, "me/anime", public=False)
    assert (export / "README.md").is_file()
