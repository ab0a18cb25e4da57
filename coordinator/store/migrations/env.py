"""Alembic's entry: runs the migrations on the connection that `database.migrate` handed in."""

from alembic import context

from coordinator.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
