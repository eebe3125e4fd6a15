"""Native views about jobs: submitting, the queue, previews, the recycle bin; must not know other rooms of views."""
