"""What a finished run releases: model files, card and record."""
