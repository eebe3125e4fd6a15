"""The workshop of the bundled demo model: it draws the lesson pictures, trains the networks and writes the files.

Runs beside the server, never in it. ``scenes``, ``judge``, ``tokenizer`` and ``layout`` do without PyTorch; everything
else needs it. Start with README.md.
"""
