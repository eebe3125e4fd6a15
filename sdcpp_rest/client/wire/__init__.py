"""Bodies and answers of the native API as typed dictionaries, made of the wire models; must not know a client."""
