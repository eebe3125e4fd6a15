"""The catalogue of model files: finding, checking, hashing, converting, uploading, estimating; must not know the
engine.
"""
