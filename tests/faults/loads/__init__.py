"""Makes loads: crowds of clients, clients that say little, and more jobs, rows and files than anybody has."""
