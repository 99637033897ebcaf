"""Scripts that run in processes of their own, with stock libraries, and never import animelm."""
