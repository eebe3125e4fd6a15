"""Asks about jobs, and changes what becomes of them: the queue, previews, the recycle bin."""

from __future__ import annotations

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call
from sdcpp_rest.client.steps import Request
from sdcpp_rest.client.wire.jobs import (
    BinQuery,
    BinShown,
    Cancelled,
    Emptied,
    GroupCancelled,
    GroupShown,
    JobsDeleted,
    JobShown,
    MoveBody,
    Moved,
    PendingCancelled,
    QueueQuery,
    QueueShown,
    QueueState,
    SheetBody,
)
from sdcpp_rest.client.wire.settings import PreviewBody, PreviewChanged, PreviewShown


class QueueCalls:
    """Asks about jobs by their ids."""

    @Call
    def list_jobs(self, **query: Unpack[QueueQuery]) -> Request[QueueShown]:
        """List jobs: every active one, and the newest finished ones."""
        return Request(QueueShown, "GET", "/queue", query=query)

    @Call
    def show_job(self, job_id: str) -> Request[JobShown]:
        """Look at a job."""
        return Request(JobShown, "GET", "/queue/{job_id}", {"job_id": job_id})

    @Call
    def cancel_job(self, job_id: str) -> Request[Cancelled]:
        """Cancel a job that waits or runs. NotFound for an unknown one, Conflict for one that has ended."""
        return Request(Cancelled, "POST", "/queue/{job_id}/cancel", {"job_id": job_id})

    @Call
    def delete_job(self, job_id: str) -> Request[Cancelled]:
        """Cancel a job that waits or runs, as the API's first version did: InvalidRequest for any other."""
        return Request(Cancelled, "DELETE", "/queue/{job_id}", {"job_id": job_id})

    @Call
    def rename_job(self, job_id: str, title: str) -> Request[JobShown]:
        """Give a job another title."""
        return Request(JobShown, "PATCH", "/queue/{job_id}", {"job_id": job_id}, body={"title": title})

    @Call
    def move_job_to_front(self, job_id: str) -> Request[JobShown]:
        """Make a waiting job the next one."""
        return Request(JobShown, "POST", "/queue/{job_id}/front", {"job_id": job_id})

    @Call
    def move_job(self, job_id: str, **place: Unpack[MoveBody]) -> Request[JobShown]:
        """Give a waiting job another place: ``before`` another one, or ``to`` ``"first"`` or ``"last"``."""
        return Request(JobShown, "POST", "/queue/{job_id}/move", {"job_id": job_id}, body=place)

    @Call
    def cancel_pending_jobs(self) -> Request[PendingCancelled]:
        """Cancel all jobs that wait."""
        return Request(PendingCancelled, "DELETE", "/queue/pending")

    @Call
    def show_given_picture(self, job_id: str, role: str) -> Request[bytes]:
        """Get a picture that a job was given, such as its ``mask_image``, as a PNG file."""
        return Request(bytes, "GET", "/jobs/{job_id}/inputs/{role}", {"job_id": job_id, "role": role})

    @Call
    def show_preview(self, job_id: str) -> Request[bytes]:
        """Get the latest preview of a running job, as a JPEG file. NotFound before the first one."""
        return Request(bytes, "GET", "/jobs/{job_id}/preview", {"job_id": job_id})

    @Call
    def pause_queue(self) -> Request[QueueState]:
        """Let no further job begin."""
        return Request(QueueState, "POST", "/queue/pause")

    @Call
    def resume_queue(self) -> Request[QueueState]:
        """Let jobs begin again."""
        return Request(QueueState, "POST", "/queue/resume")

    @Call
    def show_group(self, group_id: str) -> Request[GroupShown]:
        """Look at a grid of jobs: its axes, and its jobs by cell."""
        return Request(GroupShown, "GET", "/groups/{group_id}", {"group_id": group_id})

    @Call
    def cancel_group(self, group_id: str) -> Request[GroupCancelled]:
        """Cancel every job of a group that waits or runs."""
        return Request(GroupCancelled, "POST", "/groups/{group_id}/cancel", {"group_id": group_id})

    @Call
    def draw_group_sheet(self, group_id: str, **fields: Unpack[SheetBody]) -> Request[bytes]:
        """Draw a group as a contact sheet, a PNG file."""
        return Request(bytes, "POST", "/groups/{group_id}/sheet", {"group_id": group_id}, body=fields, is_long=True)

    @Call
    def delete_jobs(self, job_ids: list[str]) -> Request[JobsDeleted]:
        """Delete finished jobs with their pictures, into the recycle bin or, where that is off, for good."""
        return Request(JobsDeleted, "DELETE", "/queue/jobs", body={"job_ids": job_ids}, is_long=True)

    @Call
    def show_recycle_bin(self, **query: Unpack[BinQuery]) -> Request[BinShown]:
        """List deleted jobs."""
        return Request(BinShown, "GET", "/queue/recycle-bin", query=query)

    @Call
    def empty_recycle_bin(self) -> Request[Emptied]:
        """Remove all deleted jobs for good."""
        return Request(Emptied, "DELETE", "/queue/recycle-bin", is_long=True)

    @Call
    def restore_job(self, job_id: str) -> Request[Moved]:
        """Bring a deleted job back."""
        return Request(Moved, "POST", "/queue/{job_id}/restore", {"job_id": job_id})

    @Call
    def purge_job(self, job_id: str) -> Request[Moved]:
        """Remove a deleted job for good."""
        return Request(Moved, "DELETE", "/queue/{job_id}/purge", {"job_id": job_id})

    @Call
    def show_preview_settings(self) -> Request[PreviewShown]:
        """Tell how previews are made."""
        return Request(PreviewShown, "GET", "/preview/settings")

    @Call
    def change_preview_settings(self, **fields: Unpack[PreviewBody]) -> Request[PreviewChanged]:
        """Change how previews are made, also for the job that runs."""
        return Request(PreviewChanged, "PUT", "/preview/settings", body=fields)
