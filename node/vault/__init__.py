"""Opens records. Importable by node.work only."""
