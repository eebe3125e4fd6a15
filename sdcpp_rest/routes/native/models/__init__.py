"""Native views about model files: listing, loading, uploading, downloading; must not know other rooms of views."""
