"""What the server does: jobs, models, pictures, downloads, language models; must not know Flask, SQL or native code."""
