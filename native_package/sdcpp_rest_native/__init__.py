"""Holds the compiled engine of sdcpp-rest, in ``lib``; sdcpp_rest.native.prebuilt finds and loads it."""
