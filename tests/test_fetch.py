"""`d2m.fetch`: Dance with Melody is cloned pair by pair, here from a local repository of the same layout."""

import ast
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import test_project

from d2m import fetch, lock, sources
from d2m.errors import CorpusError, OutputError

PAIRS = ("DANCE_C_1", "DANCE_R_2", "DANCE_W_3")
GITS_LOCKS = ("index.lock", "shallow.lock", "config.lock", "HEAD.lock")


def git(folder: Path, *arguments: str) -> str:
    identity = {f"GIT_{role}_{kind}": value for role in ("AUTHOR", "COMMITTER")
                for kind, value in (("NAME", "a"), ("EMAIL", "a@example.org"))}  # fmt: skip
    command = ["git", "-C", str(folder), "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, env=os.environ | identity, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def published(tmp_path, write_pair) -> Path:
    """A repository of three pairs, which serves parts of a commit as GitHub does."""
    folder = tmp_path / "published"
    for name in PAIRS:
        write_pair(folder, name, frames=31)
    (folder / "README.md").write_text("Dance with Melody")
    git(folder, "init", "--quiet")
    for option in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        git(folder, "config", option, "true")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "data")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("DANCE_*/*") if p.is_file()}


def test_pairs_are_fetched_whole_after_the_licence_is_told_and_are_a_corpus(tmp_path, published, capfd):
    fetched = fetch.dance_with_melody(tmp_path / "here", f"file://{published}")
    assert (fetched.pairs, fetched.lacking) == (PAIRS, ())
    assert contents(fetched.folder) == contents(published) != {}
    assert [clip.name for clip in sources.find(fetched.folder)[0]] == list(PAIRS)
    said = capfd.readouterr().err
    assert said.index("states no licence") < said.index("3 pairs of 61 published")


@pytest.mark.parametrize("left", GITS_LOCKS)
def test_what_was_broken_off_goes_on_and_what_is_there_is_not_fetched_again(tmp_path, published, monkeypatch, left):
    url, run, calls = f"file://{published}", fetch._git, []

    def breaking(folder, *arguments):
        calls.append(arguments[-1])
        if arguments[0] == "checkout" and arguments[-1] == PAIRS[1]:
            raise CorpusError("the network is gone")
        return run(folder, *arguments)

    monkeypatch.setattr(fetch, "_git", breaking)
    with pytest.raises(CorpusError, match="the network is gone"):
        fetch.dance_with_melody(tmp_path / "here", url)
    assert set(contents(tmp_path / "here")) == {f"{PAIRS[0]}/{name}" for name in fetch.MELODY_FILES}
    there = tmp_path / "here" / PAIRS[0] / "audio.mp3"
    before = there.stat()
    (tmp_path / "here" / ".git" / left).touch()  # as a git that was killed leaves it
    monkeypatch.setattr(fetch, "_git", run)
    assert fetch.dance_with_melody(tmp_path / "here", url).pairs == PAIRS
    assert not (tmp_path / "here" / ".git" / left).exists()
    assert contents(tmp_path / "here") == contents(published)
    assert (there.stat().st_mtime_ns, there.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_what_was_killed_before_git_began_goes_on(tmp_path, published):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / lock.NAME).touch()
    assert fetch.dance_with_melody(tmp_path / "here", f"file://{published}").pairs == PAIRS


def test_while_git_is_at_work_no_other_process_works_in_the_folder(tmp_path, published, monkeypatch):
    run, refused = fetch._git, []

    def beside_another(folder, *arguments):
        with pytest.raises(OutputError, match="is at work in"), lock.alone_in(folder, "another", wait=False):
            pass
        refused.append(arguments[0])
        return run(folder, *arguments)

    monkeypatch.setattr(fetch, "_git", beside_another)
    assert fetch.dance_with_melody(tmp_path / "here", f"file://{published}").pairs == PAIRS
    assert {"init", "fetch", "checkout"} <= set(refused)


def test_a_file_that_was_damaged_or_lost_is_mended(tmp_path, published):
    url = f"file://{published}"
    folder = fetch.dance_with_melody(tmp_path / "here", url).folder
    (folder / PAIRS[0] / "audio.mp3").write_bytes(b"half")
    (folder / PAIRS[1] / "config.json").unlink()
    shutil.rmtree(folder / PAIRS[2])
    assert fetch.dance_with_melody(folder, url).lacking == ()
    assert contents(folder) == contents(published)


def test_a_pair_that_is_published_without_a_file_is_named(tmp_path, published, capfd):
    (published / PAIRS[1] / "audio.mp3").unlink()
    commit(published)
    fetched = fetch.dance_with_melody(tmp_path / "here", f"file://{published}")
    assert fetched.pairs == (PAIRS[0], PAIRS[2]) and fetched.lacking == ("DANCE_R_2/audio.mp3",)
    assert "2 pairs of 61 published\nlacking: DANCE_R_2/audio.mp3" in capfd.readouterr().err


def test_a_link_in_the_repository_is_not_made_a_link(tmp_path, published):
    (published / PAIRS[0] / "config.json").unlink()
    (published / PAIRS[0] / "config.json").symlink_to("/etc/hostname")
    commit(published)
    fetched = fetch.dance_with_melody(tmp_path / "here", f"file://{published}")
    assert not (fetched.folder / PAIRS[0] / "config.json").is_symlink()


def test_a_repository_of_something_else_is_refused(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    git(other, "init", "--quiet")
    commit(other)
    with pytest.raises(CorpusError, match="holds no folders DANCE_"):
        fetch.dance_with_melody(tmp_path / "here", f"file://{other}")


def test_a_repository_that_is_not_there_and_a_folder_with_other_files_are_refused(tmp_path):
    told = r"git fetch failed \(.*does not appear to be a git repository .* exists\.\); .* call it again"
    with pytest.raises(CorpusError, match=told):
        fetch.dance_with_melody(tmp_path / "here", f"file://{tmp_path}/nowhere")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(CorpusError, match="mine holds other files"):
        fetch.dance_with_melody(tmp_path / "mine", f"file://{tmp_path}/nowhere")


def test_without_git_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CorpusError, match="git is not installed"):
        fetch.dance_with_melody(tmp_path / "here")


NETWORK = {"socket", "ssl", "urllib", "urllib3", "http", "requests", "ftplib", "aiohttp", "httpx", "pooch"}
PROGRAMS = {"git", "curl", "wget"}
ASKS_GIT = {"fetch": {"git"}, "checkpoint": {"git"}}  # the latter for the commit of the code that runs


def reached(module: ast.AST) -> set[str]:
    """Packages of the network that a module imports, and programs that its strings begin with, wherever in it."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names} & NETWORK
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & NETWORK
        elif isinstance(node, ast.Call) and re.search(r"\b(import_module|__import__)$", ast.unparse(node.func)):
            found |= {ast.unparse(name).strip("'").partition(".")[0] for name in node.args} & NETWORK
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {Path(word).name for word in node.value.split()[:1]} & PROGRAMS
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import urllib.request", "import json, requests as ask", "from http import client",
        "importlib.import_module('urllib.request')", "subprocess.run(['git', 'clone', url], check=True)",
        "command = ('/usr/bin/curl', url)", "os.system(f'wget {url}')",
    ],
)  # fmt: skip
def test_what_reaches_the_network_is_seen_inside_a_function_too(line):
    assert reached(ast.parse(line)) and reached(ast.parse(f"def lazy(url):\n    if url:\n        {line}"))


def test_nothing_else_in_d2m_fetches_or_knows_the_network():
    for name, path in test_project.MODULES.items():
        assert "fetch" not in test_project.own_imports(path), name
        assert reached(test_project.tree(path)) <= ASKS_GIT.get(name, set()), name
        assert name == "fetch" or not re.search(r"\b(https?|ftp)://", path.read_text()), name
    asked = [node for node in ast.walk(test_project.tree(test_project.MODULES["checkpoint"]))
             if isinstance(node, ast.List) and reached(node)]  # fmt: skip
    assert [node.elts[3].value for node in asked] == ["describe"]  # which is local
