"""Submits jobs: pictures, videos, upscaling, conversions and downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call, SubmitCall
from sdcpp_rest.client.model_upload import ModelUpload
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.estimates import EstimateShown
from sdcpp_rest.client.wire.jobs import (
    AgainBody,
    ConversionAccepted,
    ConvertBody,
    DetectorStatus,
    UpscaleBody,
)
from sdcpp_rest.client.wire.model_files import DownloadAccepted, DownloadBody
from sdcpp_rest.client.wire.pictures import Accepted, Img2ImgBody, ReadSettings, Txt2ImgBody, Txt2VidBody


class PictureCalls:
    """Submits jobs. Pictures that go along are base64 or data URLs; `encode_picture` makes them of files."""

    @SubmitCall
    def txt2img(self, **fields: Unpack[Txt2ImgBody]) -> Request[Accepted]:
        """Draw pictures from words."""
        return Request(Accepted, "POST", "/txt2img", body=fields)

    @SubmitCall
    def img2img(self, **fields: Unpack[Img2ImgBody]) -> Request[Accepted]:
        """Draw pictures from a picture and words."""
        return Request(Accepted, "POST", "/img2img", body=fields)

    @SubmitCall
    def txt2vid(self, **fields: Unpack[Txt2VidBody]) -> Request[Accepted]:
        """Make a video from words, and from pictures where some are given."""
        return Request(Accepted, "POST", "/txt2vid", body=fields)

    @SubmitCall
    def upscale(self, **fields: Unpack[UpscaleBody]) -> Request[Accepted]:
        """Make a picture larger, with the upscaler that is loaded."""
        return Request(Accepted, "POST", "/upscale", body=fields)

    @Call
    def estimate(
        self, kind: Literal["txt2img", "img2img", "txt2vid", "upscale"], /, **fields: Any
    ) -> Request[EstimateShown]:
        """Tell whether a job would fit into memory and how long it would take; ``fields`` are those of its own method.
        Nothing is submitted."""
        return Request(EstimateShown, "POST", "/estimate", body={"kind": kind, "request": fields}, is_long=True)

    @SubmitCall
    def make_again(self, job_id: str, **changes: Unpack[AgainBody]) -> Request[Accepted]:
        """Make a finished job again, as a new one; ``seed=-1`` for another seed, ``overrides`` for other fields."""
        return Request(Accepted, "POST", "/jobs/{job_id}/again", {"job_id": job_id}, body=changes)

    @SubmitCall
    def convert(self, **fields: Unpack[ConvertBody]) -> Request[ConversionAccepted]:
        """Write a model file anew with another weight type; ``answer["output_path"]`` is where it will lie."""
        return Request(ConversionAccepted, "POST", "/convert", body=fields)

    @SubmitCall
    def download_model(self, **fields: Unpack[DownloadBody]) -> Request[DownloadAccepted]:
        """Download a model file. It is listed when the job ``answer["hash_job_id"]`` has checked it."""
        return Request(DownloadAccepted, "POST", "/models/download", body=fields, is_long=True)

    @Call
    def read_metadata(self, file: str | Path) -> Request[ReadSettings]:
        """Read what a picture or video file of any tool says about how it was made; ``answer["submit"]`` draws it
        again."""
        return Request(ReadSettings, "POST", "/metadata/read", upload=ModelUpload(Path(file)))

    @SubmitCall
    def adetailer(self, /, **fields: Any) -> Request[Accepted]:
        """Mend faces. Servers without a detector refuse: NotSupported."""
        return Request(Accepted, "POST", "/adetailer", body=fields)

    @Call
    def show_detector(self) -> Request[DetectorStatus]:
        """Tell whether there is a detector of faces. Servers without one refuse: NotSupported."""
        return Request(DetectorStatus, "GET", "/adetailer/status")

    @Call
    def load_detector(self, /, **fields: Any) -> Request[DetectorStatus]:
        """Load a detector of faces. Servers without one refuse: NotSupported."""
        return Request(DetectorStatus, "POST", "/adetailer/load", body=fields, is_long=True)

    @Call
    def unload_detector(self, /, **fields: Any) -> Request[DetectorStatus]:
        """Free the detector of faces. Servers without one refuse: NotSupported."""
        return Request(DetectorStatus, "POST", "/adetailer/unload", body=fields, is_long=True)
