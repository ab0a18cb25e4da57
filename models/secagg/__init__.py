"""The secure sum: departments send noisy integers under masks, and only their sum can be read.

Pure functions over frozen values, described for a second implementation in
`docs/reference/secure-sum.md`:

    rings        integers modulo 2^32 and 2^64, and the bound under which a sum does not wrap
    agreement    one signed X25519 key per member and run; the secrets that pairs share
    contexts     what one message is bound to; the port that keeps which contexts were used
    masks        the keystream of each pair
    node         a node's one message of a step
    witness      the sum of the masks of the set that answered
    coordinator  the checks on what arrives, and the sum

Runs drive it from `node.gate` (`joining`, `sums`, `witness`) and `coordinator.aggregation`; what is
summed and what a context holds follow from the approved study (`models.training.messages`).
"""
