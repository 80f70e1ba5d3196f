"""A stand-in for the Hugging Face Hub on this machine: the endpoints that publishing and reading a dataset use.

Commits, tags and large files (git LFS) are kept in memory with the Hub's own rules: a commit names its parent, a
pointer needs its object, an object must have the hash that it was announced with.
"""

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

LFS_FROM = 20_000  # bytes; the real Hub decides by name and content


@dataclass
class Repository:
    commits: dict[str, dict[str, str]] = field(default_factory=dict)  # commit -> path -> sha256
    heads: dict[str, str] = field(default_factory=dict)  # branch -> commit
    tags: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> str | None:
        found = self.heads.get(revision) or self.tags.get(revision)
        return found or (revision if revision in self.commits else None)

    def commit(self, files: dict[str, str]) -> str:
        name = hashlib.sha1(json.dumps([len(self.commits), sorted(files.items())]).encode()).hexdigest()
        self.commits[name] = files
        self.heads["main"] = name
        return name


class HubServer(http.server.ThreadingHTTPServer):
    """Runs in threads of its own. `requests` lists (method, path); `fail` names paths that get an error once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.uploaded: list[str] = []  # sha256 of large files, as they came
        self.requests: list[tuple[str, str]] = []
        self.fail: dict[str, int] = {}  # part of a path -> status, once
        self.token = "hf_only_for_tests"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, repo: str, files: dict[str, bytes]) -> None:
        """A repository with some files, as if they had been pushed."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        self.objects |= {hashes[path]: content for path, content in files.items()}
        self.repositories[repo] = Repository()
        self.repositories[repo].commit(hashes)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(patch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running server. The client reads the Hub's address when it is imported, so it is set in the module."""
    import huggingface_hub.constants
    import huggingface_hub.hf_api
    import huggingface_hub.hf_file_system

    server = HubServer()
    for module in (huggingface_hub.constants, huggingface_hub.hf_api, huggingface_hub.hf_file_system):
        for name, value in (("ENDPOINT", server.url), ("HF_HUB_DISABLE_XET", True)):
            if hasattr(module, name):
                patch.setattr(module, name, value)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    patch.setenv("HF_TOKEN", server.token)
    huggingface_hub.hf_file_system.HfFileSystem.clear_instance_cache()
    yield server
    server.shutdown()
    server.server_close()
    huggingface_hub.hf_file_system.HfFileSystem.clear_instance_cache()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urllib.parse.unquote(self.path)
        self.server.requests.append((self.command, path))
        for part in list(self.server.fail):
            if part in path:
                self._answer(self.server.fail.pop(part), {"error": "told to fail"})
                return
        if self.command in ("POST", "PUT", "DELETE") and "/lfs-store/" not in path:
            token = self.headers.get("Authorization") or ""
            if self.server.token not in token and not token.startswith("Basic"):
                self._answer(
                    401, {"error": "Invalid credentials"}, {"X-Error-Message": "Invalid credentials"}
                )
                return
        for method, pattern, do in _ROUTES:
            found = re.fullmatch(pattern, path.split("?")[0])
            if found and self.command in method:
                do(self, body, **found.groupdict())
                return
        self._answer(404, {"error": f"no such endpoint: {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _repository(self, repo: str) -> Repository | None:
        found = self.server.repositories.get(repo)
        if found is None:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        return found

    def _commit(self, repository: Repository, revision: str) -> str | None:
        found = repository.at(revision)
        if found is None:
            self._answer(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        return found

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if repo in self.server.repositories:
            self._answer(
                409,
                {
                    "error": "You already created this dataset repo",
                    "url": f"{self.server.url}/datasets/{repo}",
                },
            )
            return
        self.server.repositories[repo] = Repository()
        self.server.repositories[repo].commit({})
        self._answer(200, {"url": f"{self.server.url}/datasets/{repo}", "name": repo, "id": repo})

    def info(self, _: bytes, repo: str, revision: str = "main") -> None:
        repository = self._repository(repo)
        commit = repository and self._commit(repository, revision)
        if repository and commit:
            files = [{"rfilename": path} for path in sorted(repository.commits[commit])]
            self._answer(200, {"id": repo, "sha": commit, "siblings": files, "private": False, "tags": []})

    def refs(self, _: bytes, repo: str) -> None:
        if repository := self._repository(repo):

            def listed(names: dict[str, str], kind: str) -> list[dict[str, str]]:
                return [
                    {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
                    for name, commit in names.items()
                ]

            self._answer(
                200,
                {
                    "branches": listed(repository.heads, "heads"),
                    "tags": listed(repository.tags, "tags"),
                    "converts": [],
                },
            )

    def preupload(self, body: bytes, repo: str, revision: str) -> None:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= LFS_FROM else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._answer(200, {"files": modes})

    def validate_yaml(self, body: bytes) -> None:
        """A card's front matter: YAML between two lines of `---`, with what a dataset's has to say."""
        found = re.match(r"---\n(.*?)\n---\n", json.loads(body)["content"], re.DOTALL)
        front = yaml.safe_load(found[1]) if found else {}
        missing = [name for name in ("license", "configs", "size_categories") if name not in front]
        if missing:
            self._answer(400, {"errors": [{"message": f"front matter without {missing}"}], "warnings": []})
        else:
            self._answer(200, {"errors": [], "warnings": []})

    def lfs_batch(self, body: bytes, repo: str) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.server.objects:
                answer["actions"] = {
                    "upload": {"href": f"{self.server.url}/lfs-store/{wanted['oid']}", "header": {}}
                }
            objects.append(answer)
        self._answer(
            200, {"transfer": "basic", "objects": objects}, {"Content-Type": "application/vnd.git-lfs+json"}
        )

    def lfs_put(self, body: bytes, oid: str) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            self._answer(400, {"error": "other bytes than announced"})
            return
        self.server.objects[oid] = body
        self.server.uploaded.append(oid)
        self._answer(200)

    def commit(self, body: bytes, repo: str, revision: str) -> None:
        repository = self._repository(repo)
        if not repository:
            return
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        parent = lines[0]["value"].get("parentCommit")
        if parent and parent != repository.heads["main"]:
            self._answer(412, {"error": "A commit has happened since. Please refresh and try again."})
            return
        files = dict(repository.commits[repository.heads["main"]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                files[value["path"]] = hashlib.sha256(content).hexdigest()
                self.server.objects[files[value["path"]]] = content
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.server.objects:
                    self._answer(400, {"error": f"no object {value['oid']}"})
                    return
                files[value["path"]] = value["oid"]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        name = repository.commit(files)
        self._answer(
            200,
            {
                "success": True,
                "commitOid": name,
                "commitUrl": f"{self.server.url}/datasets/{repo}/commit/{name}",
            },
        )

    def tag(self, body: bytes, repo: str, revision: str) -> None:
        repository = self._repository(repo)
        commit = repository and self._commit(repository, revision)
        if repository and commit:
            name = json.loads(body)["tag"]
            if name in repository.tags:
                self._answer(409, {"error": "Tag already exists"})
                return
            repository.tags[name] = commit
            self._answer(200, {})

    def paths_info(self, body: bytes, repo: str, revision: str) -> None:
        repository = self._repository(repo)
        commit = repository and self._commit(repository, revision)
        if repository and commit:
            form = urllib.parse.parse_qs(body.decode()) if not body.startswith(b"{") else json.loads(body)
            self._answer(
                200,
                [
                    entry
                    for path in form["paths"]
                    for entry in self._entries(repository.commits[commit], path)
                ],
            )

    def tree(self, _: bytes, repo: str, revision: str, path: str = "") -> None:
        repository = self._repository(repo)
        commit = repository and self._commit(repository, revision)
        if repository and commit:
            path = (path or "").strip("/")
            files = repository.commits[commit]
            prefix = f"{path}/" if path else ""
            below = [name for name in files if name.startswith(prefix)]
            if path and not below:
                self._answer(404, {"error": "not found"}, {"X-Error-Code": "EntryNotFound"})
                return
            names = below
            if "recursive=True" not in self.path and "recursive=true" not in self.path:
                names = sorted({prefix + name.removeprefix(prefix).split("/")[0] for name in below})
            self._answer(200, [entry for name in names for entry in self._entries(files, name)])

    def _entries(self, files: dict[str, str], path: str) -> list[dict[str, Any]]:
        if path in files:
            oid = files[path]
            size = len(self.server.objects[oid])
            entry: dict[str, Any] = {"type": "file", "path": path, "size": size, "oid": oid[:40]}
            if size >= LFS_FROM:
                entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
            return [entry]
        if any(name.startswith(path + "/") for name in files):
            return [
                {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
            ]
        return []

    def resolve(self, _: bytes, repo: str, revision: str, path: str) -> None:
        repository = self._repository(repo)
        commit = repository and self._commit(repository, revision)
        if not (repository and commit):
            return
        oid = repository.commits[commit].get(path)
        if oid is None:
            self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        content = self.server.objects[oid]
        headers = {"ETag": f'"{oid}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            start, stop = int(asked[1]), int(asked[2] or len(content) - 1) + 1
            part = content[start:stop]
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
            self._answer(206, part, headers)
        else:
            self._answer(200, content, headers)


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
_ROUTES = [
    ("POST", r"/api/repos/create", _Handler.create),
    ("POST", r"/api/validate-yaml", _Handler.validate_yaml),
    ("GET", rf"/api/datasets/{_REPO}", _Handler.info),
    ("GET", rf"/api/datasets/{_REPO}/refs", _Handler.refs),
    ("GET", rf"/api/datasets/{_REPO}/revision/{_REVISION}", _Handler.info),
    ("POST", rf"/api/datasets/{_REPO}/preupload/{_REVISION}", _Handler.preupload),
    ("POST", rf"/datasets/{_REPO}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", r"/lfs-store/(?P<oid>[0-9a-f]{64})", _Handler.lfs_put),
    ("POST", rf"/api/datasets/{_REPO}/commit/{_REVISION}", _Handler.commit),
    ("POST", rf"/api/datasets/{_REPO}/tag/{_REVISION}", _Handler.tag),
    ("POST", rf"/api/datasets/{_REPO}/paths-info/{_REVISION}", _Handler.paths_info),
    ("GET", rf"/api/datasets/{_REPO}/tree/{_REVISION}(?P<path>/.*)?", _Handler.tree),
    ("GET HEAD", rf"/datasets/{_REPO}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
]
