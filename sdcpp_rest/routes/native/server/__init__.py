"""Native views about the server: health, settings, options, docs, the event stream's messages; must not know other
rooms of views.
"""
