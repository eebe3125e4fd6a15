"""sdcpp-rest: a REST picture server on top of stable-diffusion.cpp."""
