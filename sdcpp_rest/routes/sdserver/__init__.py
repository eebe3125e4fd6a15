"""The jobs API of stable-diffusion.cpp's own server, sd-server, below /sdcpp/v1; must not know another dialect."""
