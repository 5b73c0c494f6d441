"""Composing: draws that fit the style, the choice of what follows, a dance for each generator."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from toys import GAN, INVENTING_GAN, PAPER_GAN, PAPER_VAE, VAE, new_mmgan

from d2m.generation.compose import TEMPO_SCALE, RepertoireComposer, RepertoireMMGAN, composer_for
from d2m.models.gan import MMGAN, GANConfig
from d2m.models.vae import VAEConfig

pytestmark = pytest.mark.usefixtures("one_thread")

RUNS = 4
ONE = torch.tensor(1.0)  # a beat that lasts a second


def remembering(**changes) -> RepertoireMMGAN:
    """An MM-GAN with a repertoire of 12 phrases, four of each style; the code of a movement is 10 * phrase + movement.

    E_dan and G_dan keep codes as they are.
    """
    model = new_mmgan(replace(GAN, dance_size=24, **changes)).eval()
    said = 10.0 * torch.arange(12)[:, None, None] + torch.arange(3)[:, None]
    model.repertoire.copy_(said.expand(12, 3, 8))
    model.encode_dance = lambda codes: (codes.flatten(1), torch.full((len(codes), 24), -30.0))
    model.decode_dance = lambda z_dan: z_dan.unflatten(1, (3, 8))
    model.regress_style = lambda z_dan: torch.eye(3)[(z_dan[:, 0] / 40).int()]
    return model


def composed(model: RepertoireMMGAN, s: torch.Tensor, seeds=(0,)) -> torch.Tensor:
    """What movements say: (dances, phrases, phrase)."""
    audio = torch.randn(12 * len(s), 28, generator=torch.Generator().manual_seed(9))
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    codes = composer_for(model).compose(s, torch.ones(len(s)), audio, generators)
    assert codes.shape == (3 * len(s), len(seeds), 8)
    return codes[..., 0].T.unflatten(1, (len(s), 3))


def test_a_composed_phrase_is_one_of_the_repertoire_in_the_style_of_the_music():
    s = torch.eye(3)[[0, 2, 2, 1]]
    said = composed(remembering(), s, range(20)).round().int()
    assert (said % 10 == torch.arange(3)).all() and (said // 10 == said[..., :1] // 10).all()
    assert (said[..., 0] // 40 == torch.tensor([0, 2, 2, 1])).all()
    assert len(set(said[:, 0, 0].tolist())) == 4  # twenty dances begin with each of the four phrases


@pytest.mark.parametrize(("style", "share"), [((0.5, 0.5, 0.0), 0.5), ((0.6, 0.4, 0.0), 1 / (1 + 2.718281828**-4))])
def test_of_an_undecided_style_phrases_are_drawn_by_how_well_they_fit(style, share):
    composer = composer_for(remembering())
    drawn = composer.draw(torch.tensor(style), ONE, 2000, [torch.Generator().manual_seed(0)])[0, :, 0].round() // 40
    # Of 2,000 draws, five deviations of sqrt(p (1 - p) / 2000) at most.
    assert float((drawn == 0).float().mean()) == pytest.approx(share, abs=5 * (share * (1 - share) / 2000) ** 0.5)
    assert (drawn < 2).all()  # e^-10 against e^-20: none of 2,000


def test_phrases_are_drawn_that_were_danced_at_the_tempo_of_the_music():
    model = remembering()
    model.repertoire_beat_s.copy_(torch.tensor([0.5, 0.55, 0.6, 1.0]).repeat(3))
    generator = torch.Generator().manual_seed(0)
    for beat_s, nearest in ((0.5, 0), (0.6, 2), (1.2, 3)):
        drawn = composer_for(model).draw(torch.eye(3)[1], torch.tensor(beat_s), 3000, [generator])[0, :, 0].round() / 10
        share = torch.bincount(drawn.int() - 4, minlength=4) / 3000
        expected = torch.exp(-(model.repertoire_beat_s[:4] / beat_s).log().abs() / TEMPO_SCALE)
        assert share.argmax() == nearest
        torch.testing.assert_close(share, expected / expected.sum(), atol=0.05, rtol=0)  # five deviations at most


def test_a_draw_varies_what_is_remembered_as_the_encoder_is_unsure_of_it():
    model = remembering()
    model.encode_dance = lambda codes: (codes.flatten(1), torch.linspace(-4, 2, 24).expand(len(codes), -1))
    (drawn,) = composer_for(model).draw(torch.eye(3)[0], ONE, 4000, [torch.Generator().manual_seed(0)])
    _, phrase = torch.unique((drawn[:, 0] / 10).round(), return_inverse=True)
    for number in range(4):
        deviation = drawn[phrase == number].std(0)
        torch.testing.assert_close(deviation, torch.exp(torch.linspace(-4, 2, 24) / 2), rtol=0.12, atol=0)


def test_what_the_discriminator_takes_for_real_is_what_follows():
    model, calls = remembering(candidates=200), []

    def discriminate(codes: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
        calls.append((codes, audio))
        said = codes[..., 0].round()
        # Only the phrase that has the next number follows, whichever movements of the two are in the window.
        return torch.where((said[:, -1] // 10 - said[:, 0] // 10) == 1, 50.0, -50.0)[:, None]

    model.discriminate_movements = discriminate
    said = composed(model, torch.ones(3, 3) / 3, seeds=(1, 2)).round().int() // 10
    follows = [int(b - a) == 1 for dance in said[..., 0] for a, b in pairwise(dance) if a < 11]
    assert follows and all(follows)
    audio = torch.randn(36, 28, generator=torch.Generator().manual_seed(9))
    # After each phrase but the last: windows from its second movement on, of both dances, then from its third.
    for (codes, rows), phrase in zip(calls, (0, 1), strict=True):
        assert codes.shape == (2 * 2 * 200, 3, 8)
        for window, first in enumerate((12 * phrase + 4, 12 * phrase + 8)):
            its = slice(400 * window, 400 * (window + 1))
            assert (rows[its] == audio[first : first + 12]).all()  # the beats that it is danced to
            kept = codes[its, :, 0].round() // 10 == codes[its, :1, 0].round() // 10
            assert kept[:, : 2 - window].all()
            begun = codes[its, 0, 0].round() // 10  # the draws of a dance stand beside its own last phrase
            assert (begun[:200] == said[0, phrase, 0]).all() and (begun[200:] == said[1, phrase, 0]).all()


def test_the_discriminator_sees_what_is_decoded_from_the_repertoire():
    model, seen = remembering(candidates=7), []
    model.decode_dance = lambda z_dan: z_dan.unflatten(1, (3, 8)) + 1000
    model.discriminate_movements = lambda codes, audio: seen.append(codes) or torch.zeros(len(codes), 1)
    composed(model, torch.ones(3, 3) / 3)
    assert len(seen) == 2 and all((codes > 999).all() for codes in seen)


# Number 3 of four phrases has a logit of ln 3 (3 of 6), or wins wherever a draw is 3. Five deviations of 0.029.
@pytest.mark.parametrize(("candidates", "logit", "share"), [(40, 1.0986, 0.5), (5, 50.0, 1 - 0.75**5)])
def test_the_discriminator_gives_the_chances_of_all_phrases_but_the_first(candidates, logit, share):
    model = remembering(candidates=candidates)
    model.discriminate_movements = lambda codes, audio: torch.where(codes[:, -1, :1].round() // 10 == 3, logit, 0.0)
    said = composed(model, torch.eye(3)[[0, 0]], range(300))[:, :, 0].round() // 10
    for number, expected in ((0, 0.25), (1, share)):
        assert float((said[:, number] == 3).float().mean()) == pytest.approx(expected, abs=0.15)


def test_without_a_game_a_phrase_is_drawn_once_and_taken(monkeypatch):
    model, calls, candidates = remembering(adversarial_weight=0.0), [], RepertoireComposer._candidates
    monkeypatch.setattr(model, "discriminate_movements", None)
    monkeypatch.setattr(RepertoireComposer, "_candidates", lambda *args: calls.append(candidates(*args)) or calls[-1])
    said = composed(model, torch.eye(3)[[1, 1, 1]])
    assert [phrases.shape for phrases in calls] == [(1, 3, 1)]
    assert torch.equal(said[0, :, 0].round() / 10, calls[0][0, :, 0].float())


def random(config: GANConfig, vae: VAEConfig) -> MMGAN:
    """An untrained MM-GAN; its repertoire, where it has one, is noise."""
    model = new_mmgan(config, vae).eval()
    if config.repertoire:
        model.repertoire.copy_(torch.randn(model.repertoire.shape))
    return model


@pytest.mark.parametrize(("config", "vae"), [(GAN, VAE), (INVENTING_GAN, VAE), (PAPER_GAN, PAPER_VAE)])
def test_composing_repeats_with_its_generator_and_follows_the_style(config, vae):
    model = random(config, vae)
    for layer in model.style:
        if hasattr(layer, "weight"):
            torch.nn.init.normal_(layer.weight)
    one, other = torch.eye(3)[:1].repeat(RUNS, 1), torch.eye(3)[1:2].repeat(RUNS, 1)
    audio = torch.randn(12 * RUNS, 28)

    def dance(s: torch.Tensor, seed: int) -> torch.Tensor:
        return composer_for(model).compose(s, torch.ones(RUNS), audio, [torch.Generator().manual_seed(seed)])

    first = dance(one, 5)
    assert first.shape == (3 * RUNS, 1, 8) and torch.equal(first, dance(one, 5))
    assert (dance(one, 4) - first).abs().max() > 1e-3
    assert (dance(other, 5) - first).abs().max() > 1e-3


@pytest.mark.parametrize(("config", "vae"), [(GAN, VAE), (PAPER_GAN, PAPER_VAE)])
def test_a_dance_is_composed_alike_alone_and_beside_others(config, vae):
    arguments = torch.softmax(torch.randn(RUNS, 3), dim=1), torch.ones(RUNS), torch.randn(12 * RUNS, 28)
    composer = composer_for(random(config, vae))
    together = composer.compose(*arguments, [torch.Generator().manual_seed(seed) for seed in range(5)])
    for seed in range(5):
        alone = composer.compose(*arguments, [torch.Generator().manual_seed(seed)])
        torch.testing.assert_close(together[:, seed : seed + 1], alone, atol=1e-5, rtol=1e-4)


def test_what_the_repertoire_might_bring_begins_as_one_phrase_and_goes_on_as_another_of_its_style():
    torch.manual_seed(0)
    # Run r of style r // 3, its movements m: codes that say 10 r + m.
    codes = (10.0 * torch.arange(9)[:, None, None] + torch.arange(3)[:, None]).expand(9, 3, 8)
    styles = torch.eye(3).repeat_interleave(3, dim=0)
    model, lengths = new_mmgan(), set()
    for _ in range(30):
        said = model.recombine(codes, styles)
        assert (said == said[..., :1]).all()  # movements stay whole
        for number, movements in enumerate(said[..., 0].int().tolist()):
            phrase, place = [m // 10 for m in movements], [m % 10 for m in movements]
            kept = phrase.count(number)
            assert phrase[:kept] == [number] * kept and place[:kept] == list(range(kept))
            other = set(phrase[kept:])
            assert len(other) == 1 and other != {number} and other.pop() // 3 == number // 3
            assert place[kept:] == list(range(3 - kept))
            lengths.add(kept)
    assert lengths == {1, 2}


def test_reconstructions_on_the_real_side_stand_on_the_other_too(played_phrases, monkeypatch):
    model, seen = new_mmgan(replace(GAN, real_is_reconstruction=True)), []
    monkeypatch.setattr(model, "decode_dance", lambda z_dan: played_phrases["codes"] + 7.0)
    recombined = model.recombine
    monkeypatch.setattr(model, "recombine", lambda codes, style: seen.append(codes) or recombined(codes, style))
    model(played_phrases, 0, "discriminator")
    assert torch.equal(seen[0], played_phrases["codes"] + 7.0)


def test_a_batch_of_one_phrase_goes_on_as_itself():
    codes = torch.randn(1, 3, 8)
    recombined = new_mmgan().recombine(codes, torch.ones(1, 3) / 3)
    assert any(torch.equal(recombined, codes[:, places]) for places in ([0, 0, 1], [0, 1, 0]))


def test_the_discriminator_learns_to_tell_what_follows_from_what_does_not(played_phrases):
    torch.manual_seed(0)
    model = new_mmgan(replace(GAN, hidden=64))
    optimiser = torch.optim.Adam(model.players()["discriminator"], lr=2e-3)
    first = torch.randn(4096, 1, 8)
    phrases = first + 1.5 * torch.arange(3)[:, None]  # each movement follows from the one before
    style, audio = torch.ones(4096, 3) / 3, torch.zeros(4096, 12, 28)
    for step in range(150):
        rows = torch.arange(64) + 64 * (step % 60)
        batch = {"codes": phrases[rows], "style": style[rows], "audio": audio[rows]}
        optimiser.zero_grad()
        model(batch, step, "discriminator")["total"].backward()
        optimiser.step()
    unseen = phrases[3840:]
    with torch.no_grad():
        real = model.discriminate_movements(unseen, audio[3840:])
        recombined = model.discriminate_movements(model.recombine(unseen, style[3840:]), audio[3840:])
    assert (real > recombined.flip(0)).float().mean() > 0.9
