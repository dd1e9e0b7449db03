"""Smaller and faster networks from trained ones."""
