from __future__ import annotations

import subprocess
import sys


def lesionbench(*arguments: object, status: int = 0) -> str:
    command = [sys.executable, "-m", "lesionbench", "data", "cut-rois", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert status == done.returncode, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_the_command_cuts_and_says_what_comes_next(make, tmp_path):
    out = tmp_path / "out"
    said = lesionbench(make.series(), "--mask", make.seg(), "--mask-label", "1=cyst", "--out", out)
    assert f"1 ROI (cyst 1, metastasis 0, hemangioma 0) of 1 patient in {out}" in said
    assert f"next: lesionbench data check liver-lesion --data {out}" in said
    assert 1 == len(list(out.glob("cyst/*.png")))


def test_bad_input_is_one_message_and_exit_status_2(make, tmp_path):
    scan = make.path("broken.nii")
    scan.write_bytes(b"")
    said = lesionbench(scan, "--mask", make.mask(), "--label", "cyst", "--out", tmp_path / "out", status=2)
    assert 1 == len(said.strip().splitlines()) and said.startswith(f"lesionbench: {scan}: ")
    assert not (tmp_path / "out").exists()
