"""Joint errors in cm: of a DU-VAE that reconstructs exactly, and of the mean pose."""

import pytest
import torch

from d2m.experiments import run_evaluation
from d2m.motion.units import LEAD

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(("offset_m", "expected_cm"), [(0.0, 0.0), (0.07, 7 / 14)])
def test_an_exact_vae_has_no_joint_error_and_one_of_14_joints_7_cm_off_half_a_centimetre(
    tiny_run, monkeypatch, offset_m, expected_cm
):
    def move(lead: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        unit = torch.cat([lead, code[:, LEAD:]], dim=1)
        unit[..., 4 + 7 * 3] += offset_m  # x of the left wrist
        return unit

    monkeypatch.setattr(tiny_run.train_vae(), "encode_movement", lambda unit: (unit, unit))
    monkeypatch.setattr(tiny_run.train_vae(), "move", move)
    errors = run_evaluation.joint_errors(tiny_run)
    assert {style: row["d2m"] for style, row in errors.items()} == {
        style: pytest.approx(expected_cm, abs=1e-4) for style in ("ballet", "hip-hop", "zumba")
    }


def test_the_error_of_the_mean_pose_is_that_of_the_training_splits_mean(tiny_run):
    data = tiny_run.units("validation")
    units = data.units(torch.nonzero(data.unit_styles == 1)[:, 0])[:, LEAD:]
    joints = units[..., 4:].unflatten(-1, (14, 3)).double()
    mean = tiny_run.units("train").statistics()[0][4:].view(14, 3).double()
    # Features have the hips at the origin of the floor, errors are relative to the middle of both hips.
    joints, mean = (points - (points[..., 8:9, :] + points[..., 11:12, :]) / 2 for points in (joints, mean))
    expected = 100 * float((joints - mean).norm(dim=-1).mean())
    assert run_evaluation.joint_errors(tiny_run)["hip-hop"]["mean pose"] == pytest.approx(expected, rel=1e-4)
