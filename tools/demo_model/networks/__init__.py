"""The three networks in PyTorch, each a twin of the graph that the native library builds for the same tensors."""
