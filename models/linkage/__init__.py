"""Who is who: reading and writing the numbers that name residents."""
