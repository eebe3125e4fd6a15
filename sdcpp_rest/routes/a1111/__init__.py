"""The dialect of AUTOMATIC1111: the API below /sdapi/v1 that its tools and their imitators speak."""
