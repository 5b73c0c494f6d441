"""Every example of Python in the README and in the pages runs, on small folders; every link leads somewhere."""

import re

import numpy as np
import pytest
from test_commands import PAGES, blocks

from d2m.files import ROOT
from d2m.motion import dance as dance_files
from d2m.motion.dance import Dance

# Examples that `test_formats` runs.
ELSEWHERE = (
    '"fps": 29.97', '"world_landmarks": [[', "data/melody", '"pose_keypoints_2d"', 'Path("aist")', "bvh.read",
    "write_json(", "Player(dance)",
)  # fmt: skip


def run(containing: str, **replaced: str) -> dict:
    """The variables of the example that contains a text, with other texts in it replaced."""
    (example,) = (block for block in blocks("python") if containing in block)
    for text, other in replaced.items():
        assert text in example
        example = example.replace(text, other)
    names: dict = {}
    exec(compile(example, "an example", "exec"), names)
    return names


def test_every_example_is_run_by_a_test():
    tested = ("metrics.evaluate", "corpus.load(entry)", "parallel_config", *ELSEWHERE)
    assert [sum(text in block for text in tested) for block in blocks("python")] == [1] * len(tested)


def test_the_evaluator_scores_a_folder_of_dances(small_corpus, body_at, tmp_path, capsys):
    poses = body_at(np.arange(90) / 15).astype(np.float32)
    for seed, style in enumerate(small_corpus.styles):
        dance = Dance(poses, np.arange(0.3, 6, 0.6), np.array([2.0]), style, seed, None)
        dance_files.write_npz(dance, tmp_path / f"a_song_{style}_{seed}.npz")
    folders = {'"builtin"': f'"{small_corpus.folder}"', "runs/builtin-demo/dances": str(tmp_path)}
    names = run("metrics.evaluate", **folders)
    assert len(names["dances"]) == 3 and "real" in names["table"]["beat hit rate"]["controls"]
    assert "| beat hit rate |" in capsys.readouterr().out


def test_a_written_corpus_is_read(small_corpus, capsys):
    run("corpus.load(entry)", **{"path/to/folder": str(small_corpus.folder)})
    assert re.fullmatch(r"\S+ \(\d+, 14, 3\) \(\)\n", capsys.readouterr().out)


def test_a_corpus_is_built_on_a_cluster(tmp_path, own_cache, write_pair):
    write_pair(tmp_path / "melody")
    local = "n_workers=1, threads_per_worker=1, dashboard_address=None"
    replaced = {'"scheduler:8786"': local, "path/to/Dance with Melody": str(tmp_path / "melody")}
    assert [entry.name for entry in run("parallel_config", **replaced)["corpus"].entries] == ["DANCE_C_1"]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)", PAGES[page])
    assert links or page in ("d2m/experiments/SCALE.md", "d2m/DEPENDENCIES.md")
    for path, _, anchor in (link.partition("#") for link in links if "://" not in link):
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), anchor
