"""What is in images: their layers gone through once, and what is then known of packages and files."""
