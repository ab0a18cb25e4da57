"""The central service: launches rounds and combines releases; it never sees a record."""
