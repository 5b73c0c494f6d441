"""`d2m.data.builtin.clips`: songs on disk with their dances, from a seed, split by song."""

import itertools

import numpy as np

from d2m.data.builtin import clips, dancers, songs
from d2m.music import audio

ONE_STEP = 1.5 / 32767  # 16 bits round by half a step, and 1 is written as 32767 and read as 32767 / 32768


def test_the_corpus_has_sixty_songs_of_forty_minutes_and_of_twenty_of_a_style_three_validate_and_three_test(tmp_path):
    count = clips.SONGS_PER_STYLE * len(songs.STYLES)
    assert count >= 60 and count * clips.DURATION_S / 60 >= 40
    splits = [clips.make_clip(tmp_path, "zumba", number, duration_s=2.0).split for number in range(20)]
    assert sorted(splits, key=("train", "validation", "test").index) == splits
    assert [splits.count(split) for split in ("train", "validation", "test")] == [14, 3, 3]


def test_songs_beyond_the_usual_number_are_trained_on_and_the_others_keep_their_split(tmp_path):
    usual, larger = (
        [clips.make_clip(tmp_path, "zumba", number, 0, songs_per_style, 2.0).split for number in range(24)]
        for songs_per_style in (clips.SONGS_PER_STYLE, 80)
    )
    assert larger[:20] == usual[:20] and set(larger[20:]) == {"train"}


def test_a_dance_is_to_the_loudness_of_its_song(tmp_path):
    clip, song = clips.make_clip(tmp_path, "hip-hop", 1, duration_s=12.0), songs.song("hip-hop", 12.0, 1)
    poses, _ = dancers.dance("hip-hop", song.beats_s, song.metre, 12.0, 1, song.loudness)
    np.testing.assert_array_equal(clip.poses, poses)
    assert np.abs(dancers.dance("hip-hop", song.beats_s, song.metre, 12.0, 1)[0] - poses).max() > 0.01


def test_clips_are_songs_on_disk_with_their_dances_and_every_split_has_every_style(small_clips):
    assert {(clip.style, clip.split) for clip in small_clips} == set(
        itertools.product(songs.STYLES, ("train", "validation", "test"))
    )
    assert len({clip.name for clip in small_clips}) == len({clip.group for clip in small_clips}) == len(small_clips)
    for clip in small_clips:
        samples, rate = audio.load(clip.song)
        assert len(samples) / rate == 20.0 and len(clip.poses) == 300 and len(clip.beats_s) > 10


def test_the_same_seed_makes_the_same_bytes_and_another_seed_replaces_the_written_song(tmp_path):
    contents = []
    for seed in (0, 0, 1):
        clip = clips.make_clip(tmp_path, "hip-hop", 1, seed, duration_s=6.0)
        contents.append((clip.song.read_bytes(), clip.poses.tobytes()))
    first, again, other = contents
    assert first == again and first[0] != other[0] and first[1] != other[1]
    expected = songs.song("hip-hop", 6.0, 10_001).samples
    np.testing.assert_allclose(audio.load(clip.song)[0], expected, atol=ONE_STEP)
