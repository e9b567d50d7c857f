"""The Hugging Face Trainer set up once, and its callbacks."""
