"""Picture files in and out: decoding, encoding, thumbnails, the output folder; must not know the queue."""
