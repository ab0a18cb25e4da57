"""Who takes part: the certificate authority, enrolment, presence, the catalogue."""
