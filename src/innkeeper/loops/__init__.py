"""What goes on by itself: supervised, named loops around the core."""
