from __future__ import annotations

import dojo


def test_the_public_names_are_these_and_all_exist() -> None:
    assert dojo.__all__ == [
        *(
            "Drive",
            "CameraStream",
            "Telemetry",
            "Signal",
            "EgoMotion",
            "Provenance",
            "Rejection",
            "Frame",
            "VideoChunk",
        ),
        *("Clip", "TRAJECTORY_TIMES_S", "Batch", "Plans", "Estimate", "MODEL_VIEW", "Camera", "Rigid", "DojoError"),
    ]
    assert all(hasattr(dojo, name) for name in dojo.__all__)
