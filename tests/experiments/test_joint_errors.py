"""How far off a joint is, in cm: known where the DU-VAE is, and for the mean pose."""

import pytest
import torch

from d2m.experiments import run_evaluation
from d2m.motion.units import LEAD

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def perfect(tiny_run, monkeypatch):
    """The tiny run with a DU-VAE whose code is the movement itself, `off` metres beside in the left wrist."""

    def make(off: float):
        def move(lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
            made = torch.cat([lead, code[:, LEAD:]], dim=1)
            made[..., 4 + 7 * 3] += off
            return made

        monkeypatch.setattr(tiny_run.train_vae(), "encode_movement", lambda unit: (unit, unit))
        monkeypatch.setattr(tiny_run.train_vae(), "move", move)
        return tiny_run

    return make


def test_a_perfect_vae_has_no_joint_error_and_a_wrist_7_cm_off_half_a_centimetre(perfect):
    for off, expected in ((0.0, 0.0), (0.07, 7 / 14)):
        errors = run_evaluation.joint_errors(perfect(off))
        assert set(errors) == {"ballet", "hip-hop", "zumba"}
        for row in errors.values():
            assert row["d2m"] == pytest.approx(expected, abs=1e-4)


def test_the_error_of_the_mean_pose_is_that_of_the_training_splits_mean(tiny_run):
    data = tiny_run.dances("validation")
    units = data.units(torch.nonzero(data.unit_styles == 1)[:, 0])[:, LEAD:]
    joints = units[..., 4:].unflatten(-1, (14, 3)).double()
    mean = tiny_run.dances("train").statistics()[0][4:].view(14, 3).double()
    # Hips stand still in features, at the origin of the floor: the middle of both is taken off.
    joints, mean = (points - (points[..., 8:9, :] + points[..., 11:12, :]) / 2 for points in (joints, mean))
    expected = 100 * float((joints - mean).norm(dim=-1).mean())
    assert run_evaluation.joint_errors(tiny_run)["hip-hop"]["mean pose"] == pytest.approx(expected, rel=1e-4)
