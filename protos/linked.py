"""The names on the wire of a run of a linked study; both ends read them here.

Messages are Flower's, between coordinator (server 0) and members. Records and arrays are as in
`protos.sums`: `RAW` arrays are bytes (a canonical document, a sealed box) or elements of the ring.
The answers to `offer` and `join` are those of a secure sum; everybody agrees with everybody.

    message        to            config   arrays               answered with
    query.offer    everybody     -        -                    offer
    query.join     everybody     -        offers               cohort
    query.mix      departments   -        -                    mix (document Mix)
    query.spine    departments   -        mixes (Mixes)        spine (document Spine)
    query.seeds    departments   -        -                    seeds (document Seeds)
    query.begin    servers       -        begin (Begin)        begun (document Begun)
    train.share    departments   chunk    -                    body (sealed octets)
    train.fold     servers       chunk    body.<department>    turned (with derived groups, else
                                                               nothing): elements of server 1,
                                                               sealed octets of server 2
    train.cross    servers       chunk    turned               -
    train.totals   departments   -        -                    body (sealed octets)
    train.open     servers       -        body.<department>    sum (elements)
    query.erase    servers       -        -                    erased (document Erased)

A department is charged before it answers `seeds`. `fold` and `cross` come in the order of the
chunks, from 1; `cross` only where the layout has derived groups.
"""

OFFER, JOIN, MIX, SPINE, SEEDS = (
    "query.offer",
    "query.join",
    "query.mix",
    "query.spine",
    "query.seeds",
)
BEGIN, SHARE, FOLD, CROSS = "query.begin", "train.share", "train.fold", "train.cross"
TOTALS, OPEN, ERASE = "train.totals", "train.open", "query.erase"

BODY = "body"
TURNED = "turned"
