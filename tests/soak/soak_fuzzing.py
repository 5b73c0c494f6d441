"""Twelve thousand damaged files, other ones than those of `make test`."""

from test_fuzzing import assert_well, fuzz

COUNT = 12_000


def test_twelve_thousand_damaged_files_are_read_or_refused_by_name(tmp_path):
    made = fuzz(tmp_path, COUNT, 1, patience_s=14_400)
    print(f"\n| reader | read | refused |  (at most {made['peak_mb']} MB, {made['before_mb']} before)")
    for reader, counts in made["counts"].items():
        print(f"| {reader} | {counts.get('read', 0)} | {counts.get('refused', 0)} |")
    assert_well(made, COUNT)
