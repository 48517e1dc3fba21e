"""What taskbridge does for frameworks, one module each; each is the only importer of its vendor beside the inbox."""
