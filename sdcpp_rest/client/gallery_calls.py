"""Asks for finished pictures: the gallery, its stars and boards, and zips of them."""

from __future__ import annotations

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.gallery import (
    BatchBody,
    BatchDone,
    BoardChanged,
    BoardsShown,
    DaysQuery,
    FacetsShown,
    GalleryFilterBody,
    GalleryQuery,
    GalleryShown,
    MarksBody,
    MonthsShown,
    PictureShown,
    Scanned,
    SelectionBody,
    ZipQuery,
)


class GalleryCalls:
    """Asks about pictures by their numbers in the gallery."""

    @Call
    def list_pictures(self, **query: Unpack[GalleryQuery]) -> Request[GalleryShown]:
        """List finished pictures and videos, newest first; ``cursor`` goes on where a page ended."""
        return Request(GalleryShown, "GET", "/gallery", query=query)

    @Call
    def count_pictures_by_month(self, **query: Unpack[DaysQuery]) -> Request[MonthsShown]:
        """Count pictures by month and day."""
        return Request(MonthsShown, "GET", "/gallery/months", query=query)

    @Call
    def list_picture_facets(self, **query: Unpack[GalleryFilterBody]) -> Request[FacetsShown]:
        """List the models, LoRAs, families and kinds that pictures have."""
        return Request(FacetsShown, "GET", "/gallery/facets", query=query)

    @Call
    def show_picture(self, picture_id: int) -> Request[PictureShown]:
        """Look at all that the gallery knows of a picture."""
        return Request(PictureShown, "GET", "/gallery/{picture_id}", {"picture_id": str(picture_id)})

    @Call
    def mark_picture(self, picture_id: int, **marks: Unpack[MarksBody]) -> Request[PictureShown]:
        """Star a picture, rate it, or put it on a board."""
        return Request(PictureShown, "PATCH", "/gallery/{picture_id}", {"picture_id": str(picture_id)}, body=marks)

    @Call
    def delete_picture(self, picture_id: int) -> Request[PictureShown]:
        """Delete a picture, into the recycle bin or, where that is off, for good."""
        return Request(PictureShown, "DELETE", "/gallery/{picture_id}", {"picture_id": str(picture_id)})

    @Call
    def change_pictures(self, **body: Unpack[BatchBody]) -> Request[BatchDone]:
        """Star, rate, delete or restore many pictures, or put them on a board."""
        return Request(BatchDone, "POST", "/gallery/batch", body=body, is_long=True)

    @Call
    def zip_pictures(self, **body: Unpack[SelectionBody]) -> Request[bytes]:
        """Get pictures as the bytes of one zip."""
        return Request(bytes, "POST", "/gallery/zip", body=body, is_long=True)

    @Call
    def zip_pictures_by_query(self, **query: Unpack[ZipQuery]) -> Request[bytes]:
        """Get the pictures that pass filters as the bytes of one zip."""
        return Request(bytes, "GET", "/gallery/zip", query=query, is_long=True)

    @Call
    def scan_pictures(self, *, anew: bool = False) -> Request[Scanned]:
        """Have the server look for pictures that were put there, or taken away, by hand."""
        return Request(Scanned, "POST", "/gallery/scan", body={"anew": anew}, is_long=True)

    @Call
    def list_boards(self) -> Request[BoardsShown]:
        """List the boards, by name."""
        return Request(BoardsShown, "GET", "/gallery/boards")

    @Call
    def put_board(self, name: str) -> Request[BoardChanged]:
        """Make a board."""
        return Request(BoardChanged, "PUT", "/gallery/boards/{name}", {"name": name})

    @Call
    def rename_board(self, name: str, to: str) -> Request[BoardChanged]:
        """Give a board another name. NotFound, and Conflict where another has it."""
        return Request(BoardChanged, "PATCH", "/gallery/boards/{name}", {"name": name}, body={"name": to})

    @Call
    def delete_board(self, name: str) -> Request[BoardChanged]:
        """Forget a board; its pictures stay."""
        return Request(BoardChanged, "DELETE", "/gallery/boards/{name}", {"name": name})
