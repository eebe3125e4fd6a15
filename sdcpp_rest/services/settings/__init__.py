"""What users change while the server runs; must not know who asks."""
