"""Local servers that speak the protocols of the services we call, with faults on demand."""
