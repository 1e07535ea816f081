"""Implicit videos as TOSA and ONNX: the same pictures from other runtimes (SPEC EXP-1)."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numba
import numpy as np
import onnx_oracle
import pytest
import tosa_oracle

from refcodec.cli import main
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack
from refcodec.errors import ExportError
from refcodec.formats import IntFormat
from refcodec.interop.export import MANIFEST, NOTATIONS, export_video
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, HINERV, HNERV, tiny_video


def planes(video: InrVideo, index: int) -> np.ndarray:
    """What the program gives for a frame, (3, H, W)."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        return video.program.run(np.full((1, 1, 1), index))
    finally:
        numba.set_num_threads(before)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_onnx_gives_every_frame(name: str, bits: int) -> None:
    content = pack(tiny_video(ARCHITECTURES[name], 31, 4, activations=IntFormat(bits, True)))
    video = InrVideo.from_bytes(content)
    model = export_video(content, "onnx")["video.onnx"]
    assert onnx_oracle.not_integer(model) == []
    run = onnx_oracle.session(model)
    fmt = video.program.input.format
    for index in range(video.frames):
        found = run({"t": np.full((1, 1, 1, 1), index, np.uint8 if fmt.bits <= 8 else np.uint16)})
        np.testing.assert_array_equal(found["picture"][0], planes(video, index))


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["nerv", "hnerv", "ffnerv", "hinerv"])
def test_tosa_gives_every_frame(name: str) -> None:
    """HiNeRV at activations of eight bits, whose normalisation keeps to 32 bits."""
    bits = 8 if name == "hinerv" else 16
    content = pack(tiny_video(ARCHITECTURES[name], 32, 4, activations=IntFormat(bits, True)))
    video, files = InrVideo.from_bytes(content), export_video(content, "tosa")
    for index in (0, video.frames - 1):
        given = np.full((1, 1, 1, 1), index, np.load(io.BytesIO(files["video.t.npy"])).dtype)
        status, found = tosa_oracle.evaluate(files["video.tosa"], {"t": given}, ["picture"])
        assert status == "TOSA_VALID"
        wanted = planes(video, index).transpose(1, 2, 0)[None]
        np.testing.assert_array_equal(found["picture"].astype(np.uint8), wanted)


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_exported_folder_is_described_by_its_manifest(notation: str, tmp_path: Path) -> None:
    content = pack(tiny_video(HNERV, 33, 4))
    (tmp_path / "clip.rcv").write_bytes(content)
    assert main(["export", str(tmp_path / "clip.rcv"), "--to", notation, "-o", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["model"] == hashlib.sha256(content).hexdigest()
    (described,) = manifest["programs"].values()
    assert described["tensors"] == ["video.picture.npy", "video.t.npy"]
    written = (tmp_path / "out" / described["file"]).read_bytes()
    assert hashlib.sha256(written).hexdigest() == described["sha256"]
    picture = np.load(tmp_path / "out" / "video.picture.npy")[0]
    wanted = planes(InrVideo.from_bytes(content), 0)
    np.testing.assert_array_equal(picture if notation == "onnx" else picture.transpose(2, 0, 1), wanted)


def test_export_refuses_sizes_and_what_tosa_cannot_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip.rcv").write_bytes(pack(tiny_video(HINERV, 34, 4)))
    clip, out = str(tmp_path / "clip.rcv"), str(tmp_path / "out")
    assert main(["export", clip, "--to", "onnx", "--size", "8x8", "-o", out]) == 2
    assert capsys.readouterr().err.startswith("refcodec: RC-USAGE: an implicit video has one size")
    with pytest.raises(ExportError, match=r"RC-EXPORT: TOSA cannot express stages.0.norm"):
        export_video((tmp_path / "clip.rcv").read_bytes(), "tosa")
    assert main(["export", clip, "--to", "tosa", "-o", out]) == 2
    assert not (tmp_path / "out").exists()
