"""What the server costs, measured from outside: through its sockets, its files and its process table. See README.md."""
