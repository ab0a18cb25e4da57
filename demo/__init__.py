"""A federation to try: data, departments and a study."""
