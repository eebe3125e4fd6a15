"""One module per step of the recipe, each with a ``run(workshop)``; ``python -m tools.demo_model STEP`` calls it."""
