"""Sockets: the ASGI shell, who is let in, bodies, thread pools, WebSockets, and the Flask application; must not know
what a request means.
"""
