"""Composing: phrases by the MM-GAN, each after the one before, and runs of training dances that are replayed."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from toys import GAN, MIXED_GAN, PAPER_GAN, PAPER_VAE, VAE, new_mmgan, new_vae

from d2m.data import dataset
from d2m.generation.compose import COMPOSERS, REPLAYED, TEMPO_SCALE, Composer, Replay
from d2m.models.gan import Context, GANConfig
from d2m.models.vae import VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

PHRASES = 4
FORMS = {"demo": (GAN, VAE), "mixed": (MIXED_GAN, VAE), "paper": (PAPER_GAN, PAPER_VAE)}
EACH_FORM = pytest.mark.parametrize(("config", "vae"), FORMS.values(), ids=FORMS)


def composer_of(config: GANConfig, vae: VAEConfig = VAE) -> Composer:
    return Composer(new_mmgan(config, vae).eval())


def music(phrase: int, phrases: int = PHRASES) -> dict[str, Tensor]:
    """The music of a song of `phrases` phrases: all of it is noise."""
    generator = torch.Generator().manual_seed(9)
    s = torch.softmax(torch.randn(phrases, 3, generator=generator), dim=1)
    beat_s = 0.4 + 0.3 * torch.rand(phrases, generator=generator)
    return {"s": s, "beat_s": beat_s, "audio": torch.randn(4 * phrase * phrases, 28, generator=generator)}


def compose(composer: Composer | Replay, song: dict[str, Tensor], *seeds: int) -> Tensor:
    """The dances of these seeds to a song."""
    return composer.compose(**song, generators=generators(*seeds))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@EACH_FORM
def test_the_same_generator_composes_the_same_and_another_otherwise(config, vae):
    composer = composer_of(config, vae)
    song = music(config.phrase)
    one, again, other = (compose(composer, song, seed) for seed in (5, 5, 4))
    assert composer.phrase == config.phrase and one.shape == (config.phrase * PHRASES, 1, 8)
    assert torch.equal(one, again)
    assert ((one - other).abs().amax(dim=2) > 1e-3).all()


@EACH_FORM
def test_a_dance_depends_on_its_own_generator_alone(config, vae):
    composer, song = composer_of(config, vae), music(config.phrase)
    together = compose(composer, song, *range(5))
    for seed in range(5):
        alone = compose(composer, song, seed)
        torch.testing.assert_close(together[:, seed : seed + 1], alone, atol=1e-5, rtol=1e-4)
    beside_others = compose(composer, song, 7, 2, 9)
    torch.testing.assert_close(beside_others[:, 1], together[:, 2], atol=1e-5, rtol=1e-4)


def recorded(composer: Composer, monkeypatch) -> list[tuple[Context, Tensor, Tensor, Tensor]]:
    """The context, noise, z~_dan and movements of each phrase that is composed from now on."""
    calls, mmgan = [], composer.mmgan
    encode, decode = mmgan.encode_music, mmgan.decode_dance
    noises = []

    def encode_music(context: Context, noise: Tensor) -> Tensor:
        noises.append((context, noise))
        return encode(context, noise)

    def decode_dance(z_dan: Tensor, context: Context) -> Tensor:
        codes = decode(z_dan, context)
        assert noises[-1][0] is context  # both are given the same
        calls.append((context, noises[-1][1], z_dan, codes))
        return codes

    monkeypatch.setattr(mmgan, "encode_music", encode_music)
    monkeypatch.setattr(mmgan, "decode_dance", decode_dance)
    return calls


@EACH_FORM
def test_each_phrase_is_composed_for_its_own_music(config, vae, monkeypatch):
    composer, song = composer_of(config, vae), music(config.phrase)
    calls = recorded(composer, monkeypatch)
    codes = compose(composer, song, 1, 2)
    assert len(calls) == PHRASES
    for number, (context, noise, z_dan, phrase) in enumerate(calls):
        beats = slice(4 * config.phrase * number, 4 * config.phrase * (number + 1))
        for dance in (0, 1):
            assert torch.equal(context.style[dance], song["s"][number])
            assert context.beat_s[dance] == song["beat_s"][number]
            assert torch.equal(context.audio[dance], song["audio"][beats])
            # The movements of a phrase come one after another.
            of_phrase = codes[config.phrase * number : config.phrase * (number + 1), dance]
            assert torch.equal(of_phrase, phrase[dance])
        assert noise.shape == (2, composer.mmgan.noise_width) and z_dan.shape == (2, 6)
    noises = torch.cat([noise for _, noise, _, _ in calls])
    assert len(noises.unique(dim=0)) == 2 * PHRASES  # of each phrase and dance its own


@pytest.mark.parametrize("phrase", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_each_phrase_is_given_the_last_movement_of_the_one_before_and_the_first_none(phrase, noise, monkeypatch):
    composer = composer_of(replace(GAN, phrase=phrase, previous_noise=noise))
    calls, dances = recorded(composer, monkeypatch), 400
    compose(composer, music(phrase), *range(dances))
    assert torch.equal(calls[0][0].previous, torch.zeros(dances, 9))
    for (_, _, _, codes), (context, _, _, _) in pairwise(calls):
        assert (context.previous[:, -1] == 1).all()
        added = context.previous[:, :-1] - codes[:, -1]
        # 400 draws: a deviation is known to 3.5 %; five times that are allowed.
        torch.testing.assert_close(added.std(0), torch.full((8,), noise), rtol=0.18, atol=1e-6)
        assert added.mean(0).abs().max() <= 5 * noise / dances**0.5 + 1e-6


def test_a_movement_follows_its_music_and_all_that_came_before(monkeypatch):
    composer, song = composer_of(GAN), music(1)
    before = compose(composer, song, 3)
    for name, changed in (
        ("s", song["s"].roll(1, dims=1)),
        ("beat_s", song["beat_s"] * 1.3),
        ("audio", song["audio"] + 1),
    ):
        values = song[name].clone()
        begin = 2 * len(values) // PHRASES  # from the third phrase on
        values[begin:] = changed[begin:]
        after = compose(composer, {**song, name: values}, 3)
        assert torch.equal(after[:2], before[:2])
        assert ((after[2:] - before[2:]).abs().amax(dim=(1, 2)) > 1e-4).all(), name
    values = song["audio"].clone()
    values[:4] += 1  # the first phrase only: the next is given its movement
    after = compose(composer, {**song, "audio": values}, 3)
    assert ((after[:2] - before[:2]).abs().amax(dim=(1, 2)) > 1e-5).all()


def test_a_deaf_one_composes_the_same_to_any_audio():
    composer, song = composer_of(replace(GAN, hears=False)), music(1)
    one, other = (compose(composer, {**song, "audio": audio}, 3) for audio in (
        song["audio"], song["audio"].flip(0)
    ))  # fmt: skip
    assert torch.equal(one, other)


def test_the_published_form_composes_each_phrase_by_itself_for_its_style_alone():
    composer, song = composer_of(PAPER_GAN, PAPER_VAE), music(3)
    before = compose(composer, song, 3)
    changed = {"beat_s": song["beat_s"] * 2, "audio": song["audio"] + 1}
    assert torch.equal(compose(composer, (song | changed), 3), before)
    s = song["s"].clone()
    s[1] = s[1].roll(1)
    after = compose(composer, (song | {"s": s}), 3)
    is_same = (after == before).all(dim=2)[:, 0]
    assert is_same.tolist() == [True] * 3 + [False] * 3 + [True] * 6


# Twelve runs of three units, four of each style; unit number u is encoded as u in all directions.
RUN_STYLES = torch.arange(3).repeat_interleave(4)
RUN_UNITS = 100 * torch.arange(12)[:, None] + torch.arange(3)


def replaying(inside: Tensor | None = None, beat_s: Tensor | None = None) -> Replay:
    data = SimpleNamespace(
        phrase_inside=torch.ones(12, dtype=torch.bool) if inside is None else inside, phrase_styles=RUN_STYLES,
        phrase_units=RUN_UNITS, beat_s=lambda: torch.full((12,), 0.5) if beat_s is None else beat_s,
        units=lambda index: index,
    )  # fmt: skip
    vae = SimpleNamespace(encode_movement=lambda units: (units[:, None].expand(-1, 8).float(), None))
    return Replay(vae, data)


def replayed(replay: Replay, s: Tensor, beat_s: Tensor, *seeds: int) -> Tensor:
    """The run of each phrase and dance: (phrases, dances)."""
    codes = compose(replay, {"s": s, "beat_s": beat_s, "audio": torch.randn(12 * len(s), 28)}, *seeds)
    assert codes.shape == (REPLAYED * len(s), len(seeds), 8)
    units = codes[..., 0].unflatten(0, (len(s), REPLAYED))
    assert (codes == codes[..., :1]).all()
    assert torch.equal(units % 100, torch.arange(3.0)[:, None].expand_as(units))  # a run is whole and in its order
    assert (units // 100 == units[:, :1] // 100).all()
    return (units[:, 0] // 100).int()


def test_runs_are_replayed_of_the_style_of_the_music():
    s = torch.eye(3)[[0, 2, 2, 1]]
    runs = replayed(replaying(), s, torch.full((4,), 0.5), *range(60))
    assert Replay.phrase == REPLAYED == 3 and torch.equal(
        RUN_STYLES[runs], torch.tensor([0, 2, 2, 1])[:, None].expand(4, 60)
    )
    assert all(len(of_phrase.unique()) == 4 for of_phrase in runs)  # any of the four
    assert len({tuple(dance) for dance in runs.T.tolist()}) > 40  # and any after any other


@pytest.mark.parametrize("beat_s", [0.5, 0.6, 1.2])
def test_tempo_chooses_among_the_runs_of_a_style_and_s_the_style(beat_s):
    of_runs, s = torch.tensor([0.5, 0.55, 0.6, 1.0]).repeat(3), torch.tensor([0.7, 0.3, 0.0])
    of_runs[4:8] *= 3  # runs of the second style are all far slower, which does not make the style less likely
    runs = replayed(replaying(beat_s=of_runs), s.expand(3000, 3), torch.full((3000,), beat_s), 0)[:, 0]
    shares = torch.bincount(runs, minlength=12) / 3000
    in_tempo = torch.exp(-(of_runs / beat_s).log().abs() / TEMPO_SCALE).view(3, 4)
    expected = (s[:, None] * in_tempo / in_tempo.sum(dim=1, keepdim=True)).flatten()
    # Of 3,000 draws, five deviations at most.
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / 3000).sqrt() + 1e-3).all()


def test_only_runs_from_inside_dances_are_replayed():
    inside = torch.arange(12) % 4 != 1
    runs = replayed(replaying(inside), torch.ones(40, 3) / 3, torch.full((40,), 0.5), *range(10))
    assert set(runs.flatten().tolist()) == set(torch.nonzero(inside)[:, 0].tolist())


def test_a_replayed_dance_depends_on_its_own_generator_alone():
    song = torch.ones(20, 3) / 3, torch.full((20,), 0.5)
    together = replayed(replaying(), *song, 1, 2, 3)
    assert torch.equal(together[:, 1:2], replayed(replaying(), *song, 2))
    assert not torch.equal(together[:, 0], together[:, 1])


def test_a_replay_is_of_real_movements_that_follow_each_other_in_a_training_dance(small_corpus):
    data, vae = dataset.load(small_corpus, "train", phrase=REPLAYED), new_vae()
    s = torch.eye(3)[[0, 1, 2, 1]]
    song = {"s": s, "beat_s": torch.full((4,), 0.6), "audio": torch.zeros(48, 28)}
    codes = compose(Replay(vae, data), song, 0, 1)
    with torch.no_grad():
        units = vae.encode_movement(data.units(torch.arange(len(data.unit_rows))))[0]
    runs = units[data.phrase_units].flatten(1)  # (K, 24)
    distance, nearest = (codes.unflatten(0, (4, 3)).transpose(1, 2).flatten(2)[:, :, None] - runs).abs().amax(3).min(2)
    assert distance.max() < 1e-5 and data.phrase_inside[nearest].all()
    assert torch.equal(data.phrase_styles[nearest], torch.tensor([0, 1, 2, 1])[:, None].expand(4, 2))


def test_there_are_two_composers():
    assert COMPOSERS == ("generate", "replay")
