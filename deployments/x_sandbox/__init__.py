"""A stand-in for the X API that can be watched and broken: its own process, it knows X and nothing of our client."""
