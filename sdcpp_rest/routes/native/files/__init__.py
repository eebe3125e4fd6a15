"""Native views about finished files and their thumbnails; must not know other rooms of views."""
