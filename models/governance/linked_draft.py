"""The commented file of a linked study that `study new --linked` writes."""


def template(study: str) -> str:
    """Give the file of a linked study: valid as it is, with comments that say what to change."""
    return _TEMPLATE.format(study=study)


_TEMPLATE = """\
# A linked study: joint questions about the same residents, asked of several departments.
# `datalabbet study check FILE` tells what is wrong with it; `datalabbet privacy plan FILE` tells
# how sharp the answers will be, before anything is proposed or spent.
# Every department and server named below must approve exactly this content before a run starts.

# Lower-case letters, digits and hyphens. Names the study for ever.
study: {study}
title:
  sv: Kort titel på svenska
  en: Short title in English
purpose:
  sv: Vad frågan är, vem som behöver svaret och vad det ska användas till.
  en: What is asked, who needs the answer and what it will be used for.

# The ground in the GDPR: article 6.1 a to f, article 9.2 a to j for special categories
# (leave article_9 out otherwise), and the national provision.
legal_basis:
  article_6: e
  provision: The act and section that the departments rest on
contact: A function and an e-mail address that residents can write to

# Whose records are linked: at least two departments, each of which gives a variable.
departments: [schools, social-services]

# The three that compute on shares: the coordinator, and two members. One of them sees nothing but
# random numbers. Two of them that pool what they hold see every record: so the three need owners
# that do not answer to each other. A department of the study may be one of them, but not
# with a hazard, a table over three departments, or pairs of two departments that are `crossed`:
# name a department there that the study does not ask.
committee:
  coordinator: The municipal executive board
  servers:
    - name: auditors
      owner: The municipal auditors
    - name: social-services
      owner: The social welfare board

# The register that every department holds: its date, the most residents it has (a public number),
# and whether residents with protected identity are left out (leave-out or include).
register:
  date: "2024-12-31"
  residents: 150000
  protected: leave-out

# What the departments say about residents, in public categories. Dates stay in the departments.
variables:
  - name: passed
    department: schools
    dataset: pupils
    column: passed
  - name: absence
    department: schools
    dataset: pupils
    column: absence
    # A number is cut at the edges that its declaration names, or else into so many bins.
    bins: 6
  - name: assistance
    department: social-services
    dataset: assistance
    # Without a column: that there is a record.
    # column: months
    # resident: the resident's own record counts. household: any of the household's.
    of: household
    # Residents without a record are a category of their own, and not left out of the table.
    absent: true

# Each question is answered by tables with noise in every cell. What is computed from a table
# (`analyses`, models of `relations`) costs nothing more.
questions:
  # How many residents are in each combination, of up to three departments.
  - kind: table
    name: passing
    title:
      sv: Godkända elever efter hushållets bistånd
      en: Pupils who passed, by the household's assistance
    of: [passed, absence, assistance]
    analyses:
      # share, mean or log-mean of the outcome in each category of `by`, and how they differ.
      - {{kind: compare, outcome: passed, by: assistance, scale: share}}
      # What is left of it when another variable is taken into account.
      - {{kind: logistic, outcome: passed, terms: [assistance, absence], linear: [absence]}}
  # All tables of one and two of many variables at once: shares, means, correlations, the
  # strongest relations, and models of `outcome`.
  # - kind: relations
  #   name: together
  #   title: {{sv: Allt mot allt, en: Everything by everything}}
  #   of: [passed, absence]
  #   outcome: passed
  # How long a state of one department lasts, before and after a measure of another one.
  # - kind: hazard
  #   name: leaving
  #   title: {{sv: Vägen ut, en: The way out}}
  #   start: first_month
  #   duration: months
  #   event: ended
  #   entry: measure_month
  #   bands: [6, 12]
  #   window: 6

privacy:
  # Without noise, which needs data that all departments declared public:
  # "none: secure sum and disclosure rules only", and no epsilon and delta.
  protection: secure-sum
  # resident, or household: all residents of a household are protected together. That is right
  # where a household's record counts for several residents.
  unit: household
  # Of so many residents of a household a department's own records count; more cost noise.
  rows_per_household: 1
  # The protection of one unit over everything that the study releases, all departments together:
  # the smaller epsilon, the stronger. 1 is strong, 3 moderate, above 10 weak. delta: well below
  # one over the number of residents.
  epsilon: 1.0
  delta: 1e-6
  # How often the study may be answered, such as once a quarter. All of it shares epsilon.
  releases: 1
  # Runs that may fail. Each is paid for in noise.
  spare_runs: 0
retention_days: 365
"""
