"""AUTOMATIC1111's dialect: the API below /sdapi/v1 that its tools and their imitators speak; must not know another
dialect.
"""
