"""The demo city's joint questions: what no department can answer from its own records."""
