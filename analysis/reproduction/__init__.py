"""A source report reproduced: its published figures beside ours, and pictures of its networks."""
