"""Foundation models behind one protocol, and the registry of their names."""
