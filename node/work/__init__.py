"""From records to releases: every public function gives a Release."""
