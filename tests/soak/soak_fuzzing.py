"""Twelve thousand damaged files, different from those of `make test`."""

from test_fuzzing import assert_well, fuzz

COUNT = 12_000


def test_twelve_thousand_damaged_files_are_read_or_refused_by_name(tmp_path):
    result = fuzz(tmp_path, COUNT, 1, patience_s=14_400)
    print(f"\n| reader | read | refused |  (at most {result['peak_mb']} MB, {result['before_mb']} before)")
    for reader, counts in result["counts"].items():
        print(f"| {reader} | {counts.get('read', 0)} | {counts.get('refused', 0)} |")
    assert_well(result, COUNT)
