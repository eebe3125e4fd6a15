"""Writes the smallest synthetic model of every family that the native library knows: seeded random weights, right
shapes, no meaning. Needs numpy alone, writes gigabytes in seconds, and keeps little in memory.
"""
