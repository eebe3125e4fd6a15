"""Wire models that several native views share; must not know a view."""
