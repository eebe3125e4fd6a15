"""From a request of SwarmUI's clients to what its jobs draw. Knows what is there to choose from; submits nothing."""

from __future__ import annotations
